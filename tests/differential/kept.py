"""What freqtrade said of a case, kept between runs.

Problem: twenty thousand cases are an hour and a half of freqtrade, and it says the same again after a change
of our engine. So its outcomes are kept in a folder, each under what it depends on.

Not here: when to ask (`campaign.References`).

Invariant: an outcome is found only by the same case, the same code of the reference's side, and the same
releases of freqtrade, numpy, pandas and Python; a file that cannot be read is no outcome.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import zlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

from tests.differential.case import Case, to_json
from tests.differential.outcome import Outcome
from tests.differential.sources import ROOT, sources_of

BEGIN = ("tests/differential/reference.py", "tests/differential/worker.py")
RELEASES = ("freqtrade", "numpy", "pandas", "ta-lib")


class KeptOutcomes:
    """Outcomes by case in ``folder``, which is made when there is one to keep; threads may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, case: Case) -> Outcome | None:
        """Return what was kept of a case; None when nothing was."""
        try:
            kept = pickle.loads(zlib.decompress(self._path(case).read_bytes()))
        except (OSError, zlib.error, pickle.UnpicklingError, EOFError):
            return None
        return kept if isinstance(kept, Outcome) else None

    def keep(self, case: Case, outcome: Outcome) -> None:
        """Write an outcome, as a whole or not at all."""
        path = self._path(case)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(f".{os.getpid()}")
        new.write_bytes(zlib.compress(pickle.dumps(outcome, protocol=pickle.HIGHEST_PROTOCOL), 1))
        new.replace(path)

    def _path(self, case: Case) -> Path:
        key = hashlib.sha256(f"{_reference()}\n{to_json(case)}".encode()).hexdigest()
        return self._folder / key[:2] / key[2:32]


@cache
def _reference() -> str:
    """Return a hash of all that an outcome depends on but the case."""
    digest = hashlib.sha256(sys.version.encode())
    for name in RELEASES:
        digest.update(f"{name} {version(name)}\n".encode())
    for path in sources_of(BEGIN, ROOT):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()
