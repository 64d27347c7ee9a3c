"""A desk that agrees to everything, and a venue that fills at once: around one freqtrade agent, by
messages.

Not here: what a real desk does with an offer (`tests/integration`). Invariant: the agent is told everything
in the order a desk would tell it, and all of it is kept: it can be told again to another agent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from freqtrade_bridge.options import Options
from parley.agent import AgentEnv, AgentSpec, Context
from parley.bus import EMPTY_STATE
from parley.ids import intent_id
from parley.instruments import Instrument
from parley.messages import (
    Analysed,
    Bar,
    Book,
    Cfp,
    Decision,
    Fill,
    MarketBatch,
    Message,
    OrderEvent,
    PlanLeg,
    Proposal,
    Refuse,
)
from parley.view import FirmView
from runtime.freqtrade_agent import FreqtradeAgent, make
from tests.kit.freqtrade_folder import STRATEGIES, spot_candles, write_config

D = Decimal
NS = 1_000_000
MINUTES = 5
TF_NS = MINUTES * 60_000 * NS
ME = "strategy/x"
FEE = D("0.001")
WHOLE = D(1)
SUBSCRIPTIONS = ("MarketBatch", "Decision", "Fill", "OrderEvent", "VenueReject")
# Exits of a strategy's own only: what a backtest looks for inside candles is left out.
NO_STOPS: dict[str, Any] = {"minimal_roi": {"0": 100}, "stoploss": -0.99, "trailing_stop": False}


@dataclass
class Folder:
    """A freqtrade user's folder with candles of some pairs."""

    path: Path
    pairs: tuple[str, ...]
    frames: dict[str, pd.DataFrame]

    def options(self, strategy: str, **changes: Any) -> dict[str, Any]:
        """Return options as a spec's params hold them."""
        given: dict[str, Any] = {
            "user_data_dir": str(self.path / "user"), "config": [str(self.path / "config.json")],
            "datadir": str(self.path / "data"), "strategy": strategy, "strategy_path": str(STRATEGIES),
            "dataformat_ohlcv": "feather", "enable_protections": True,
        }  # fmt: skip
        return given | changes

    def t_ms(self, row: int) -> int:
        """When a row's candle opened."""
        return int(self.frames[self.pairs[0]]["date"].iloc[row].timestamp() * 1000)

    def bars(self, row: int, pairs: Sequence[str] | None = None) -> tuple[Bar, ...]:
        """Return the closed candles of a row."""
        return tuple(
            Bar(
                symbol=pair, tf_ns=TF_NS, t_open=self.t_ms(row) * NS,
                **{name: float(self.frames[pair][name].iloc[row]) for name in VALUES},
            )
            for pair in pairs or self.pairs
        )  # fmt: skip

    def books(self, row: int, name: str = "open", t_ms: int | None = None) -> tuple[Book, ...]:
        """Return books around a price of a row's candles."""
        t = (self.t_ms(row) if t_ms is None else t_ms) * NS
        return tuple(book(pair, float(self.frames[pair][name].iloc[row]), t) for pair in self.pairs)

    def batches(self, first: int, last: int) -> Iterator[MarketBatch]:
        """Return a batch for every candle: it closed, and the next one's opening price is there."""
        for row in range(first, last):
            yield MarketBatch(
                step=row, t=self.t_ms(row + 1) * NS, bars=self.bars(row), books=self.books(row + 1)
            )


VALUES = ("open", "high", "low", "close", "volume")


def book(pair: str, price: float, t: int = 0, size: float = 1e9) -> Book:
    """A book without a spread, as freqtrade's backtest has it."""
    price = float(price)
    return Book(symbol=pair, t=t, seq=1, bids=((price, size),), asks=((price, size),))


def make_folder(path: Path, count: int = 700, **config: Any) -> Folder:
    """Write seeded candles and a configuration."""
    spot_candles(path / "data", count)
    write_config(path / "config.json", **config)
    pairs = ("AAA/USDT", "BBB/USDT", "CCC/USDT")
    frames = {pair: pd.read_feather(path / "data" / f"{pair.replace('/', '_')}-5m.feather") for pair in pairs}
    return Folder(path, pairs, frames)


def env_of(pairs: Sequence[str], tf_ns: int = TF_NS) -> AgentEnv:
    """A desk whose grid is as fine as the candles' prices."""
    instruments = {
        pair: Instrument(
            symbol=pair, venue="sim", base=pair.split("/")[0], quote="USDT", tick=D("0.0001"),
            lot=D("0.00000001"), min_qty=D(0), max_qty=D(10**9), min_notional=D(0), maker_fee=FEE,
            taker_fee=FEE,
        )
        for pair in pairs
    }  # fmt: skip
    return AgentEnv(
        tenant="t", account="main", quote="USDT", symbols=tuple(pairs), instruments=instruments, tf_ns=tf_ns
    )


