"""What a desk at several exchanges has at each of them: what lies where, and what was traded there.

Problem: agents and most tables know pairs only. A user has to see where the money lies before an order finds
none, and which exchange took which fees.

Not here: the sums over exchanges (`orchestrator.pooled`, `summary`), the parts of one round (`parts`).

Invariant: of a desk at one exchange nothing is told. What lies where sums to the account's balances, what was
traded where to the run's orders, fills and fees.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from orchestrator.pooled import is_pooled
from parley.instruments import at, exchange_of, plain
from parley.ledger import Ledger
from parley.money import ZERO, exact_product, exact_sum, tidy
from runtime.books import MONEY_KINDS, ORDER_KINDS, Books
from runtime.history import entries
from runtime.journal import JournalReader
from runtime.run_config import RunConfig


class Lies(msgspec.Struct, kw_only=True):
    """A balance at one exchange; ``worth`` in the account's currency at that exchange's price, if known."""

    coin: str
    exchange: str
    amount: Decimal
    worth: Decimal | None


class Traded(msgspec.Struct, kw_only=True):
    """What was traded at one exchange; ``volume`` and ``fees`` in the account's currency."""

    orders: int = 0
    fills: int = 0
    maker_fills: int = 0
    volume: Decimal = ZERO
    fees: Decimal = ZERO

    def fill(self, worth: Decimal, fee: Decimal, *, is_maker: bool) -> None:
        """Count an execution."""
        self.fills += 1
        self.maker_fills += is_maker
        self.volume = exact_sum(self.volume, worth)
        self.fees = exact_sum(self.fees, fee)


def exchanges(run: RunConfig) -> dict[str, str]:
    """Name the exchanges of a run by what stands in its symbols, the first one's ``""`` before all.

    Empty when there is but one.
    """
    if not is_pooled(run.instruments):
        return {}
    return {"": run.desk.venue} | {name: name for name in sorted(map(exchange_of, run.instruments)) if name}


def lies_at(ledger: Ledger, names: Mapping[str, str]) -> list[Lies]:
    """Tell every balance by coin and exchange; of the account's currency also where there is none."""
    if ledger.last is None:
        return []
    amounts = {at(ledger.quote, each): ZERO for each in names} | dict(ledger.balances())
    places = list(names)
    order = sorted(amounts, key=lambda asset: (plain(asset), places.index(exchange_of(asset))))
    return [
        Lies(
            coin=plain(asset), exchange=names[exchange_of(asset)], amount=amounts[asset],
            worth=_worth(ledger, asset, amounts[asset]),
        )
        for asset in order
    ]  # fmt: skip


def lies_where(reader: JournalReader, run: RunConfig, until: int) -> list[Lies]:
    """Fold a journal up to a record and tell what lay where then; nothing for a desk at one exchange.

    Raises
    ------
    DataError
        When a record cannot be read.
    StateError
        When the books do not hold.
    """
    names = exchanges(run)
    if not names:
        return []
    books = Books(run)
    for entry in entries(reader, (*ORDER_KINDS, *MONEY_KINDS)):
        if entry.seq > until:
            break
        books.take(entry.message)
    return lies_at(books.ledger, names)


def _worth(ledger: Ledger, asset: str, amount: Decimal) -> Decimal | None:
    if plain(asset) == ledger.quote:
        return amount
    mark = ledger.marks.get(asset)
    return None if mark is None else tidy(exact_product(amount, mark))
