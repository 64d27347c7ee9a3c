"""What a gateway is told of the exchange's timer follows from settings, venue, pace and who holds the stops.

Not here: what it does with that (test_gateway_dead_man.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from parley.errors import ConfigError
from runtime import launch
from runtime.dead_man_choice import notes
from runtime.settings import DeskSettings, Settings, load_settings

PAIRS = {"okx": "BTC/USDT", "binanceusdm": "BTC/USDT:USDT"}


def told(
    home: Path, venue: str, desk: dict[str, object], venue_stops: bool | None = None, pace: str = "60"
) -> int | None:
    settings = Settings(
        venue=venue, pairs=(PAIRS[venue],), home=home, data=home, speed=pace, desk=DeskSettings(**desk)
    )  # fmt: skip
    market = launch.Market(pairs=(PAIRS[venue],), crosses=())
    layout = launch.make_layout(settings)
    try:
        access = launch.sandbox_access(layout, ("k", "s"), "http://rest", "ws://ws")
        path = launch.write_gateway(layout, settings, market, access, venue_stops=venue_stops)
        found = json.loads(path.read_bytes())["dead_man_s"]
    finally:
        launch.discard(layout)
    assert found is None or isinstance(found, int)
    return found


@pytest.mark.parametrize(
    ("venue", "desk", "venue_stops", "expected"),
    [
        ("okx", {}, None, None),
        ("okx", {"dead_man_s": 45}, None, 45),
        ("okx", {"dead_man_s": 0}, None, 0),
        ("okx", {}, True, None),
        ("okx", {"venue_stops": True}, None, None),
        ("binanceusdm", {}, None, None),
        ("binanceusdm", {}, False, None),
        ("binanceusdm", {}, True, 0),
        ("binanceusdm", {"dead_man_s": 0}, True, 0),
        ("binanceusdm", {"venue_stops": True}, None, 0),
    ],
)
def test_a_timer_that_may_cancel_stops_is_not_used_where_the_exchange_holds_them(
    tmp_path: Path, venue: str, desk: dict[str, object], venue_stops: bool | None, expected: int | None
) -> None:
    assert told(tmp_path, venue, desk, venue_stops) == expected


def test_one_that_is_named_where_it_may_cancel_stops_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"desk\.dead_man_s: expected 0 at 'binanceusdm' .* was 45; or set"):
        told(tmp_path, "binanceusdm", {"dead_man_s": 45}, venue_stops=True)


@pytest.mark.parametrize(
    ("venue", "desk", "pace", "expected"),
    [
        ("okx", {"dead_man_s": 45}, "60", ["okx cancels what rests 45 s after"]),
        ("okx", {}, "60", ["okx cancels what rests a minute or two after"]),
        ("okx", {}, "max", []),
        ("okx", {"dead_man_s": 0}, "60", []),
        ("binance", {}, "60", []),
    ],
)
def test_the_user_is_told_where_there_is_one(
    venue: str, desk: dict[str, object], pace: str, expected: list[str]
) -> None:
    settings = Settings(venue=venue, speed=pace, desk=DeskSettings(**desk))
    said = notes(settings, venue_stops=False)
    assert [each.partition(" we fall")[0] for each in said] == expected


def test_in_lock_step_there_is_none(tmp_path: Path) -> None:
    assert told(tmp_path, "okx", {"dead_man_s": 45}, pace="max") == 0


def test_a_time_in_which_nobody_could_take_over_is_refused() -> None:
    assert load_settings(None, {"desk": {"dead_man_s": 30}}).desk.dead_man_s == 30
    with pytest.raises(ConfigError, match=r"dead_man_s must be at least 30 seconds, .* was 29$"):
        load_settings(None, {"desk": {"dead_man_s": 29}})
