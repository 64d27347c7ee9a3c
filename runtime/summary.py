"""A run in one object: what was decided, what it cost and earned, and who made a difference.

A fold over the journal, so that it can be made of any run at any time, also of one that was killed. The
equity is computed twice, by the desk while it ran and here from the fills, and the two must agree.

Not here: what only the processes know (candles sent, memory, speed): `commands.run` adds it.

Invariant: two runs with the same decisions give the same `decision_hash`, whatever their wall clock was; two
that also traded and ended alike the same `fingerprint`.
"""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

import msgspec

from parley.errors import DataError, StateError
from parley.instruments import assets_of, exchange_of, plain
from parley.messages import (
    KINDS,
    Crossed,
    Decision,
    Fill,
    Intent,
    MarketBatch,
    Shed,
    StateView,
    Strain,
    Void,
    decode,
    decode_envelope,
)
from parley.money import exact_difference
from runtime import influence
from runtime.books import MONEY_KINDS, ORDER_KINDS, Books
from runtime.by_exchange import Traded, exchanges
from runtime.history import config_of, kinds
from runtime.influence import InfluenceFold
from runtime.journal import JournalError, JournalReader
from runtime.output import plain as plain_json

TOP: Final = 12
OUTCOMES: Final = ("accept", "reject", "hold", "expired", "void")
_PROGRESS_EVERY: Final = 5000
_STATE: Final = KINDS[StateView]
_DECODED = {*ORDER_KINDS, *MONEY_KINDS, *influence.KINDS, *kinds("Shed", "Strain")} - set(kinds("Opinion"))
_WANTED: Final = tuple(sorted({*_DECODED, _STATE}))


class Equity(msgspec.Struct, array_like=True, tag=_STATE, frozen=True):
    """The beginning of a `StateView`: the rest is not needed, and there are very many."""

    account: str
    state_version: int
    t: int
    quote: str
    equity: Decimal
    peak: Decimal


class AgentPnl(msgspec.Struct, kw_only=True):
    """What an agent's proposals earned, in quote, fees included; ``accepted`` proposals."""

    pnl: Decimal = Decimal(0)
    accepted: int = 0
    fills: int = 0


class Summary(msgspec.Struct, kw_only=True):
    """A run; amounts in ``quote``."""

    run_id: str = ""
    quote: str = ""
    rounds: int = 0
    decisions: dict[str, int] = {}
    reasons: dict[str, int] = {}  # "outcome: who: code" of the word that ended the round
    refusals: dict[str, int] = {}  # "agent: code" of everything said against
    shed: dict[str, int] = {}  # triggers that got no round, by "code: symbol"
    strain: int = 0  # the highest level any source said
    proposals: int = 0
    orders: int = 0
    orders_by_state: dict[str, int] = {}
    orders_by_style: dict[str, int] = {}
    fills: int = 0
    maker_fills: int = 0
    volume: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    pnl: Decimal = Decimal(0)
    realised: Decimal = Decimal(0)
    unrealised: Decimal = Decimal(0)
    pnl_by_agent: dict[str, AgentPnl] = {}
    pnl_opening: Decimal = Decimal(0)
    attribution_is_complete: bool = False
    equity_start: Decimal = Decimal(0)
    equity_end: Decimal = Decimal(0)
    equity_refolded: Decimal = Decimal(0)
    equity_is_reproduced: bool = False
    max_drawdown: float = 0.0
    market_from: int = 0
    market_to: int = 0
    decision_hash: str = ""
    fingerprint: str = ""  # of decisions, fills and headline figures; of a backtest, the same in every run
    influence: dict[str, dict[str, int]] = {}
    records: int = 0
    crossings: int = 0  # how often two agents met inside the firm
    crossed: Decimal = Decimal(0)  # what that was worth
    saved: Decimal = Decimal(0)  # about what it spared in fees and spread
    by_exchange: dict[str, Traded] = {}  # of a desk at several, its first exchange before all


