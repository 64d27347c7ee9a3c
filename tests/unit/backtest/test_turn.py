"""A function that runs only while it has the turn: what it raises is raised there, and it can be given up."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from backtest.errors import SimulationError
from backtest.turn import Turn, give_up


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    loud: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", loud.append)
    before = threading.active_count()
    yield
    assert threading.active_count() == before
    assert not loud


def test_it_runs_only_in_its_turn() -> None:
    steps: list[str] = []

    def work() -> None:
        steps.append("first")
        turn.rest()
        steps.append("second")

    turn = Turn("work", work)
    assert steps == []
    turn.take()
    over = [turn.is_over]
    steps.append("mine")
    turn.take()
    over.append(turn.is_over)
    turn.take()  # nothing is left to do
    assert steps == ["first", "mine", "second"]
    assert over == [False, True]
    give_up([turn])


def test_what_it_raises_is_raised_where_the_turn_was_given() -> None:
    def work() -> None:
        turn.rest()
        raise ValueError("wrong")

    turn = Turn("work", work)
    turn.take()
    for _ in range(2):
        with pytest.raises(ValueError, match="wrong"):
            turn.take()
    give_up([turn])


def test_who_waits_and_who_has_not_begun_are_given_up() -> None:
    steps: list[str] = []

    def work() -> None:
        steps.append("begun")
        with pytest.raises(SimulationError, match="given up"):
            waiting.rest()
        steps.append("ended")

    waiting, idle = Turn("waiting", work), Turn("idle", lambda: steps.append("never"))
    waiting.take()
    give_up([waiting, idle])
    assert steps == ["begun", "ended"]


def test_who_is_at_work_ends_at_its_next_rest() -> None:
    at_work, told = threading.Event(), threading.Event()
    steps: list[str] = []

    def work() -> None:
        at_work.set()
        told.wait(20)
        turn.rest()
        steps.append("never")

    turn = Turn("work", work)
    taker = threading.Thread(target=interrupted, args=(turn, at_work, told))
    taker.start()
    taker.join()
    turn._thread.join(20)
    assert steps == []


def interrupted(turn: Turn, at_work: threading.Event, told: threading.Event) -> None:
    """Give up without having waited for the rest, as an interrupt in `take` does."""
    turn._go.release()
    at_work.wait(20)
    threading.Timer(0.1, told.set).start()
    give_up([turn])
