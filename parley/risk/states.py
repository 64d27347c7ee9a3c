"""What a firm may do: four trading states, and the table of what moves it from one to another.

ACTIVE trades. REDUCING only makes positions smaller. FLATTENING leaves every position by itself, also on old
data. HALTED sends nothing but cancels. What moves a firm is in its journal before it has an effect: a command
(`Halt`) or a breaker. A pause, a strain, a kill or a doubt about the account does not move it; each lies over
the state as long as it lasts, and the strictest counts (`strictest`).

Not here: who commands, when a breaker trips.

Invariant: only RESUME and a command of a person loosen; a word that is not in the table halts.
"""

from collections.abc import Mapping
from typing import Final

ACTIVE: Final = "ACTIVE"
REDUCING: Final = "REDUCING"
FLATTENING: Final = "FLATTENING"
HALTED: Final = "HALTED"
STATES: Final = (ACTIVE, REDUCING, FLATTENING, HALTED)

BREAKER: Final = "breaker"  # a breaker that flattens

COMMANDS: Final = ("RESUME", "REDUCE_ONLY", "FLATTEN", "CANCEL_ONLY", "HALT")

# A halt that a person ordered is not ended by a breaker: who halts wants nothing sent, not even exits.
TRANSITIONS: Final[Mapping[tuple[str, str], str]] = {
    (ACTIVE, "RESUME"): ACTIVE, (ACTIVE, "REDUCE_ONLY"): REDUCING, (ACTIVE, "FLATTEN"): FLATTENING,
    (ACTIVE, "CANCEL_ONLY"): HALTED, (ACTIVE, "HALT"): HALTED,
    (ACTIVE, BREAKER): FLATTENING,
    (REDUCING, "RESUME"): ACTIVE, (REDUCING, "REDUCE_ONLY"): REDUCING, (REDUCING, "FLATTEN"): FLATTENING,
    (REDUCING, "CANCEL_ONLY"): HALTED, (REDUCING, "HALT"): HALTED,
    (REDUCING, BREAKER): FLATTENING,
    (FLATTENING, "RESUME"): ACTIVE, (FLATTENING, "REDUCE_ONLY"): REDUCING,
    (FLATTENING, "FLATTEN"): FLATTENING, (FLATTENING, "CANCEL_ONLY"): HALTED, (FLATTENING, "HALT"): HALTED,
    (FLATTENING, BREAKER): FLATTENING,
    (HALTED, "RESUME"): ACTIVE, (HALTED, "REDUCE_ONLY"): REDUCING, (HALTED, "FLATTEN"): FLATTENING,
    (HALTED, "CANCEL_ONLY"): HALTED, (HALTED, "HALT"): HALTED,
    (HALTED, BREAKER): HALTED,
}  # fmt: skip


def moved(state: str, event: str) -> str:
    """Return the state after an event; an event or state that nobody knows halts."""
    return TRANSITIONS.get((state, event), HALTED)


def strictest(states: tuple[str, ...]) -> str:
    """Return the strictest of several states that lie over each other; none: ACTIVE, unknown: HALTED."""
    if not set(states) <= set(STATES):
        return HALTED
    return max(states, key=STATES.index, default=ACTIVE)
