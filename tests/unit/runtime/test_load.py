"""The overload ladder: when its steps are taken and left, who rests, what a blocked loop shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from parley.agent import AgentSpec
from parley.messages import Strain
from runtime.load import Ladder, LoadMeter, who_rests

MS = 1_000_000
S = 1_000_000_000


def seconds(ladder: Ladder, *p99_ms: float, start: int = S) -> list[int]:
    """Let seconds with these waits pass and give the level after each."""
    levels, now = [], start
    ladder.look(now)
    for each in p99_ms:
        for _ in range(100):
            ladder.note(int(each * MS))
        now += S
        ladder.look(now)
        levels.append(ladder.level)
    return levels


@pytest.mark.parametrize(
    ("profile", "p99_ms", "level"),
    [
        ("hot", 1.9, 0), ("hot", 2.1, 1), ("hot", 5.1, 2), ("hot", 20.1, 3), ("hot", 201.0, 4),
        ("candle", 19.0, 0), ("candle", 21.0, 1), ("candle", 51.0, 2), ("candle", 201.0, 3),
        ("candle", 2001.0, 4),
    ],
)  # fmt: skip
def test_steps_are_those_of_the_ladder(profile: str, p99_ms: float, level: int) -> None:
    assert seconds(Ladder(profile), p99_ms, p99_ms, p99_ms)[-1] == level


def test_candle_profile_waits_for_three_seconds_in_a_row_both_ways() -> None:
    levels = seconds(Ladder("candle"), 30, 30, 1, 30, 30, 30, 1, 1, 30, 1, 1, 1)

    assert levels == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0]


def test_candle_profile_goes_up_to_what_all_of_them_reached() -> None:
    assert seconds(Ladder("candle"), 3000, 60, 300, 300, 300) == [0, 0, 2, 2, 3]


def test_one_slow_answer_of_a_thousand_is_no_strain() -> None:
    ladder = Ladder("hot")
    ladder.look(S)
    for n in range(1000):
        ladder.note(500 * MS if n == 7 else 0)

    assert not ladder.look(2 * S)
    assert ladder.level == 0


def test_second_without_a_measurement_is_calm() -> None:
    ladder = Ladder("hot")
    assert seconds(ladder, 30) == [3]
    ladder.look(4 * S)
    assert ladder.level == 0


def test_lighter_half_of_each_optional_role_rests_and_one_always_stays() -> None:
    team = [
        ("signal/only", "signal"), ("strategy/a", "strategy"), ("strategy/b", "strategy"),
        ("strategy/c", "strategy"), ("arbitrage/x", "arbitrage"), ("arbitrage/y", "arbitrage"),
        ("risk/main", "risk"), ("capital/main", "capital"), ("meta/main", "meta"),
    ]  # fmt: skip
    specs = [AgentSpec(id=i, role=r, factory="tests:x", subscriptions=()) for i, r in team]

    weights = {"strategy/a": 0.2, "strategy/b": 0.1}
    assert who_rests(specs, weights) == ("arbitrage/x", "strategy/b")
    # nobody else would leave what the lightest holds
    assert who_rests(specs, weights, {"strategy/b"}) == ("arbitrage/x", "strategy/a")
    assert who_rests(specs, weights, {"strategy/a", "strategy/b", "strategy/c"}) == ("arbitrage/x",)


def test_meter_tells_of_a_slow_disk_of_a_blocked_loop_and_of_better_times() -> None:
    async def run() -> list[Strain]:
        said: list[Strain] = []
        meter = LoadMeter("hot", lambda: ("strategy/a",), said.append)
        for _ in range(5):  # a single one is above p99 of a second with more than a hundred measurements
            meter.waited(50 * MS)
        await until(lambda: said)
        time.sleep(0.5)  # a loop that does not turn
        await until(lambda: said[-1].level == 4)
        await until(lambda: said[-1].level < 4)
        meter.stop()
        return said

    async def until(found: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not found():
                await asyncio.sleep(0.02)

    said = asyncio.run(run())

    assert said[0].level >= 3
    assert all(bool(each.resting) == bool(each.level) for each in said)
