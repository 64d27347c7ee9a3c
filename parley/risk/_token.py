"""The one place that can mint an approval.

`Approved` demands a secret that lives in this module, and an import contract
(`only-the-gate-approves`) lets nobody but the gate import it. That makes "sent
without the gate" a type error and an import error rather than a matter of care.
Not here: when to approve. Code that goes out of its way (reflection) is out of
scope, as it is for the gateway (settled 20).

Invariant: every `Approved` in the process was made by `mint`.
"""

from typing import Final

from parley.messages import Intent

_SECRET: Final = object()


class Approved:
    """An order that passed the gate; ``intent`` carries the hash of what it was judged by."""

    __slots__ = ("_intent", "_values")

    def __init__(self, secret: object, intent: Intent, values: tuple[tuple[str, str], ...]) -> None:
        if secret is not _SECRET:
            raise TypeError("an Approved is minted by the gate, it cannot be constructed")
        self._intent = intent
        self._values = values

    @property
    def intent(self) -> Intent:
        return self._intent

    @property
    def values(self) -> tuple[tuple[str, str], ...]:
        """All numbers the rules looked at, as (name, text)."""
        return self._values

    def __reduce__(self) -> str:
        raise TypeError("an Approved stays in its process")


def mint(intent: Intent, values: tuple[tuple[str, str], ...]) -> Approved:
    """Make an approval; only `parley.risk.gate` may call this."""
    return Approved(_SECRET, intent, values)
