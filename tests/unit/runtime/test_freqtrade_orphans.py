"""What a strategy holds at the desk without a trade of its own is sold; what it cannot order is told."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from parley.messages import Analysed, Decision, Holding, PlanLeg, StateView
from parley.view import FirmView
from runtime.freqtrade_orphans import PATIENCE, WHY, Orphans
from tests.kit.paper_desk import ME, PaperDesk, env_of, make_folder
from tests.kit.paper_strategies import FIRST, desk_of, play, what

A = "AAA/USDT"
D = Decimal
NEVER = "\n    def confirm_trade_entry(self, *_, **__):\n        return False\n"


def view_of(qty: str, *, agent: str = ME, version: int = 1) -> FirmView:
    holding = Holding(
        agent=agent, symbol=A, qty=D(qty), avg_px=D(10), opened=0, round=b"r" * 16, pid=b"p" * 16
    )
    return FirmView(StateView(
        account="main", state_version=version, t=0, quote="USDT", equity=D(0), peak=D(0), day_open=D(0),
        trading="ACTIVE", holdings=(holding,),
    ))  # fmt: skip


def desk_that_holds(tmp_path: Path, qty: str, body: str = NEVER) -> PaperDesk:
    desk = desk_of(make_folder(tmp_path / "folder", 80), tmp_path, body)
    desk.view = view_of(qty)
    return desk


def test_position_that_no_trade_stands_for_is_sold_once(tmp_path: Path) -> None:
    """As when the process before bought it, and this one does not want it again."""
    desk = desk_that_holds(tmp_path, "5")
    folder = make_folder(tmp_path / "same", 80)
    bids = play(desk, folder, FIRST, FIRST + PATIENCE - 1)
    assert bids == []
    (bid,) = play(desk, folder, FIRST + PATIENCE - 1, FIRST + PATIENCE)
    assert what([bid]) == [(A, "sell", WHY)]
    (leg,) = bid.legs
    assert (leg.qty, leg.reduce_only) == (D(5), True)
    desk.view = view_of("0", version=2)
    assert play(desk, folder, FIRST + PATIENCE, FIRST + PATIENCE + 6) == []
    assert desk.faults == []


def test_position_of_a_trade_is_left_to_its_strategy(tmp_path: Path) -> None:
    desk = desk_that_holds(tmp_path, "5", body="")
    bids = play(desk, make_folder(tmp_path / "same", 80), FIRST, FIRST + 4)
    assert (A, "buy", "half_hour") in what(bids)
    assert WHY not in {why for _, _, why in what(bids)}


@pytest.mark.parametrize(
    ("view", "known"),
    [
        (view_of("5", version=0), set()),  # nothing was told yet
        (view_of("5", agent="strategy/y"), set()),
        (view_of("0.000000001"), set()),  # dust
        (view_of("5"), {A}),
    ],
)
def test_what_is_not_its_own_or_too_little_or_watched_is_no_orphan(view: FirmView, known: set[str]) -> None:
    orphans, env = Orphans(ME), env_of((A,))
    for _ in range(2 * PATIENCE):
        assert orphans.look(view, known, env.instruments, {A: 10.0}) == {}
    assert orphans.looks == {}


def test_orphan_is_counted_in_a_row() -> None:
    orphans, env = Orphans(ME), env_of((A,))
    for known in ((), (), (A,), (), ()):
        assert orphans.look(view_of("5"), known, env.instruments, {A: 10.0}) == {}
    assert orphans.look(view_of("5"), (), env.instruments, {A: 10.0}) == {A: D(5)}


def test_restarted_agent_counts_on(tmp_path: Path) -> None:
    desk = desk_that_holds(tmp_path, "5")
    folder = make_folder(tmp_path / "same", 80)
    play(desk, folder, FIRST, FIRST + PATIENCE - 1)
    other = desk_of(folder, tmp_path, NEVER).agent
    other.restore(desk.agent.snapshot())
    desk.agent = other
    assert what(play(desk, folder, FIRST + PATIENCE - 1, FIRST + PATIENCE)) == [(A, "sell", WHY)]


def test_sale_that_another_life_offered_is_no_fault(tmp_path: Path) -> None:
    desk = desk_that_holds(tmp_path, "5")
    leg = PlanLeg(symbol=A, side="sell", qty=D(5), style="market", px=D(1), tif="IOC", reduce_only=True)
    desk.tell(
        Decision(
            round=b"?" * 16, symbol=A, pid=b"?" * 16, agent=ME, action="accept", qty=D(5), px=D(1), score=0.0,
            margin_of_win=0.0, weights_version=0, quorum=0.0, reasons=(), plan=(leg,),
        )
    )  # fmt: skip
    play(desk, make_folder(tmp_path / "same", 80), FIRST, FIRST + 1)
    assert desk.faults == []


def test_order_the_venue_would_not_take_is_told_once_a_candle(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "folder", 80)
    desk = desk_of(folder, tmp_path)
    grid = desk.agent._env.instruments
    coarse = msgspec.structs.replace(grid[A], min_qty=D(10_000))
    desk.agent._env = msgspec.structs.replace(desk.agent._env, instruments={**grid, A: coarse})
    said: list[str] = []
    for batch in folder.batches(FIRST, FIRST + 1):
        desk.now = batch.t
        for part in (batch, msgspec.structs.replace(batch, bars=(), step=999)):
            said += [line for m in desk.tell(part) if isinstance(m, Analysed) for line in m.dropped]
    (line,) = said
    assert line.startswith(f"{A} buy ")
    assert line.endswith(": the venue takes no such order: below_min_qty")
