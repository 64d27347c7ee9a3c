"""Which journals of earlier runs are still to be brought into the read model.

Problem: a run may end before its database ever answered, its journal may lie outside the home, and a run may
have been made without a database on purpose. What a run was meant for is written in its folder: the shipper's
configuration is there if and only if it was to have this database.

Not here: whether anything of it is missing (`ship`).

Invariant: a folder that cannot be read names no journal that is not there.
"""

from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from runtime.leftovers import CLAIM, desk_journal

GATEWAY_NAME: Final = "gateway.journal"


class PastJournal(NamedTuple):
    """A journal of another run: who may still write it, and whether its run was to have this database."""

    path: Path
    claim: Path
    is_wanted: bool


class _Told(msgspec.Struct):
    """What is asked of an earlier run's shipper configuration."""

    database: str = ""
    name: str = "parley"


def past_journals(runs: Path, database: str, name: str = "parley") -> list[PastJournal]:
    """Return the journals of the runs in a folder, oldest run first, a desk's before its gateway's."""
    found = []
    for folder in sorted(path for path in runs.glob("*") if path.is_dir()):
        told = _told(folder)
        is_wanted = told is not None and (told.database, told.name) == (database, name)
        for path in run_journals(folder):
            found.append(PastJournal(path, folder / CLAIM, is_wanted))
    return found


def run_journals(folder: Path) -> list[Path]:
    """Return the journals of one run that exist, the desk's first, wherever that was written."""
    try:
        paths = [desk_journal(folder)]
    except (OSError, msgspec.MsgspecError):
        paths = []
    return [path for path in (*paths, folder / GATEWAY_NAME) if path.is_file()]


def _told(folder: Path) -> _Told | None:
    try:
        return msgspec.json.decode((folder / "config" / "shipper.json").read_bytes(), type=_Told)
    except (OSError, msgspec.MsgspecError):
        return None
