"""Changing one limit of a table: keys, values, which of two is tighter, and what nobody may exceed.

Not here: whether a change reaches whoever judges (tests/contract/test_limits_changed.py).
"""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.errors import ConfigError
from parley.risk.changes import (
    LimitBook,
    changed,
    changed_all,
    is_tighter,
    keys_of,
    loosens,
    tightest,
    value_of,
)
from parley.risk.limits import Limits, limits_of

PLATFORM = {
    "tree": {
        "platform": {"max_gross": "0.60", "self_match": True},
        "symbol:BTC/USDT": {"max_position": "0.1"},
    }
}

# key, value that lets less through, value that lets more through; by hand, from the meaning of each
DIRECTIONS = [
    ("max_order_notional", "0.1", "0.3"), ("max_position", "0.2", "0.3"), ("max_gross", "0.5", "0.9"),
    ("max_net", "0.5", "0.9"), ("min_uninvested", "0.3", "0.1"), ("max_leverage", "0.5", "2"),
    ("correlation_threshold", "0.7", "0.9"), ("max_correlated", "0.4", "0.6"),
    ("max_daily_loss", "0.02", "0.04"), ("max_drawdown", "0.05", "0.2"), ("max_daily_trades", "10", "9999"),
    ("max_open_trades", "1", "9"), ("max_position_age_h", "1", "999"), ("collar_bps", "100", "400"),
    ("max_away_bps", "10", "2000"), ("cumulative_collar_bps", "10", "2000"), ("max_slippage_bps", "1", "200"),
    ("max_spread_bps", "1", "200"), ("max_book_share", "0.1", "0.3"), ("book_levels", "1", "20"),
    ("duplicate_window_ms", "5000", "0"), ("orders_per_s", "1", "30"), ("orders_per_10s", "1", "100"),
    ("max_repeats", "1", "30"), ("max_data_age_ms", "1000", "9000"), ("max_clock_offset_ms", "10", "500"),
    ("max_maintenance", "0.4", "0.6"),
    ("max_schedule_min", "10", "300"), ("headroom", "0.1", "0.01"), ("blacklist", "BTC/USDT", "none"),
    ("self_match_prevention", "true", "false"), ("whitelist", "BTC/USDT", "none"),
    ("breakers.daily_loss", "0.01", "0.06"), ("breakers.daily_pause_min", "90", "10"),
    ("breakers.drawdown", "0.05", "0.15"), ("breakers.drawdown_pause_min", "9999", "10"),
    ("breakers.flatten_drawdown", "0.15", "0.5"), ("breakers.api_errors_per_min", "1", "20"),
    ("breakers.api_pause_min", "10", "1"), ("breakers.spike_per_min", "0.05", "0.2"),
    ("breakers.reduce_drawdown", "0.05", "0.5"), ("breakers.reduce_factor", "0.1", "0.9"),
    ("breakers.loss_streak", "1", "20"), ("breakers.loss_streak_pause_min", "99", "1"),
    ("breakers.stale_bars", "1", "9"), ("breakers.stale_pause_min", "9", "1"),
    ("breakers.rejects_least", "1", "20"), ("breakers.reject_share", "0.1", "0.9"),
    ("breakers.reject_pause_min", "99", "1"), ("breakers.pnl_jump", "0.01", "1"),
    ("breakers.pnl_jump_pause_min", "99", "1"), ("tree.symbol:BTC/USDT.max_position", "0.05", "none"),
    ("tree.bot:strategy/a.max_gross", "0.1", "none"), ("tree.account.duplicate_window_ms", "500", "none"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "less", "more"), DIRECTIONS)
def test_direction_of_each_key_is_the_one_written_here_by_hand(key: str, less: str, more: str) -> None:
    # from the tighter value the other loosens, and back it tightens
    tight = changed(limits_of(PLATFORM), key, less)
    assert loosens(tight, key, more)
    assert not loosens(changed(tight, key, more), key, less)


def test_every_limit_there_is_has_a_direction_or_counts_as_loosening() -> None:
    either = {"min_resize", "max_book_age_ms", "breakers.lookback_trades", "breakers.reject_window_min"}
    assert {key for key, _, _ in DIRECTIONS if not key.startswith("tree.")} | either == set(keys_of(Limits()))


@pytest.mark.parametrize("key", ["min_resize", "breakers.lookback_trades", "breakers.reject_window_min"])
def test_change_that_may_go_either_way_loosens(key: str) -> None:
    number = Decimal(value_of(Limits(), key))
    assert loosens(Limits(), key, str(number * 2))
    assert loosens(changed(Limits(), key, str(number * 2)), key, str(number))


