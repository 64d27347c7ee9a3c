"""A desk is killed while it holds something, and the market falls through its stop: the exchange sells.

Real exchange, gateway and hub, recorded candles of the crash of 19 May 2021; the desk dies by SIGKILL. At
each spot exchange that holds stops: of one a stop has two numbers.

Not here: the fold over all interleavings (tests/property/test_guarding.py), deaths at any moment
(tests/chaos).
"""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from runtime.recorded_market import recorded_market
from tests.kit.desk_lives import lives_of
from tests.kit.stop_desk import (
    PAIRS,
    check,
    check_left,
    compose,
    die_at,
    die_while_the_exchange_leaves,
    settings_of,
    stops,
)

pytestmark = pytest.mark.timeout(240)
# The first orders are the purchases; what follows are stops and their cancels.
PLACES = (
    "order_released:2", "order_durable:1", "order_handed_over:1", "order_cut_off:1",
    "order_unknown_to_anybody:1", "order_durable:2", "order_handed_over:2",
)  # fmt: skip
at_each = pytest.mark.parametrize(
    "exchange",
    ["binance", pytest.param("bybit", marks=pytest.mark.long), pytest.param("okx", marks=pytest.mark.long)],
)


@at_each
def test_exchange_sells_what_a_dead_desk_holds_and_the_next_one_books_it(
    tmp_path: Path, market_data: Path, exchange: str
) -> None:
    settings = settings_of(tmp_path, market_data, speed=90.0, venue=exchange)
    with lives_of(settings, recorded_market(settings), compose) as lives:
        standing = die_while_the_exchange_leaves(lives, len(PAIRS))

    by = {each.iid: each for each in check(lives) if each.cid in standing}
    assert {each.cid for each in by.values()} == standing
    for fill in check_left(lives, list(by.values())):  # at the stop, not where the market was afterwards
        trigger = by[fill.iid].trigger
        assert trigger is not None
        assert fill.px >= trigger * Decimal("0.985")


@at_each
def test_a_stop_is_found_again_and_not_doubled_by_a_desk_that_died_at_any_place(
    tmp_path: Path, market_data: Path, exchange: str
) -> None:
    """In lock-step, so that each death is where it was planned; every stop that stood still guards.

    The stops trail, so that many are taken back and placed anew.
    """
    span = {"start": "2021-05-19T13:10", "end": "2021-05-19T15:00"}
    settings = settings_of(tmp_path, market_data, venue=exchange, **span)
    desk = partial(compose, stop_bps=800.0, trail_bps=400.0)
    with lives_of(settings, recorded_market(settings), desk) as lives:
        die_at(lives, PLACES)

    wanted, placed = check(lives), stops(lives.layout.truth)
    assert len(PAIRS) < len(placed) <= len(wanted)
    assert any(told[-1]["status"] == "FILLED" for told in placed.values())
    alive: dict[str, set[str]] = defaultdict(set)
    most = 0
    for line in lives.layout.truth.read_bytes().splitlines():
        entry = json.loads(line)
        if entry["event"] == "order" and entry["side"] == "SELL" and entry["order_id"] is not None:
            mine = alive[entry["symbol"]]
            (mine.add if entry["status"] in ("NEW", "PARTIALLY_FILLED") else mine.discard)(
                entry["client_order_id"]
            )
            most = max(most, len(mine))
    assert most == 1