def make_paper_agent(folder: Folder, strategy: str, begin_row: int, **over: Any) -> FreqtradeAgent:
    """Make the agent; what is not a parameter of it is an option."""
    params = {name: over.pop(name) for name in ("errors",) if name in over}
    params |= {"options": folder.options(strategy, **over), "begin_ms": folder.t_ms(begin_row)}
    spec = AgentSpec(
        id=ME, role="strategy", factory="runtime.freqtrade_agent:make", subscriptions=SUBSCRIPTIONS,
        params=params, own_rounds=True, outside=True,
    )  # fmt: skip
    return make(spec, env_of(folder.pairs))


@dataclass
class PaperDesk:
    """Leads one agent through batches; ``part`` of every order is filled, orders of ``denied`` pairs are not.

    ``told`` is all it was told, with its context; ``proposals`` what it proposed, by market time in ms.
    """

    agent: FreqtradeAgent
    part: Decimal = WHOLE
    denied: frozenset[str] = frozenset()
    fee_in_base: bool = False
    view: FirmView = field(default_factory=lambda: FirmView(EMPTY_STATE))
    told: list[tuple[Message, Context]] = field(default_factory=list)
    proposals: list[tuple[int, Proposal]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    refusals: list[Refuse] = field(default_factory=list)
    now: int = 0
    seq: int = 0

    def tell(self, message: Message) -> Sequence[Message]:
        """Tell the agent one message."""
        self.seq += 1
        context = Context(self.now, self.view, self.seq, 1, ME)
        self.told.append((message, context))
        return self.agent.handle(message, context)

    def play(self, batch: MarketBatch) -> list[Proposal]:
        """Tell a batch and negotiate what comes of it; returns what was proposed."""
        self.now = batch.t
        before = len(self.proposals)
        for said in self.tell(batch):
            assert isinstance(said, Analysed)
            self.faults += said.faults
            for ready in said.ready:
                self.negotiate(ready.symbol)
        return [each for _, each in self.proposals[before:]]

    def negotiate(self, symbol: str, *, reduce_only: bool = False) -> None:
        """Hold a round on a symbol: all is agreed, and filled at the price of the book."""
        round_ = f"{symbol}/{self.seq}".encode().ljust(16, b".")[-16:]
        cfp = Cfp(
            symbols=(symbol,), budget_hint=D(1), horizon_ms=1, min_edge_bps=0.0, state_version=0, t=self.now,
            reduce_only=reduce_only, to_agents=(ME,), round=round_,
        )  # fmt: skip
        (answer,) = self.tell(cfp)
        if not isinstance(answer, Proposal):
            assert isinstance(answer, Refuse)
            self.refusals.append(answer)
            return
        self.proposals.append((self.now // NS, answer))
        for message in self.outcome(round_, answer):
            self.tell(message)

    def outcome(self, round_: bytes, bid: Proposal) -> Iterator[Message]:
        """Return what became of a proposal: the decision, its fill, its end."""
        leg = bid.legs[0]
        agreed = leg.symbol not in self.denied
        plan = PlanLeg(
            symbol=leg.symbol, side=leg.side, qty=leg.qty, style="market", px=leg.limit_px, tif="IOC",
            reduce_only=leg.reduce_only,
        )  # fmt: skip
        yield Decision(
            round=round_, symbol=leg.symbol, pid=bid.pid, agent=ME, action="accept" if agreed else "reject",
            qty=leg.qty if agreed else D(0), px=leg.limit_px, score=0.0, margin_of_win=0.0, weights_version=0,
            quorum=0.0, reasons=(), plan=(plan,) if agreed else (), t=self.now,
        )  # fmt: skip
        if not agreed:
            return
        iid = intent_id(round_, bid.pid, 0, 0)
        qty = (leg.qty * self.part).quantize(D("0.00000001"))
        levels = self.agent._books[leg.symbol]
        px = D(repr((levels.asks if leg.side == "buy" else levels.bids)[0][0]))
        in_base = self.fee_in_base and leg.side == "buy"
        if qty:
            yield Fill(
                trade_id=f"{self.seq}", venue="sim", account="main", iid=iid, venue_id="1", symbol=leg.symbol,
                side=leg.side, qty=qty, px=px, fee=qty * FEE if in_base else qty * px * FEE,
                fee_asset=leg.symbol.split("/")[0] if in_base else "USDT", liquidity="taker",
                t=self.now,
            )  # fmt: skip
        yield OrderEvent(
            iid=iid, venue_id="1", symbol=leg.symbol, status="closed" if self.part == 1 else "canceled",
            cum_qty=qty, avg_px=px, t=self.now,
        )  # fmt: skip


def options_of(folder: Folder, strategy: str, **changes: Any) -> Options:
    """Return the same options for a backtest."""
    given: Mapping[str, Any] = folder.options(strategy, **changes)
    paths = ("user_data_dir", "datadir", "strategy_path")
    plain = {name: Path(value) if name in paths else value for name, value in given.items()}
    return Options(**plain | {"config": tuple(Path(each) for each in given["config"])})