class _Fold:
    def __init__(self, reader: JournalReader) -> None:
        run = config_of(reader)
        self.out = Summary(run_id=run.run_id, quote=run.desk.quote)
        self.books = Books(run)
        self._exchanges = exchanges(run)
        self.out.by_exchange = {name: Traded() for name in self._exchanges.values()}
        self._influence = InfluenceFold(run.agents)
        self._hash = sha256()
        self._print = sha256()
        self._outcomes: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self._reasons: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._styles: Counter[str] = Counter()
        self._shed: Counter[str] = Counter()
        self._traded: set[bytes] = set()  # rounds of a `Crossed`, which no void undoes
        self._agents: dict[str, AgentPnl] = {}
        self._states = msgspec.msgpack.Decoder(Equity)
        self._peak = Decimal(0)
        self._equity: Decimal | None = None
        self._drawdown = Decimal(0)

    def take(self, kind: int, round_: bytes, raw: bytes) -> None:
        envelope = decode_envelope(raw)
        if kind == _STATE:
            self._state(self._states.decode(envelope.body))
            return
        message = decode(envelope.body)
        fees = self.books.ledger.fees
        self.books.take(message)
        self._influence.take(message, round_, envelope.sender)
        match message:
            case Decision():
                self._hash.update(envelope.body)
                self._print.update(envelope.body)
                self._decision(message)
            case Intent():
                self._styles[message.style] += 1
            case Fill():
                self._print.update(envelope.body)
                self._fill(message, exact_difference(self.books.ledger.fees, fees))
            case Crossed():
                self._print.update(envelope.body)
                self._traded.add(message.round)
                self.out.crossings += 1
                self.out.crossed += message.qty * message.px
                self.out.saved += message.saved
            case Void() if message.round not in self._traded:
                self._outcomes["void"] += 1
                self._outcomes["accept"] -= 1
            case Shed():
                self._shed[f"{message.code}: {message.symbol}"] += 1
            case Strain():
                self.out.strain = max(self.out.strain, message.level)
            case MarketBatch():
                self.out.market_from = self.out.market_from or message.t
                self.out.market_to = max(self.out.market_to, message.t)
            case _:
                pass

    def _state(self, state: Equity) -> None:
        if self._equity is None and state.equity > 0:
            self.out.equity_start = state.equity
        self._equity = state.equity
        self._peak = max(self._peak, state.equity)
        if self._peak > 0:
            self._drawdown = max(self._drawdown, (self._peak - state.equity) / self._peak)
        self.out.market_to = max(self.out.market_to, state.t)

    def _decision(self, decision: Decision) -> None:
        out = self.out
        out.rounds += 1
        out.proposals += decision.proposals
        self._outcomes[decision.action] += 1
        if decision.action == "accept":
            self._agents.setdefault(decision.agent, AgentPnl()).accepted += 1
        elif decision.reasons:
            who, code, _ = decision.reasons[0]
            self._reasons[f"{decision.action}: {who}: {code}"] += 1
        for who, code, _ in decision.reasons:
            self._refusals[f"{who}: {code}"] += 1

    def _fill(self, fill: Fill, fee: Decimal) -> None:
        self.out.fills += 1
        self.out.maker_fills += fill.liquidity == "maker"
        order = self.books.orders.get(fill.iid)
        if order is not None:
            self._agents.setdefault(order.agent, AgentPnl()).fills += 1
        quote = assets_of(fill.symbol)[1]
        is_own = plain(quote) == self.out.quote
        mark = Decimal(1) if is_own else self.books.ledger.marks.get(quote, Decimal(0))
        worth = fill.qty * fill.px * mark
        self.out.volume += worth
        if self._exchanges:
            self._at(fill.symbol).fill(worth, fee, is_maker=fill.liquidity == "maker")

    def _at(self, symbol: str) -> Traded:
        return self.out.by_exchange[self._exchanges[exchange_of(symbol)]]

    def finish(self) -> Summary:
        out, ledger = self.out, self.books.ledger
        out.decisions = dict(self._outcomes)
        out.reasons = dict(self._reasons.most_common(TOP))
        out.refusals = dict(self._refusals.most_common(TOP))
        out.shed = dict(self._shed.most_common(TOP))
        orders = self.books.orders.all()
        out.orders = len(orders)
        out.orders_by_state = dict(sorted(Counter(order.state.name for order in orders).items()))
        out.orders_by_style = dict(sorted(self._styles.items()))
        if self._exchanges:
            for order in orders:
                self._at(order.intent.symbol).orders += 1
        out.fees = ledger.fees
        out.realised = ledger.realised
        out.unrealised = ledger.unrealised()
        out.pnl = out.realised + out.unrealised
        out.equity_refolded = ledger.equity()
        out.equity_end = self._equity if self._equity is not None else out.equity_refolded
        out.equity_is_reproduced = out.equity_end == out.equity_refolded
        out.max_drawdown = float(self._drawdown)
        try:
            report = self.books.report()
        except StateError:
            out.attribution_is_complete = False
        else:
            out.attribution_is_complete = report.total == out.pnl
            out.pnl_opening = report.opening
            for agent, pnl in report.by_agent:
                self._agents.setdefault(agent, AgentPnl()).pnl = pnl
        out.pnl_by_agent = dict(sorted(self._agents.items()))
        out.decision_hash = self._hash.hexdigest()
        headline = (out.orders, out.fills, out.fees, out.pnl, out.equity_end, out.max_drawdown)
        self._print.update(repr(headline).encode())
        out.fingerprint = self._print.hexdigest()
        out.influence = influence.by_role(self._influence.counts)
        return out


def told(summary: Summary) -> dict[str, Any]:
    """Turn a summary into what JSON has; what only several exchanges have is left out where there is one."""
    found = {name: plain_json(getattr(summary, name)) for name in summary.__struct_fields__}
    if not summary.by_exchange:
        del found["by_exchange"]
    return found


def summarise(reader: JournalReader, progress: Callable[[int, int], None] | None = None) -> Summary:
    """Fold a run's journal.

    Parameters
    ----------
    progress : called with (records done, records in all) now and then

    Raises
    ------
    DataError
        When a record cannot be read, or the books do not hold.
    """
    fold = _Fold(reader)
    last = reader.count
    fold.out.records = last
    seq = 0
    try:
        for number, record in enumerate(reader.records(kinds=_WANTED)):
            seq = record.seq
            fold.take(record.kind, record.round, record.body)
            if progress is not None and number % _PROGRESS_EVERY == 0:
                progress(seq, last)
        return fold.finish()
    except (msgspec.MsgspecError, StateError, JournalError) as error:
        raise DataError(f"{str(reader.path)!r} record {seq}: {error}") from error
