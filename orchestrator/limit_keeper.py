"""The table of limits a desk judges by, and its changes while the desk runs.

Not here: who may change what (`runtime.limit_switch`), what a change is (`parley.risk.changes`).

Invariant: whoever judges an order, a size or a fall judges by the same table; a change that cannot be made
changes nothing and says why.
"""

from collections.abc import Generator, Sequence

from parley.bus import Answer, Wave
from parley.errors import ConfigError
from parley.messages import LimitChange, LimitsSet
from parley.risk.changes import LimitBook, value_of
from parley.risk.limits import Limits

from .account import Account
from .gatekeeper import Gatekeeper
from .negotiation import Negotiation
from .policy import GroupOut
from .table import Table


class LimitKeeper:
    """Keeps the book of limits; ``book`` is what is in force."""

    def __init__(
        self, limits: Limits, table: Table, account: Account, gatekeeper: Gatekeeper, negotiation: Negotiation
    ) -> None:
        self.book = LimitBook(limits, limits)
        self._table = table
        self._account = account
        self._gatekeeper = gatekeeper
        self._negotiation = negotiation
        account.judged_by(limits.version)

    @property
    def now(self) -> Limits:
        """The table in force."""
        return self.book.table

    def is_news(self, change: LimitChange) -> bool:
        """Whether a change was not heard before."""
        return change.n > self.book.n

    def change(self, change: LimitChange, seq: int) -> Generator[Wave | GroupOut, Sequence[Answer], None]:
        """Judge by the changed table from the next order on, and tell who else judges."""
        key, before, refused = change.key, change.old, ""
        try:
            before = value_of(self.now, key)
            self.book = self.book.after(change.n, key, change.new)
        except ConfigError as error:
            self.book, refused = self.book.passed(change.n), str(error)[:400]
        table = self.now
        self._gatekeeper.limits = table
        self._negotiation.follow(table)
        self._account.judged_by(table.version)
        said = LimitsSet(
            n=change.n, version=table.version, key=key, before=before, refused=refused,
            value=before if refused else value_of(table, key),
        )  # fmt: skip
        of_it = self._table.emit(said, cause=seq)
        yield from self._table.tell(said, seq=of_it)
