"""A run that rehearses decides like any other: its journal replays, and its ledger equals the exchange."""

import json
import os
import subprocess
import sys
from pathlib import Path

LASTS_S = 8


def parley(home: Path, *arguments: str, **env: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "runtime.cli", *arguments, "--json"],
        env={**os.environ, "PARLEY_HOME": str(home), **env}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result


def test_rehearsals_leave_nothing_in_the_run(tmp_path: Path) -> None:
    summary = parley(
        tmp_path, "run", "--duration", str(LASTS_S), "--speed", "300", PARLEY_DESK__REHEARSE="true"
    )

    assert summary["ledger_equals_exchange"] is True
    rounds, rehearsed = summary["rounds"], summary["rehearsed"]
    assert isinstance(rounds, int)
    assert isinstance(rehearsed, dict)
    assert 0 < rounds < rehearsed["rounds"]
    assert rehearsed["orders"] > 0.5 * rehearsed["rounds"]
    assert summary["strain"] == 0, "what rehearses must not look like a desk that cannot keep up"
    replayed = parley(tmp_path, "replay", str(summary["journal"]))
    assert replayed["ok"] is True
    log = (Path(str(summary["truth_log"])).parent / "logs" / "desk.log").read_text(encoding="utf-8")
    assert "rehearsal_failed" not in log
