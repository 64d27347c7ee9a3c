"""Say an error of freqtrade, or of a user's strategy, in one line.

Not here: who catches what. Invariant: whatever a strategy file raises becomes a `UserError` that names the
file and the line in it, if one of its lines was running.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from freqtrade.exceptions import FreqtradeException

from parley.errors import UserError


def in_one_line(error: BaseException) -> str:
    """Return an error's text without line breaks, its kind where it has no text."""
    text = " ".join(str(error).split())
    return text or type(error).__name__


@contextmanager
def told(about: str = "") -> Iterator[None]:
    """Turn an error of freqtrade into one line for the user, ``about`` before it."""
    try:
        yield
    except FreqtradeException as error:
        raise UserError(f"{about}: {in_one_line(error)}" if about else in_one_line(error)) from error


@contextmanager
def strategy_code(name: str, file: Path | str | None, doing: str) -> Iterator[None]:
    """Turn whatever a strategy's code raises into one line that says where it stood."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        place = place_of(error, file)
        if isinstance(error, AttributeError) and error.obj is None and "line" not in place:
            # freqtrade stumbled over what the strategy returned, not the strategy itself.
            raise UserError(
                f"strategy {name!r} ({place}): {doing} must return a DataFrame, returned None"
            ) from error
        kind = "" if isinstance(error, FreqtradeException) else f"{type(error).__name__}: "
        raise UserError(
            f"strategy {name!r} ({place}) failed in {doing}: {kind}{in_one_line(error)}"
        ) from error


def place_of(error: BaseException, file: Path | str | None) -> str:
    if file is None:
        return "unknown file"
    path = str(Path(file).resolve())
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if str(Path(frame.filename).resolve()) == path
    ]
    if isinstance(error, SyntaxError) and error.lineno:
        lines.append(error.lineno)
    return f"{file}, line {lines[-1]}" if lines else str(file)