def test_limit_on_the_age_of_a_book_is_loosest_where_it_is_off() -> None:
    off = limits_of({})
    assert not loosens(off, "max_book_age_ms", "900000")
    assert loosens(limits_of({"max_book_age_ms": 1.0}), "max_book_age_ms", "0")


def test_another_list_of_symbols_loosens_and_a_part_of_one_does_not() -> None:
    two = limits_of({"whitelist": ["A/B", "C/D"]})
    assert not loosens(two, "whitelist", "A/B")
    assert loosens(two, "whitelist", "A/B,E/F")


def test_same_value_is_no_change() -> None:
    assert not loosens(Limits(), "max_gross", "0.80")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("max_gros", "1", "did you mean 'max_gross'"),
        ("breakers.daily_los", "0.1", "did you mean 'breakers.daily_loss'"),
        ("tree.symbol:BTC/USDT.max_positon", "0.1", "did you mean 'tree.symbol:BTC/USDT.max_position'"),
        ("tree.bot.max_gross", "0.1", "a node is"),
        ("version", "7", "there is no limit 'version'"),
        ("tree", "x", "there is no limit 'tree'"),
        ("max_gross", "NaN", "max_gross must be above 0 and at most 20, was NaN"),
        ("max_gross", "-1", "max_gross must be above 0 and at most 20, was -1"),
        ("max_leverage", "126", "at most 125"),
        ("orders_per_s", "many", "orders_per_s"),
        ("breakers.flatten_drawdown", "0.05", "must not be below drawdown"),
        ("max_gross", "none", "max_gross"),
        ("max_gross", "1e-9000000", "max_gross must be a number of at most 40 digits, was '1e-9000000'"),
        ("min_uninvested", "0e-99999999999", "at most 40 digits"),
        ("max_gross", "0." + "1" * 50, "at most 40 digits"),
        ("whitelist", "A/B,,C/D", "whitelist must be symbols"),
        ("blacklist", "A/B," * 3000 + "C/D", "in 10000 characters"),
    ],
)
def test_change_that_cannot_be_says_what_it_was_and_what_it_must_be(key: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("[", r"\[")):
        changed(Limits(), key, value)


def test_nobody_goes_beyond_what_the_platform_says_and_that_is_never_looser_than_it_began() -> None:
    book = LimitBook(limits_of(PLATFORM), limits_of(PLATFORM))
    for key in ("max_gross", "tree.account.max_gross", "tree.bot:strategy/a.max_gross"):
        with pytest.raises(ConfigError, match=r"beyond the platform's limit 0\.60, was 0\.61"):
            book.after(1, key, "0.61")
    with pytest.raises(ConfigError, match="platform's limit true, was false"):
        book.after(1, "self_match_prevention", "false")
    with pytest.raises(ConfigError, match=r"began with 0\.60, was to be 0\.61"):
        book.after(1, "tree.platform.max_gross", "0.61")
    with pytest.raises(ConfigError, match=r"began with 0\.60, was to be none"):
        book.after(1, "tree.platform.max_gross", "none")
    tighter = book.after(1, "tree.platform.max_gross", "0.40").after(2, "tree.platform.max_gross", "0.60")
    assert value_of(tighter.table, "tree.platform.max_gross") == "0.60"
    with pytest.raises(ConfigError, match=r"platform's limit 0\.40"):
        book.after(1, "tree.platform.max_gross", "0.40").after(2, "max_gross", "0.5")


def test_book_counts_versions_and_keeps_all_that_was_changed() -> None:
    book = LimitBook(Limits(), Limits()).after(1, "max_gross", "0.50").after(2, "whitelist", "B/C,A/B")
    assert (book.table.max_gross, book.table.whitelist, book.table.version) == (
        Decimal("0.50"),
        ("B/C", "A/B"),
        2,
    )
    assert book.told == (2, {"max_gross": "0.50", "whitelist": "A/B,B/C"})
    assert book.passed(3).n == 3


def test_every_key_a_table_tells_can_be_set_to_what_it_is() -> None:
    table = limits_of(PLATFORM)
    same = changed_all(table, {key: value_of(table, key) for key in keys_of(table)})
    assert {key: value_of(same, key) for key in keys_of(same)} == {
        key: value_of(table, key) for key in keys_of(table)
    }
    assert {"tree.platform.max_gross", "breakers.daily_loss", "max_gross"} <= set(keys_of(table))


@given(
    st.sampled_from([key for key, _, _ in DIRECTIONS[:20]]),
    st.lists(st.decimals("0.001", "0.9"), min_size=1, max_size=6),
)
def test_tightest_of_some_values_is_never_beaten_by_one_of_them(key: str, numbers: list[Decimal]) -> None:
    values = [f"{each:f}" for each in numbers]
    least = tightest(key, values)
    assert least in values
    assert not any(is_tighter(key, each, least) for each in values)
