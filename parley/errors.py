"""The error tree: one type per reaction, not per cause.

::

    ParleyError
    +-- UserError            tell the user, one line, exit code 2; nothing was changed
    |   +-- ConfigError      a setting is wrong: names the key and the nearest known one
    |   +-- DataError        recorded data is wrong: names file and row
    +-- ProtocolError        a peer broke a contract: drop the frame, count a strike
    +-- Fatal                stop the process now and recover at the next start; never retried
        +-- StateError       an invariant of ledger or orders does not hold
        +-- ReplayMismatch   a replay produced something else than the journal holds

A refusal in the course of business (no funds, over a limit, no bid) is a message
with a reason code, never an exception.
"""

from difflib import get_close_matches


class ParleyError(Exception):
    """Base of all errors Parley raises on purpose."""


class UserError(ParleyError):
    """The user can mend it; the text says what was expected and what it was."""


class ConfigError(UserError):
    """A setting is missing, unknown or of the wrong kind."""


class DataError(UserError):
    """A file of recorded data cannot be used as it is."""


class ProtocolError(ParleyError):
    """A peer sent what its contract forbids."""


class Fatal(ParleyError):
    """Going on would risk money or the record of it."""


class StateError(Fatal):
    """An invariant of the ledger or of the order book-keeping is broken."""


class ReplayMismatch(Fatal):
    """Re-executing the journal gave another message than it holds."""


def nearest(word: str, known: list[str]) -> str:
    """Say which known word an unknown one was probably meant to be, or list them all."""
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else "known are " + ", ".join(sorted(known))
