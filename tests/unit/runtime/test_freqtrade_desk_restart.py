"""A desk that comes back tells a freqtrade strategy what makes it the strategy that it was.

A real firm with the strategy in this process, and a venue that says of an order that was filled no more than
its fill: that it is over stands in the account's state only.

Not here: a desk that is killed (tests/kill/test_freqtrade_desk_kill.py), a strategy whose process alone came
back (`test_freqtrade_restarts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from freqtrade_bridge.options import Options
from parley.bus import AgentHost, Ask, InProc
from parley.messages import (
    Ack,
    Balance,
    Bar,
    Book,
    CancelIntent,
    Fill,
    Heartbeat,
    Intent,
    MarketBatch,
    Started,
    StateView,
    decode,
)
from parley.view import FirmView
from runtime.agent_line import Seat
from runtime.bootstrap import assemble, env_of
from runtime.freqtrade_agent import FreqtradeAgent, make
from runtime.journal import JournalWriter
from runtime.kept_snapshots import KeptSnapshots
from runtime.outbox import group_of
from runtime.paper import plan
from runtime.recovery import recover
from runtime.run_config import RunConfig, manifest
from runtime.settings import load_settings
from tests.kit.firm_kit import D, TestDesk, spot
from tests.kit.freqtrade_folder import write_config
from tests.kit.paper_clockworks import CANDLES, EARLY, WARM_UP, write_clockworks

MINUTES = 5
TF_NS = MINUTES * 60_000_000_000
PAIRS = ("AAA/USDT", "BBB/USDT", "CCC/USDT")
CAPITAL = D(1000)


class ClockworkDesk(TestDesk):
    """A firm around the strategy that enters at every half hour; ``fill`` as for any other."""

    def __init__(self, run: RunConfig, candles: Path) -> None:
        self.run = run
        assembly = assemble(run)
        self.firm, self.transport = assembly.firm, assembly.transport
        self.records, self.groups, self.sent = [], [], []
        self.fill, self.mono, self.step, self.trade = True, 1, 0, 0
        self.symbols = PAIRS
        self._frames = {
            pair: pd.read_feather(candles / f"{pair.replace('/', '_')}-5m.feather") for pair in PAIRS
        }
        self.admit(Started(run_id="t", epoch=1, quote="USDT", capital=CAPITAL, t=1), "supervisor")
        self.admit(Balance(account="main", venue="binance", assets=(("USDT", CAPITAL),), t=1), "gateway")

    @property
    def agent(self) -> FreqtradeAgent:
        assert isinstance(self.transport, InProc)
        made = self.transport._hosts[EARLY].agent
        assert isinstance(made, FreqtradeAgent)
        return made

    def candle(self, row: int, parts: int = 2) -> None:
        """Play a candle in parts; it is told with the last one."""
        for part in range(1, parts + 1):
            beat = Heartbeat(unit="gateway", incarnation=1, epoch=1, head=b"", t=1, offset_ms=1.0)
            self.admit(beat, "gateway")
            self.step += 1
            t = int(self._frames[PAIRS[0]]["date"].iloc[row].timestamp()) * 10**9 + TF_NS * part // parts
            prices = {pair: float(self._frames[pair]["close"].iloc[row]) for pair in PAIRS}
            books = tuple(
                Book(symbol=pair, t=t, seq=self.step, bids=((px, 1e6),), asks=((px * 1.0001, 1e6),))
                for pair, px in prices.items()
            )
            bars = tuple(self._bar(pair, row, t) for pair in PAIRS) if part == parts else ()
            orders = self.admit(MarketBatch(step=self.step, t=t, bars=bars, books=books), "hub")
            self.answered(orders, prices, t)

    def _bar(self, pair: str, row: int, t: int) -> Bar:
        candle = self._frames[pair].iloc[row]
        values: dict[str, Any] = {
            name: float(candle[name]) for name in ("open", "high", "low", "close", "volume")
        }
        return Bar(symbol=pair, tf_ns=TF_NS, t_open=t - TF_NS, **values)

    def answered(self, orders: Sequence[Intent | CancelIntent], prices: dict[str, float], t: int) -> None:
        """Fill every order whole, and say no more of it."""
        for order in orders:
            assert isinstance(order, Intent)
            self.trade += 1
            px = D(repr(prices[order.symbol]))
            fill = Fill(
                trade_id=f"{self.trade}", venue="binance", account="main", iid=order.iid, venue_id="v",
                symbol=order.symbol, side=order.side, qty=order.qty, px=px, fee=order.qty * px * D("0.001"),
                fee_asset="USDT", liquidity="taker", t=t,
            )  # fmt: skip
            assert self.admit(fill, "gateway") == []
            assert self.admit(Ack(iid=order.iid, venue_id="v", t_venue=t), "gateway") == []

    def write(self, path: Path) -> Path:
        """Write its journal."""
        with JournalWriter.create(path, manifest(self.run), durable=False, prezero_mb=0) as journal:
            for out in self.groups:
                if out.records:
                    journal.append(group_of(out, 1)[0]).result()
        return path


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> ClockworkDesk:
    folder = tmp_path_factory.mktemp("restart")
    write_clockworks(folder, WARM_UP + CANDLES)
    config = write_config(folder / "config.json")
    for name in ("user", "market"):
        (folder / name).mkdir()
    options = Options(
        user_data_dir=folder / "user", config=(config,), datadir=folder / "candles", strategy="Clockwork",
        strategy_path=folder / "strategies",
    )  # fmt: skip
    settings = load_settings(None, {"home": folder / "home", "speed": "max"})
    paper = plan(settings, options, folder / "market", consent=True)
    run = paper.compose(paper.settings, paper.market, "t")
    run = RunConfig(
        run_id="t", desk=run.desk, agents=run.agents, limits=run.limits,
        instruments={pair: spot(pair) for pair in PAIRS},
    )  # fmt: skip
    return ClockworkDesk(run, folder / "candles")


class NextLife:
    """The strategy that a desk's next life would have: made of what that desk tells its process."""

    def __init__(self, desk: ClockworkDesk, journal: Path, kept: KeptSnapshots) -> None:
        spec = next(spec for spec in desk.run.agents if spec.id == EARLY)
        self.seat = Seat(spec, env_of(desk.run), 1)
        recover(journal, desk.run).seat([self.seat], kept)
        self.agent = make(spec, env_of(desk.run))
        if self.seat.snapshot:
            self.agent.restore(self.seat.snapshot)
        host = AgentHost(self.agent, 1)
        assert self.seat.view is not None
        shown = [] if self.seat.is_view_told else [self.seat.view]
        for told in [*shown, *self.seat.told]:  # as its process does (`agent_server`)
            message = decode(bytes(told.body))
            if isinstance(message, StateView):
                host.see(FirmView(message))
            else:
                assert host.follow(Ask(EARLY, told.seq, told.now, message, told.nth)) == ((), "")


def test_strategy_that_traded_is_after_a_restart_of_its_desk_what_it_was(
    desk: ClockworkDesk, tmp_path: Path
) -> None:
    """Made of all it was told, and of a snapshot that was kept and what it was told since."""
    followed = []
    keeper: KeptSnapshots | None = None
    for row in range(WARM_UP, WARM_UP + 24):
        desk.candle(row)
        if row % 10 == 5:
            journal = desk.write(tmp_path / f"{row}")
            nothing = KeptSnapshots(journal, "t")
            again = [NextLife(desk, journal, kept) for kept in (nothing, keeper) if kept is not None]
            for each in again:
                assert each.agent.snapshot() == desk.agent.snapshot(), f"after candle {row}"
            followed.append([len(each.seat.told) for each in again])
            closed = len(desk.agent._trader.register.closed)
            keeper = nothing
            again[0].seat.ask_snapshot()
            assert again[0].seat.asked is not None
            keeper.keep(EARLY, again[0].seat.asked, desk.agent.snapshot())
    assert closed >= 6, "every pair came and went before it was compared for the last time"
    whole, since = followed[-1]
    assert 0 < since < whole / 2
