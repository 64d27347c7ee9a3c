"""The account: days, pauses, commands, protections."""

from decimal import Decimal

import pytest

from orchestrator.account import DAY_NS, Account
from orchestrator.policy import DeskConfig
from parley.messages import Breaker, Fill, Halt
from tests.kit.builders import make_book, make_fill
from tests.kit.firm_kit import MINUTE, T0, D, spot

BTC = "BTC/USDT"


def account(*, opened: bool = True, **balances: Decimal) -> Account:
    made = Account(DeskConfig(symbols=(BTC,)), {BTC: spot(BTC)})
    if opened:
        made.open(tuple(sorted({"USDT": D(100_000), **balances}.items())), T0)
    return made


def mark(made: Account, mid: float, t: int) -> None:
    book = make_book(symbol=BTC, bids=((mid - 1, 1.0),), asks=((mid + 1, 1.0),))
    made.mark({BTC: book}, t)


def halt(mode: str) -> Halt:
    return Halt(scope="*", mode=mode, by="me", why="")


def breaker(action: str = "pause", until: int = T0 + 5 * MINUTE) -> Breaker:
    return Breaker(agent="risk/a", name="n", action=action, until=until, value="1", cap="1")


def test_first_fill_of_a_day_counts_to_that_day_and_what_it_lost_too() -> None:
    made = account()
    mark(made, 50_000, T0)
    made.fill(bought("1", D(60_000), T0), "strategy/a", b"", b"")
    mark(made, 50_000, T0 + 1)
    before = made.view()[0].state
    assert (before.trades_today, before.equity) == (1, D(90_000))

    midnight = (T0 // DAY_NS + 1) * DAY_NS
    made.fill(bought("2", D(55_000), midnight), "strategy/a", b"", b"")
    mark(made, 50_000, midnight)
    view = made.view()[0]
    assert view.state.trades_today == 1
    assert (view.state.day_open, view.state.equity) == (D(90_000), D(85_000))
    assert made.view()[0].standings.trades == {"strategy/a": 1}  # type: ignore[attr-defined]
    assert view.standings.lost("strategy/a") == D(5_000)  # type: ignore[attr-defined]

    # one of yesterday that comes late, and one that comes twice, begin no day
    made.fill(bought("3", D(50_000), T0), "strategy/a", b"", b"")
    made.fill(bought("3", D(50_000), midnight + DAY_NS), "strategy/a", b"", b"")
    mark(made, 50_000, midnight + 1)
    assert (made.view()[0].state.trades_today, made.view()[0].state.day_open) == (2, D(90_000))


def bought(trade: str, px: Decimal, t: int) -> Fill:
    return make_fill(trade_id=trade, venue="binance", symbol=BTC, side="buy", qty=D(1), px=px, fee=D(0), t=t)


def test_nothing_trades_before_the_balances_are_known_and_opening_does_not_overrule_a_halt() -> None:
    made = account(opened=False)
    assert made.trading == "HALTED"
    made.command(halt("RESUME"))
    assert made.trading == "HALTED"
    made.command(halt("HALT"))
    made.open((("USDT", D(1)),), T0)
    assert made.trading == "HALTED"


@pytest.mark.parametrize(
    ("mode", "state"),
    [
        ("HALT", "HALTED"),
        ("CANCEL_ONLY", "HALTED"),
        ("REDUCE_ONLY", "REDUCING"),
        ("RESUME", "ACTIVE"),
        ("halt", "HALTED"),
    ],
)
def test_commands_set_the_trading_state_and_an_unknown_word_halts(mode: str, state: str) -> None:
    made = account()
    made.command(halt(mode))
    assert made.trading == state


def test_a_pause_ends_with_market_time_and_is_never_shortened() -> None:
    made = account()
    made.breaker(breaker())
    made.breaker(breaker(until=T0 + MINUTE))
    mark(made, 50_000, T0 + 4 * MINUTE)
    assert made.view()[0].state.trading == "REDUCING"
    mark(made, 50_000, T0 + 5 * MINUTE)
    view, fresh = made.view()
    assert (view.state.trading, fresh) == ("ACTIVE", True)


def test_flattening_outlives_its_pause_until_a_person_resumes() -> None:
    made = account()
    made.breaker(breaker("flatten", until=T0))
    mark(made, 50_000, T0 + DAY_NS)
    assert made.trading == "FLATTENING"
    made.command(halt("RESUME"))
    assert made.trading == "ACTIVE"


def test_a_new_day_forgets_the_trades_of_the_last_and_starts_from_todays_value() -> None:
    made = account(BTC=D(1))
    mark(made, 50_000, T0)
    made.fill(make_fill(trade_id="1", symbol=BTC, qty=D("0.1"), px=D(50_000), t=T0), "strategy/a", b"p", b"r")
    state = made.view()[0].state
    assert (state.trades_today, state.day_open) == (1, D(150_000))
    midnight = (T0 // DAY_NS + 1) * DAY_NS
    mark(made, 51_000, midnight - 1)
    state = made.view()[0].state
    assert (state.trades_today, state.day_open, state.equity) == (1, D(150_000), D(151_100))
    mark(made, 52_000, midnight)
    state = made.view()[0].state
    assert (state.trades_today, state.day_open, state.equity) == (0, D(152_200), D(152_200))
    mark(made, 40_000, midnight + 1)
    assert made.view()[0].state.peak == D(152_200)


def test_a_position_opened_without_a_stop_does_not_inherit_an_old_one() -> None:
    made = account()
    mark(made, 50_000, T0)
    made.protect("strategy/a", BTC, D(49_000), None)
    made.fill(make_fill(trade_id="1", symbol=BTC, qty=D(1), px=D(50_000)), "strategy/a", b"p", b"r")
    made.protect("strategy/a", BTC, None, None)  # buys more, says nothing of a stop
    assert made.holdings()[0].stop == D(49_000)
    made.fill(
        make_fill(trade_id="2", symbol=BTC, side="sell", qty=D(1), px=D(50_000)), "strategy/a", b"q", b"r"
    )
    made.protect("strategy/a", BTC, None, None)
    made.fill(make_fill(trade_id="3", symbol=BTC, qty=D(1), px=D(50_000)), "strategy/a", b"s", b"r")
    assert made.holdings()[0].stop is None


def test_the_view_has_a_new_version_only_when_something_changed() -> None:
    made = account(BTC=D(1))
    mark(made, 50_000, T0)
    first, fresh = made.view()
    assert fresh
    mark(made, 50_000, T0 + MINUTE)
    assert made.view() == (first, False)
    mark(made, 50_001, T0 + 2 * MINUTE)
    assert made.view()[0].version == first.version + 1


def test_doubt_closes_until_it_was_compared_or_a_person_looked() -> None:
    made = account()
    made.doubt("user")
    made.doubt("account")
    assert made.trading == "REDUCING"
    made.compared(("user",))
    assert made.trading == "REDUCING"
    made.compared(("account", "user"))
    assert made.trading == "ACTIVE"

    made.doubt("late:1")
    made.compared(("account", "user"))
    assert (made.trading, made.is_doubted(("account", "user"))) == ("REDUCING", False)
    made.command(halt("RESUME"))
    assert made.trading == "ACTIVE"


@pytest.mark.parametrize(
    ("mode", "state"), [("REDUCE_ONLY", "REDUCING"), ("HALT", "HALTED"), ("FLATTEN", "FLATTENING")]
)
def test_end_of_a_doubt_loosens_nothing_else(mode: str, state: str) -> None:
    made = account()
    made.command(halt(mode))
    made.doubt("user")
    assert made.trading == state
    made.compared(("user",))
    assert made.trading == state
