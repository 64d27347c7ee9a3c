"""A desk is killed while it holds perpetuals, and the market goes through their stops: the exchange leaves.

Real exchange, gateway and hub, recorded candles of the crash of 19 May 2021 and of the minutes after it; the
desk dies by SIGKILL. Not here: the same of spot pairs, and deaths at chosen places (test_stop_at_the_venue).
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from parley.messages import StateView
from runtime.recorded_market import recorded_market
from tests.kit.desk_lives import lives_of
from tests.kit.stop_desk import (
    check,
    check_left,
    compose,
    die_while_the_exchange_leaves,
    said,
    settings_of,
    stops,
)

pytestmark = pytest.mark.timeout(240)
PAIRS = ("BTC/USDT:USDT", "ETH/USDT:USDT")
D = Decimal
WIDE = {"max_leverage": "3", "max_gross": "3", "max_net": "3", "max_maintenance": "0.9"}


@pytest.mark.parametrize(
    ("direction", "start", "end"),
    [
        pytest.param(1, "2021-05-19T12:20", "2021-05-19T13:30", id="long", marks=pytest.mark.long),
        pytest.param(-1, "2021-05-19T13:10", "2021-05-19T14:20", id="short", marks=pytest.mark.long),
    ],
)
def test_exchange_closes_what_a_dead_desk_holds_and_the_next_one_books_it(
    tmp_path: Path, market_data: Path, direction: int, start: str, end: str
) -> None:
    settings = settings_of(
        tmp_path, market_data, venue="binanceusdm", leverage=3, pairs=PAIRS, limits=WIDE, speed=90.0,
        start=start, end=end,
    )  # fmt: skip
    desk = partial(compose, direction=direction)
    with lives_of(settings, recorded_market(settings), desk) as lives:
        standing = die_while_the_exchange_leaves(lives, len(PAIRS))

    wanted = check(lives)
    assert standing <= {each.cid for each in wanted}
    assert {each.side for each in wanted} == {"sell" if direction > 0 else "buy"}
    assert all(each.reduce_only for each in wanted)
    by = {each.iid: each for each in wanted if each.cid in standing}
    for fill in check_left(lives, list(by.values())):  # at the stop, not where the market was afterwards
        limit = by[fill.iid].px
        assert limit is not None
        assert (fill.px - limit) * direction >= 0
    ended = {told[-1]["status"] for told in stops(lives.layout.truth).values()}
    assert ended <= {"FILLED", "CANCELED", "EXPIRED"}  # none is left behind, of any side


def test_a_stop_that_was_set_off_and_met_nobody_is_taken_back_as_the_order_it_became(
    tmp_path: Path, market_data: Path
) -> None:
    """In lock-step: the market fell through its limit within a candle, and the desk leaves in its place."""
    settings = settings_of(
        tmp_path, market_data, venue="binanceusdm", leverage=3, pairs=PAIRS, limits=WIDE,
        start="2021-05-19T12:20", end="2021-05-19T13:15",
    )  # fmt: skip
    with lives_of(settings, recorded_market(settings), partial(compose, stop_bps=1500.0)) as lives:
        last = lives.live()
        assert last.exit == 0, last.errors

    check(lives)
    told = [[line["status"] for line in lines] for lines in stops(lives.layout.truth).values()]
    assert ["NEW", "NEW", "CANCELED"] in told  # placed, set off, taken back
    state = [each for each in said(lives.journal, "StateView") if isinstance(each, StateView)][-1]
    assert all(abs(p.qty) < D("0.001") for p in state.positions)
    assert [o for o in state.orders if o.trigger is not None] == []
