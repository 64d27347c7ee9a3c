"""Candle series, agents' contexts and a strategy that says what it is told."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from parley.agent import AgentEnv, AgentSpec, Context
from parley.messages import Bar, Book, Holding, MarketBatch, Opinion, StateView
from parley.strategy_source import Entry, Held, Leave, Pass, SourceFactory, Stay, StrategySource
from parley.view import FirmView
from tests.kit.builders import MINUTE, T0, make_bar, make_book, make_instrument, make_state

SYMBOLS = ("BTC/USDT", "ETH/USDT")


def bars_of(
    closes: Sequence[float], *, symbol: str = "BTC/USDT", wick: float = 0.0, first: int = T0
) -> list[Bar]:
    """Make one-minute candles that open at the close before; ``wick`` is added above and below."""
    bars, before = [], closes[0]
    for n, close in enumerate(closes):
        high, low = max(before, close) + wick, min(before, close) - wick
        bars.append(
            make_bar(
                symbol=symbol, t_open=first + n * MINUTE, open=before, high=high, low=low, close=close,
                volume=1.0,
            )
        )  # fmt: skip
        before = close
    return bars


def book_at(px: float, *, symbol: str = "BTC/USDT", half: float = 0.5, t: int = T0) -> Book:
    """A book with the mid ``px``."""
    return make_book(symbol=symbol, t=t, bids=((px - half, 5.0),), asks=((px + half, 5.0),))


def batch_of(bar: Bar, book: Book | None = None) -> MarketBatch:
    """The batch at a candle's close, with a book around it."""
    end = bar.t_open + bar.tf_ns
    return MarketBatch(
        step=1, t=end, bars=(bar,), books=(book or book_at(bar.close, symbol=bar.symbol, t=end),)
    )


def context(now: int = T0 + MINUTE, *, state: StateView | None = None, seq: int = 7) -> Context:
    """A context on an active account that holds nothing."""
    return Context(now=now, view=FirmView(state or make_state()), seq=seq, seed=1, agent="strategy/x")


def env_of(symbols: Sequence[str] = SYMBOLS) -> AgentEnv:
    """A desk of one-minute candles."""
    return AgentEnv(
        tenant="t", account="main", quote="USDT", symbols=tuple(symbols),
        instruments={s: make_instrument(s) for s in symbols}, tf_ns=MINUTE,
    )  # fmt: skip


def spec_of(agent: str = "strategy/x", **params: object) -> AgentSpec:
    """The spec of an agent with these parameters."""
    return AgentSpec(id=agent, role=agent.split("/")[0], factory="", params=params)


def held(qty: str = "0.1", **over: object) -> Holding:
    """A holding of strategy/x that was opened at 60,000."""
    plain = Holding(
        agent="strategy/x", symbol="BTC/USDT", qty=Decimal(qty), avg_px=Decimal(60_000), opened=T0,
        round=b"r", pid=b"p",
    )  # fmt: skip
    return msgspec.structs.replace(plain, **over)


def entry(**over: object) -> Entry:
    """A long of BTC at 60,000 with 1 % risk, 2 % reward and a fat edge."""
    plain = Entry(
        direction=1,
        edge_bps=80.0,
        conf=0.6,
        stop=59_400.0,
        take=61_200.0,
        horizon_ms=3_600_000,
        why="test: entry",
    )
    return msgspec.structs.replace(plain, **over)


class Scripted:
    """A source that always answers the same."""

    name = "scripted"
    version = "1"
    warmup_bars = 0

    def __init__(self, entry: Entry | Pass, exit: Leave | Stay) -> None:
        self.params = entry
        self._entry = entry
        self.leave = exit
        self.heard: list[tuple[str, ...]] = []

    def on_bar(self, bar: Bar) -> None:
        pass

    def entry(self, symbol: str, bar: Bar, opinions: Sequence[Opinion]) -> Entry | Pass:
        self.heard.append(tuple(o.agent for o in opinions))
        return self._entry

    def exit(self, symbol: str, bar: Bar, held: Held, opinions: Sequence[Opinion]) -> Leave | Stay:
        return self.leave

    def snapshot(self) -> bytes:
        return b""

    def restore(self, blob: bytes) -> None:
        pass


def scripted(answer: Entry | Pass | None = None, leave: Leave | Stay | None = None) -> SourceFactory:
    """A factory of a `Scripted` source; by default it enters and holds."""

    def build(_: Mapping[str, object]) -> StrategySource:
        return Scripted(answer or entry(), leave or Stay(float("nan")))

    return build
