"""The gate between a decision and its commit: no order reaches the venue without it.

`check` asks every rule, gives the first breach as the refusal and keeps the rest for
the record. It is pure and total: the same order under the same facts gets the same
answer, and whatever cannot be evaluated is refused. Not here: the last look of the
gateway, which repeats the arithmetic with limits of its own.

Invariant: nothing but an `Approved` passes, and only this module mints one.
"""

from hashlib import blake2s
from typing import Final

import msgspec
from msgspec.structs import replace

from parley.messages import Breach, Intent, Verdict, encode

from ._token import Approved, mint
from .breaches import breach
from .case import Case, GateFacts
from .limits import Limits
from .rules import ALWAYS, OPENING, evaluated

__all__ = ["Approved", "Refused", "check"]

EVERY: Final = (*ALWAYS, *OPENING)


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Why an order does not pass: the first breach as ``code``, ``value``, ``cap``, then all there is."""

    code: str
    value: str
    cap: str
    breaches: tuple[Breach, ...]
    values: tuple[tuple[str, str], ...]


def check(intent: Intent, facts: GateFacts, limits: Limits) -> Approved | Refused:
    """Judge an order that was decided.

    An `Approved` carries the intent with ``risk_hash`` = blake2s-128 over the verdict,
    the limits version and every evaluated value.
    """
    values: tuple[tuple[str, str], ...] = ()
    try:
        case = Case(intent, facts, limits)
        found = [rule(case) for rule in (ALWAYS if intent.reduce_only else EVERY)]
        breaches = tuple([b for b in found if b is not None])
        values = evaluated(case)
    except ArithmeticError as err:
        # numbers were screened before; should arithmetic still fail, that is one more unknown
        breaches = (breach("arithmetic", type(err).__name__, "finite"),)
    if breaches:
        first = breaches[0]
        return Refused(code=first.limit, value=first.value, cap=first.cap, breaches=breaches, values=values)
    return mint(replace(intent, risk_hash=_hash(facts.verdict, limits, values)), values)


def _hash(verdict: Verdict | None, limits: Limits, values: tuple[tuple[str, str], ...]) -> bytes:
    text = "|".join([f"{name}={value}" for name, value in (("limits", limits.version), *values)])
    judged = b"" if verdict is None else encode(verdict)
    return blake2s(judged + text.encode(), digest_size=16).digest()
