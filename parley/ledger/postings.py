"""What the ledger writes: transactions of double-entry legs.

A leg moves an ``amount`` of one asset and a ``value`` in the account's quote
currency. Both books are closed per transaction: amounts sum to zero per asset,
values over all assets. `Move` says the same from the sub-ledgers' side: whose
quantity changed, and at which worth; attribution folds these.

Not here: how a disposal finds its cost (`lots`), what a fill means (`ledger`).

Invariant: `balanced` holds for every transaction the ledger made.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from parley.money import ZERO

OPENING = "opening"  # sub-ledger of what the account held before anybody traded
EXTERNAL = "external"  # agent to give for fills that no decision asked for
UNASSIGNED = "unassigned"  # sub-ledger of what was disposed of beyond all that its seller could reach; <= 0

# Ledger accounts. CASH is what the venue holds for us; TRADE clears the two sides of an exchange.
CASH, TRADE, FEES, FUNDING, GAIN, EQUITY = "cash", "trade", "fees", "funding", "gain", "equity"
INCOME = (GAIN, FEES, FUNDING)  # their values, negated, are the realised PnL


class Posting(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One leg: ``amount`` of ``asset`` into ``account`` costing ``value`` quote; ``owner``: a sub-ledger."""

    account: str
    owner: str
    asset: str
    amount: Decimal
    value: Decimal


class Move(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A sub-ledger's change: a signed ``amount`` of a non-quote asset, worth ``worth`` >= 0 in quote."""

    owner: str
    asset: str
    amount: Decimal
    worth: Decimal


class Transaction(msgspec.Struct, frozen=True, array_like=True):
    """One event of the account. ``kind``: open, mark (a first one), fill or funding; ``t`` market ns."""

    kind: str
    ref: str
    symbol: str
    t: int
    agent: str
    pid: bytes
    round: bytes
    postings: tuple[Posting, ...]
    moves: tuple[Move, ...] = ()

    @property
    def uncovered(self) -> tuple[tuple[str, Decimal], ...]:
        """(asset, quantity) that went out beyond the holdings of ``agent`` and the opening balance."""
        return tuple((m.asset, -m.amount) for m in self.moves if m.owner == UNASSIGNED and m.amount < 0)


def balanced(postings: Sequence[Posting]) -> bool:
    """Tell whether legs sum to zero, per asset in amount and together in value."""
    amounts: dict[str, Decimal] = {}
    value = ZERO
    for leg in postings:
        amounts[leg.asset] = amounts.get(leg.asset, ZERO) + leg.amount
        value += leg.value
    return not value and not any(amounts.values())
