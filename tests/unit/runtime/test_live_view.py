"""What the running desk's screen says before anything was learnt, of dust, and of where to read on."""

import io
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from parley.messages import Position
from runtime.live_view import LiveView
from tests.kit.builders import make_instrument, make_state
from tests.kit.small_journal import write_journal

AGENTS = ("arbitrage/triangle", "risk/main", "signal/technical", "strategy/reversion", "strategy/trend")
BTC = "BTC/USDT"


def screen(view: LiveView) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(view.render("x1", 200))
    return console.export_text()


def position(symbol: str, qty: str) -> Position:
    return Position(
        symbol=symbol, qty=Decimal(qty), avg_px=Decimal(60_000), realised=Decimal(0),
        unrealised=Decimal(0), mark=Decimal(60_000),
    )  # fmt: skip


@pytest.fixture
def view(tmp_path: Path) -> LiveView:
    return LiveView(tmp_path / "none", "run", AGENTS, instruments={BTC: make_instrument(BTC)})


def test_voters_start_with_equal_weights_and_others_have_none(view: LiveView) -> None:
    lines = screen(view).splitlines()

    for agent in AGENTS:
        line = next(line for line in lines if agent in line)
        assert ("0.250 at first" in line) == (agent != "risk/main")


def test_learnt_weights_take_the_place_of_the_first_ones(tmp_path: Path) -> None:
    write_journal(tmp_path / "desk.journal")
    view = LiveView(tmp_path / "desk.journal", "run", AGENTS)
    view.poll()

    assert "at first" not in screen(view)


def test_dust_is_counted_and_not_listed(view: LiveView) -> None:
    view.state = make_state(positions=(position(BTC, "0.00008"), position("LTC/USDT", "0.00001")))

    text = screen(view)

    # 4.80 USDT are less than the pair's least order of 5; of the other pair nothing is known
    assert "0.00008" not in text
    assert "and 1 below the least order" in text
    assert "LTC/USDT" in text


def test_position_of_the_least_order_is_listed(view: LiveView) -> None:
    view.state = make_state(positions=(position(BTC, "0.00009"),))

    text = screen(view)

    assert "0.00009" in text
    assert "below the least order" not in text


def test_screen_says_where_to_read_on(view: LiveView) -> None:
    text = screen(view)

    assert "parley explain ROUND" in text
    assert "parley rounds" in text


def test_desk_that_was_started_again_is_shown(view: LiveView) -> None:
    assert "life" not in screen(view)

    view.note(2, is_back=False)
    assert "the desk ended and is started again on its journal: life 2" in screen(view)

    view.note(2, is_back=True)
    assert "the desk ended and goes on where it was: life 2" in screen(view)


def test_line_before_the_first_round_says_what_it_waits_for(view: LiveView, tmp_path: Path) -> None:
    assert view.line() == "waiting for the first round"
    write_journal(tmp_path / "desk.journal")
    later = LiveView(tmp_path / "desk.journal", "run", AGENTS, counts_only=True)
    later.poll()

    assert "rounds 4 (accept 2 hold 1 reject 1)" in later.line()


def test_average_prices_are_shown_on_the_grid_of_their_pair(view: LiveView) -> None:
    held = msgspec.structs.replace(
        position(BTC, "0.5"), avg_px=Decimal("59999.69876147777961"), mark=Decimal("60000.3450000000003")
    )
    view.state = make_state(positions=(held,))

    text = screen(view)

    assert "59999.7 " in text
    assert "60000.34" in text or "60000.35" in text
    assert "59999.698" not in text
