"""The folder of a home where backtests of desks keep their journals: a place for the next, and what stays.

Problem: a journal of a year takes 100 MB, and one that was cut off says nothing. So a folder goes with the
backtest that does not come to its end, the next start removes what a killed process left, and of complete
ones the newest stay.

Not here: a journal that was asked for by name; that one is the user's.

Invariant: nothing of a living backtest is touched, and nothing that this module did not make.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from parley.errors import UserError
from runtime.history import JOURNAL_NAME
from runtime.leftovers import CLAIM, claim, is_claimed, release

FOLDER: Final = "backtests"
_YOUNG_S: Final = 60.0  # a claim is made before it is held


@contextmanager
def place_for(home: Path, run_id: str, keep: int) -> Iterator[Path]:
    """Yield the path of a new backtest's journal; afterwards it and the newest of the others stay.

    keep: how many complete ones, this one included.

    Raises
    ------
    UserError
        When the folder cannot be made.
    """
    folder = home / FOLDER
    own = folder / run_id
    try:
        own.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {str(own)!r}: {error.strerror}") from error
    held = claim(own)
    _sweep(folder)
    try:
        yield own / JOURNAL_NAME
    except BaseException:
        shutil.rmtree(own, ignore_errors=True)
        raise
    finally:
        release(own, held)
    _prune(folder, own, keep)


def _sweep(folder: Path) -> None:
    """Remove what killed processes left: their claims are there, and nobody holds them."""
    for each in folder.iterdir():
        mark = each / CLAIM
        try:
            age = time.time() - mark.stat().st_mtime
        except OSError:
            continue
        if age > _YOUNG_S and is_claimed(mark) is False:
            shutil.rmtree(each, ignore_errors=True)


def _prune(folder: Path, own: Path, keep: int) -> None:
    """Remove complete ones but the newest; their names begin with the time."""
    complete = [each for each in folder.iterdir() if _is_complete(each) and each != own]
    for each in sorted(complete, reverse=True)[max(0, keep - 1) :]:
        shutil.rmtree(each, ignore_errors=True)


def _is_complete(each: Path) -> bool:
    return (each / JOURNAL_NAME).is_file() and not (each / CLAIM).exists() and not each.is_symlink()
