"""What a journal's messages add up to: orders, money and who earned it.

The same folds as the desk's own (`parley.ledger`, `orchestrator.orders`, `orchestrator.attribution`), fed
from the file. Because it starts from nothing but the journal, its equity can be compared with the one the
desk wrote.

Not here: how anything is shown.

Invariant: messages are taken in journal order, each once.
"""

from decimal import Decimal
from typing import Final

from orchestrator.attribution import Attribution, AttributionReport
from orchestrator.orders import Order, Orders, OrderState
from parley.errors import StateError
from parley.instruments import plain
from parley.ledger import Ledger
from parley.messages import (
    Ack,
    Alarm,
    Balance,
    Book,
    CancelIntent,
    CounterReply,
    Crossed,
    Decision,
    Fill,
    FundingPaid,
    Intent,
    MarketBatch,
    Message,
    Opinion,
    OrderEvent,
    Proposal,
    Unknown,
    VenueReject,
    Void,
)
from runtime.history import kinds
from runtime.run_config import RunConfig

ORDER_KINDS: Final = kinds(
    "Decision", "Intent", "CancelIntent", "Ack", "VenueReject", "Unknown", "OrderEvent", "Fill", "Void",
    "Alarm",
)  # fmt: skip
MONEY_KINDS: Final = kinds(
    "Balance", "FundingPaid", "MarketBatch", "Proposal", "CounterReply", "Opinion", "Crossed"
)


class OrderBook:
    """All orders of a run with their last state."""

    def __init__(self) -> None:
        self._orders = Orders()
        self._agents: dict[bytes, str] = {}  # pid -> who proposed
        self._alarms: dict[bytes, Alarm] = {}  # iid -> the newest over it
        self.iids: list[bytes] = []
        self.t = 0

    def take(self, message: Message) -> None:
        """Fold one message; others than `ORDER_KINDS` change nothing."""
        match message:
            case Decision():
                self.t = max(self.t, message.t)
                if message.action == "accept":
                    self._agents[message.pid] = message.agent
            case Intent():
                self._orders.open(message, self._agents.get(message.pid, ""), self.t)
                self.iids.append(message.iid)
            case CancelIntent():
                if self._orders.get(message.iid) is not None:
                    self._orders.ask_cancel(message.iid)
            case Ack() | VenueReject() | Unknown() | OrderEvent() | Fill():
                self._orders.apply(message)
            case Void():
                for iid in message.iids:
                    self._orders.void(iid)
            case Alarm():
                self._alarms[message.iid] = message
            case _:
                pass

    def alarm(self, order: Order) -> Alarm | None:
        """Return the newest alarm over an order of which nobody knows what became of it."""
        return self._alarms.get(order.intent.iid) if order.state is OrderState.UNKNOWN else None

    def alarms(self) -> list[Alarm]:
        """Return the newest alarm over every order in doubt."""
        iids = [iid for iid in self._alarms if (order := self.get(iid)) is not None and self.alarm(order)]
        return [self._alarms[iid] for iid in iids]

    def get(self, iid: bytes) -> Order | None:
        """Return an order by its intent id."""
        return self._orders.get(iid)

    def all(self) -> list[Order]:
        """Return every order in the order of the intents."""
        return [order for iid in self.iids if (order := self._orders.get(iid)) is not None]


class Books:
    """Ledger and attribution of a run, folded from its journal."""

    def __init__(self, run: RunConfig) -> None:
        self.quote = run.desk.quote
        self.ledger = Ledger(run.desk.account, run.desk.quote, run.instruments)
        self.orders = OrderBook()
        self._instruments = run.instruments
        self._attribution = Attribution()
        self._owners: dict[bytes, tuple[str, bytes, bytes]] = {}  # iid -> agent, pid, round
        self._proposals: dict[bytes, Proposal] = {}
        self._marks: dict[str, float] = {}
        self._booked: object = None

    def take(self, message: Message) -> None:
        """Fold one message; others than `ORDER_KINDS` and `MONEY_KINDS` change nothing."""
        self.orders.take(message)
        match message:
            case MarketBatch():
                for book in message.books:
                    self._mark(book, message.t)
            case Proposal():
                self._proposals[message.pid] = message
            case CounterReply() if message.proposal is not None:
                self._proposals[message.proposal.pid] = message.proposal
            case Opinion():
                self._attribution.on_opinion(message)
            case Decision():
                proposal = self._proposals.get(message.pid)
                if message.action == "accept" and proposal is not None:
                    self._attribution.on_decision(message, proposal)
                self._proposals.clear()
            case Intent():
                order = self.orders.get(message.iid)
                self._owners[message.iid] = (order.agent if order else "", message.pid, message.round)
            case Balance():
                self.ledger.open(message.assets, message.t)
                self._fold()
            case FundingPaid() as paid:
                self.ledger.funding(paid.symbol, paid.amount, paid.asset, paid.t, paid.ref)
                self._fold()
            case Crossed():
                self.ledger.cross(message)
                self._fold()
            case Fill():
                agent, pid, round_ = self._owners.get(message.iid, ("external", b"", b""))
                self.ledger.apply(message, agent=agent, pid=pid, round=round_)
                self._fold()
            case _:
                pass

    def _mark(self, book: Book, t: int) -> None:
        # As the desk's account does: at the mid, when it moved, and only in the currency money is counted in.
        if not (book.bids and book.asks) or self._marks.get(book.symbol) == book.mid:
            return
        self._marks[book.symbol] = book.mid
        instrument = self._instruments.get(book.symbol)
        if instrument is not None and plain(instrument.quote) == self.quote:
            self.ledger.mark(book.symbol, Decimal(repr(book.mid)), t)
            self._fold()

    def _fold(self) -> None:
        last = self.ledger.last
        if last is not None and last is not self._booked:
            self._booked = last
            self._attribution.on_transaction(last)

    def report(self) -> AttributionReport:
        """Divide the PnL by round, proposal, opinion and agent.

        Raises
        ------
        StateError
            When the parts do not sum to the ledger's PnL.
        """
        return self._attribution.report(self.ledger)

    def pnl_of_round(self, round_: bytes) -> Decimal:
        """Return what a round's own orders earned so far, fees included; zero without any."""
        try:
            return dict(self.report().by_round).get(round_, Decimal(0))
        except StateError:
            return Decimal(0)
