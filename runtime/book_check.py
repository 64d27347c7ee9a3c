"""Asks the stand-alone script whether the ledger equals the exchange.

Not here: the comparison (`tools.check_ledger`), which imports nothing of Parley and is run as a program.

Invariant: what was not compared is not called equal.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from runtime.inheritance import inherited

CHECK: Final = Path(__file__).resolve().parent.parent / "tools" / "check_ledger.py"


def check_books(truth: Path, journal: Path, also: Mapping[str, Path] = {}) -> dict[str, Any]:
    """Let the stand-alone script compare the journal with the exchange's truth log, or with those of all."""
    further = [word for name, path in sorted(also.items()) for word in ("--also", f"{name}={path}")]
    if not CHECK.is_file():
        return {"ledger_equals_exchange": None, "ledger_check": {"error": f"no script {str(CHECK)!r}"}}
    done = subprocess.run(
        [sys.executable, "-I", str(CHECK), "--truth", str(truth), *further, "--journal", str(journal),
         "--json"],
        capture_output=True, text=True, check=False, env=inherited(),
    )  # fmt: skip
    if done.returncode not in (0, 1):
        return {"ledger_equals_exchange": False, "ledger_check": {"error": done.stderr.strip()}}
    report: dict[str, Any] = json.loads(done.stdout)
    return {"ledger_equals_exchange": report.pop("ledger_equals_exchange"), "ledger_check": report}
