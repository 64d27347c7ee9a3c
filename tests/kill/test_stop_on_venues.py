"""As test_stop_at_the_venue, at the other spot exchanges that hold stops: one has two numbers for each.

Not here: why it has to be so (test_stop_at_the_venue), deaths at any moment (tests/chaos).
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from parley.messages import Fill, StateView
from runtime.recorded_market import recorded_market
from tests.kill.test_stop_at_the_venue import PAIRS, PLACES, check, compose, said, settings_of, stops
from tests.kit.desk_lives import PATIENCE_S, lives_of

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]
EXCHANGES = ("bybit", "okx")


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_exchange_sells_what_a_dead_desk_holds_and_the_next_one_books_it(
    tmp_path: Path, market_data: Path, exchange: str
) -> None:
    settings = settings_of(tmp_path, market_data, speed=90.0, venue=exchange)
    with lives_of(settings, recorded_market(settings), compose) as lives:
        truth = lives.layout.truth
        died = lives.live(kill_when=lambda: len(stops(truth)) == len(PAIRS))
        assert died.exit == -9, died.errors
        standing = {cid for cid, told in stops(truth).items() if told[-1]["status"] == "NEW"}
        assert standing, "the market fell before the desk was dead"
        deadline = time.monotonic() + PATIENCE_S
        while not all(stops(truth)[cid][-1]["status"] == "FILLED" for cid in standing):
            assert time.monotonic() < deadline, stops(truth)
            time.sleep(0.05)
        last = lives.live()
        assert last.exit == 0, last.errors

    wanted = check(lives)
    iids = {each.iid: each for each in wanted if each.cid in standing}
    assert {each.cid for each in iids.values()} == standing
    told = said(lives.journal, "Fill", "StateView")
    sold = [each for each in told if isinstance(each, Fill) and each.iid in iids]
    assert sum(each.qty for each in sold) == sum(each.qty for each in iids.values())
    for fill in sold:  # at the stop, not where the market was when the desk came back
        trigger = iids[fill.iid].trigger
        assert trigger is not None
        assert fill.px >= trigger * Decimal("0.985")
    state = [each for each in told if isinstance(each, StateView)][-1]
    assert all(abs(p.qty) < Decimal("0.001") for p in state.positions)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_stop_is_found_again_and_not_doubled_by_a_desk_that_died_at_any_place(
    tmp_path: Path, market_data: Path, exchange: str
) -> None:
    """In lock-step; the stops trail, so that many are taken back and placed anew."""
    span = {"start": "2021-05-19T13:10", "end": "2021-05-19T15:00"}
    settings = settings_of(tmp_path, market_data, venue=exchange, **span)
    desk = partial(compose, stop_bps=800.0, trail_bps=400.0)
    with lives_of(settings, recorded_market(settings), desk) as lives:
        for place in PLACES:
            died = lives.live(place)
            assert died.exit == -9, (place, died.exit, died.errors)
        last = lives.live()
        assert last.exit == 0, last.errors

    wanted = check(lives)
    assert lives.kills == len(PLACES)
    placed = stops(lives.layout.truth)
    assert len(PAIRS) < len(placed) <= len(wanted)
    assert any(told[-1]["status"] == "FILLED" for told in placed.values())
    alive: dict[str, set[str]] = defaultdict(set)
    for line in lives.layout.truth.read_bytes().splitlines():
        entry = json.loads(line)
        if entry["event"] == "order" and entry["side"] == "SELL" and entry["order_id"] is not None:
            is_open = entry["status"] in ("NEW", "PARTIALLY_FILLED")
            (alive[entry["symbol"]].add if is_open else alive[entry["symbol"]].discard)(
                entry["client_order_id"]
            )
            assert len(alive[entry["symbol"]]) <= 1
