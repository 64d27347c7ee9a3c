"""A rehearsal trades on what the real market shows; nothing of it reaches the real firm, and it gives way."""

import asyncio
import gc
import logging
import weakref
from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.firm import Firm
from orchestrator.policy import DeskConfig
from parley.instruments import Instrument, Tier, assets_of
from parley.messages import Book, MarketBatch
from runtime import rehearsal
from runtime.bootstrap import make_firm
from runtime.defaults import default_agents
from runtime.idle_gc import IdleCollector
from runtime.rehearsal import Rehearsal
from runtime.run_config import RunConfig
from tests.kit.desk_journal import traded
from tests.kit.firm_kit import T0, TestDesk, spot


class Noted:
    """Whom a watchdog would take to compute."""

    def __init__(self) -> None:
        self.entered = 0

    def enter(self, agent: str, seq: int) -> None:
        self.entered += 1

    def leave(self) -> None:
        return None


WATCH = Noted()


@pytest.fixture
def desk() -> Iterator[TestDesk]:
    yield traded(3)
    gc.enable()  # a collector takes it over
    gc.unfreeze()


def state(firm: Firm) -> tuple[object, ...]:
    market = (dict(firm.market.books), dict(firm.market.mids()), firm.market.step)
    return firm.table.seq, firm.account.view(), market, dict(firm.rounds), firm.table.has_more


def play(rehearsed: Rehearsal, steps: int) -> int:
    """Rehearse so many steps; gives how often it asked whether something came."""
    asked = 0

    def is_over() -> bool:
        nonlocal asked
        asked += 1
        return asked > steps

    asyncio.run(rehearsed.until(is_over))
    return asked


def test_rounds_are_traded_and_the_real_firm_does_not_notice(desk: TestDesk) -> None:
    firm = desk.firm
    before = state(firm)
    rehearsed = Rehearsal(firm, IdleCollector(), WATCH)

    assert play(rehearsed, 3_000) == 3_001

    assert rehearsed.rounds > 50
    assert rehearsed.orders >= 0.9 * rehearsed.rounds, "it buys, or sells what it bought"
    assert state(firm) == before
    assert firm.table.flush().records == ()


def test_it_gives_way_at_the_next_step_and_goes_on_where_it_was(desk: TestDesk) -> None:
    rehearsed = Rehearsal(desk.firm, IdleCollector(), WATCH)

    for _ in range(2_000):
        assert play(rehearsed, 1) == 2

    assert rehearsed.rounds > 30


def test_without_a_market_there_is_nothing_to_rehearse() -> None:
    try:
        rehearsed = Rehearsal(TestDesk(symbols=("BTC/USDT",)).firm, IdleCollector(), WATCH)
        assert play(rehearsed, 100) == 1
        assert rehearsed.rounds == 0
    finally:
        gc.enable()
        gc.unfreeze()


def test_one_that_fails_ends_alone_and_is_said_once(
    desk: TestDesk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_(*_: object, **__: object) -> None:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr(rehearsal, "assemble", break_)
    rehearsed = Rehearsal(desk.firm, IdleCollector(), WATCH)
    with caplog.at_level(logging.ERROR):
        assert play(rehearsed, 100) == 1
        assert play(rehearsed, 100) == 1

    assert [record.message for record in caplog.records] == ["rehearsal_failed rounds=0"]


def test_a_stand_in_is_gone_when_the_next_one_comes(desk: TestDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "ROUNDS", 5)
    firms: list[weakref.ref[Firm]] = []
    assemble = rehearsal.assemble

    def noted(*given: object, **named: object) -> object:
        made = assemble(*given, **named)  # type: ignore[arg-type]
        firms.append(weakref.ref(made.firm))
        return made

    monkeypatch.setattr(rehearsal, "assemble", noted)
    rehearsed = Rehearsal(desk.firm, IdleCollector(), WATCH)
    gc.disable()
    play(rehearsed, 3_000)

    assert len(firms) > 5
    assert [ref() is None for ref in firms[:-1]] == [True] * (len(firms) - 1), "no collection was needed"


@pytest.mark.parametrize(
    "listed",
    [
        {f"{each}/USDT": (100.0, {}) for each in "ABCDEFGH"},
        {"A/USDT": (0.02, {"tick": D("1e-6"), "lot": D(1), "min_qty": D(1), "max_qty": D(10) ** 13})},
        {"B/BTC": (0.05, {"tick": D("0.00001"), "min_notional": D("0.0001")}), "BTC/USDT": (60_000.0, {})},
        {"D/USDT:USDT": (60_000.0, {"margin": D("0.2"), "tiers": (Tier(D(50_000), D("0.01"), D(0)),)})},
    ],
)
def test_every_kind_of_pair_is_traded(listed: dict[str, tuple[float, dict[str, Any]]]) -> None:
    instruments = {symbol: pair(symbol, words) for symbol, (_, words) in listed.items()}
    config = DeskConfig(symbols=tuple(listed))
    firm = make_firm(RunConfig(run_id="t", desk=config, agents=default_agents(), instruments=instruments))
    books = tuple(wide(symbol, px) for symbol, (px, _) in listed.items())
    firm.market.see(MarketBatch(step=1, t=T0, books=books), T0)
    try:
        rehearsed = Rehearsal(firm, IdleCollector(), WATCH)
        play(rehearsed, 1_500)

        assert rehearsed.told() == {"rounds": rehearsed.rounds, "orders": rehearsed.orders}
        assert rehearsed.orders >= 0.45 * rehearsed.rounds > 10, "there is little of another quote"
    finally:
        gc.enable()
        gc.unfreeze()


def pair(symbol: str, words: dict[str, Any]) -> Instrument:
    base, quote = assets_of(symbol)
    return replace(spot("BTC/USDT"), symbol=symbol, base=base, quote=quote, **words)


def wide(symbol: str, px: float) -> Book:
    """A thin book whose spread no limit would let pass."""
    return Book(symbol=symbol, t=T0, seq=1, bids=((px * 0.9, 1e-6),), asks=((px * 1.1, 1e-6),))
