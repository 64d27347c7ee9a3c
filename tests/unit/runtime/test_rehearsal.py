"""A rehearsal trades on what the real market shows; nothing of it reaches the real firm, and it gives way."""

import asyncio
import gc
import logging
import weakref
from collections.abc import Iterator

import pytest

from orchestrator.firm import Firm
from runtime import rehearsal
from runtime.idle_gc import IdleCollector
from runtime.rehearsal import Rehearsal
from tests.kit.desk_journal import traded
from tests.kit.firm_kit import TestDesk


@pytest.fixture
def desk() -> Iterator[TestDesk]:
    yield traded(3)
    gc.enable()  # a collector takes it over
    gc.unfreeze()


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
    before = (firm.table.seq, firm.account.view(), dict(firm.market.books), firm.market.step, firm.rounds)
    rehearsed = Rehearsal(firm, IdleCollector())

    assert play(rehearsed, 3_000) == 3_001

    assert rehearsed.rounds > 50
    assert rehearsed.orders >= rehearsed.rounds / 2, "it buys, or sells what it bought, on nearly each candle"
    after = (firm.table.seq, firm.account.view(), dict(firm.market.books), firm.market.step, firm.rounds)
    assert after == before
    assert firm.table.flush().records == ()


def test_it_gives_way_at_the_next_step_and_goes_on_where_it_was(desk: TestDesk) -> None:
    rehearsed = Rehearsal(desk.firm, IdleCollector())

    for _ in range(2_000):
        assert play(rehearsed, 1) == 2

    assert rehearsed.rounds > 30


def test_without_a_market_there_is_nothing_to_rehearse() -> None:
    try:
        rehearsed = Rehearsal(TestDesk(symbols=("BTC/USDT",)).firm, IdleCollector())
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
    rehearsed = Rehearsal(desk.firm, IdleCollector())
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
    rehearsed = Rehearsal(desk.firm, IdleCollector())
    gc.disable()
    play(rehearsed, 3_000)

    assert len(firms) > 5
    assert [ref() is None for ref in firms[:-1]] == [True] * (len(firms) - 1), "no collection was needed"
