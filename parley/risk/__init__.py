"""Risk as pure functions: the limits, the rules, the gate, and the assessment behind a verdict.

Two things are kept apart (architecture 6): a *verdict* is an answer inside a round
(`assess`, used by the risk agent), the *gate* stands between a decision and its
commit and trusts nobody. Not here: who asks (the desk), who trips breakers (the
risk agent), how money is counted (the ledger).

Invariant: nothing in this package reads a clock, keeps state, or approves what it
does not know.
"""

from .assess import Assessment, assess
from .case import Counters, GateFacts, Recent
from .gate import Approved, Refused, check
from .limits import Breakers, Limits, limits_of

__all__ = [
    "Approved",
    "Assessment",
    "Breakers",
    "Counters",
    "GateFacts",
    "Limits",
    "Recent",
    "Refused",
    "assess",
    "check",
    "limits_of",
]
