"""The journal of a desk with the real default agents, in process: random candles, orders filled at once.

Not here: processes and a venue (`tests.kit.desk_lives`); scripted agents (`tests.kit.desk_journal`).

Invariant: the file replays; the same arguments give the same records.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from decimal import Decimal as D
from pathlib import Path
from random import Random

from msgspec.structs import replace

from orchestrator.cascade import groups_in
from orchestrator.policy import DeskConfig, GroupOut
from parley.messages import Ack, Balance, Bar, Book, Fill, Heartbeat, Intent, MarketBatch, Message, Started
from runtime.bootstrap import Assembly, assemble
from runtime.defaults import default_agents
from runtime.journal import JournalWriter
from runtime.outbox import group_of
from runtime.run_config import RunConfig, manifest
from tests.kit.firm_kit import MINUTE, T0, spot

SYMBOLS = ("BTC/USDT", "ETH/USDT")


def trading_run(source: str = "strategies.pulse:make") -> RunConfig:
    """Return the default desk with one strategy in place of trend that trades on every candle."""
    agents = tuple(
        replace(spec, params={"source": source, "cooldown_ms": 0, "share": 0.1, "risk": 0.02})
        if spec.id == "strategy/trend"
        else spec
        for spec in default_agents()
    )
    return RunConfig(
        run_id="t", desk=DeskConfig(symbols=SYMBOLS, profile="lockstep"), agents=agents,
        instruments={symbol: spot(symbol) for symbol in SYMBOLS},
    )  # fmt: skip


def write_run(path: Path, bars: int, seed: int = 1) -> RunConfig:
    """Write the journal of so many candles of each pair; return what was run."""
    run = trading_run()
    with JournalWriter.create(path, manifest(run), durable=False, prezero_mb=0) as journal:
        for out in groups_of(assemble(run), bars, seed):
            if out.records:
                journal.append(group_of(out, 1)[0]).result()
    return run


def groups_of(desk: Assembly, bars: int, seed: int = 1) -> Iterator[GroupOut]:
    """Drive a desk over candles, answering its orders."""
    dice, prices, mono = Random(seed), dict.fromkeys(SYMBOLS, 1000.0), 0
    due: deque[tuple[Message, str]] = deque(
        [
            (Started(run_id="t", epoch=1, quote="USDT", capital=D(100_000), t=T0), "supervisor"),
            (Balance(account="main", venue="binance", assets=(("USDT", D(100_000)),), t=T0), "gateway"),
        ]
    )
    for n in range(1, bars + 1):
        due.append(
            (Heartbeat(unit="gateway", incarnation=1, epoch=1, head=b"", t=0, offset_ms=0.0), "gateway")
        )
        due.append((_batch(n, prices, dice), "hub"))
        while due:
            mono += 1_000_000
            for out in _admit(desk, *due.popleft(), T0 + n * MINUTE, mono):
                yield out
                for order in out.orders:
                    if isinstance(order, Intent):
                        due += [(each, "gateway") for each in _filled(order)]


def _admit(desk: Assembly, message: Message, sender: str, t: int, mono: int) -> Iterator[GroupOut]:
    cascade = desk.firm.admit(message, sender, t_event=t, t_mono=mono, t_recv=t)
    return groups_in(cascade, desk.transport.exchange)


def _batch(n: int, prices: dict[str, float], dice: Random) -> MarketBatch:
    t, bars, books = T0 + n * MINUTE, [], []
    for symbol in SYMBOLS:
        before = prices[symbol]
        px = prices[symbol] = round(before * (1 + dice.gauss(0, 1e-3)), 2)
        bars.append(
            Bar(
                symbol=symbol, tf_ns=MINUTE, t_open=t - MINUTE, open=before, high=max(before, px),
                low=min(before, px), close=px, volume=1000.0,
            )
        )  # fmt: skip
        books.append(
            Book(
                symbol=symbol, t=t, seq=n, bids=((round(px - 0.01, 2), 500.0),),
                asks=((round(px + 0.01, 2), 500.0),),
            )
        )  # fmt: skip
    return MarketBatch(step=n, t=t, bars=tuple(bars), books=tuple(books))


def _filled(order: Intent) -> Iterator[Message]:
    nth = order.cid
    yield Ack(iid=order.iid, venue_id=nth, t_venue=T0)
    yield Fill(
        trade_id=nth, venue=order.venue, account=order.account, iid=order.iid, venue_id=nth,
        symbol=order.symbol, side=order.side, qty=order.qty, px=order.px or order.ref_px or D(1000),
        fee=D("0.01"), fee_asset="USDT", liquidity="taker", t=T0,
    )  # fmt: skip
