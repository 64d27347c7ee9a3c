"""One recorded day traded by a real desk, for tests that need a journal of real rounds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PAIRS = "BTC/USDT,ETH/USDT,LTC/USDT"


def recorded_day(folder: Path, data: Path, *options: object) -> Path:
    """Run the desk over 2021-05-19, the crash, and return its journal: some 4,000 rounds."""
    journal = folder / "desk.journal"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    subprocess.run(
        [
            sys.executable, "-m", "runtime.cli", "run", "--data", str(data / "candles"), "--pairs", PAIRS,
            "--from", "2021-05-19", "--to", "2021-05-20", "--journal", str(journal), "--json",
            *map(str, options),
        ],
        capture_output=True, check=True, env=environment | {"PARLEY_HOME": str(folder)},
    )  # fmt: skip
    return journal
