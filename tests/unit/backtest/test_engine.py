"""The engine against itself: compiled and plain, with and without skipping, small and grown tables."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest import simulation as running
from backtest import tables as tabling
from backtest.driver import Driver
from backtest.errors import NotSupported, SimulationError
from backtest.locks import LockBook
from backtest.simulation import simulate as run
from backtest.tables import Tables
from parley.kernels import codes
from parley.kernels.settings import LeverageTier
from parley.kernels.simulate import simulate
from parley.kernels.steps import SKIP_ALL
from tests.unit.backtest.markets import settings, spec, world

# The first run on a machine compiles the kernels: most of a minute, several when it is busy.
pytestmark = pytest.mark.timeout(600)

RULES: list[dict[str, Any]] = [
    {},
    {"trailing_stop": True, "trailing_stop_positive": 0.005, "trailing_stop_positive_offset": 0.01},
    {"trailing_stop": True, "trailing_stop_positive": 0.005, "trailing_stop_positive_offset": 0.01,
     "trailing_only_offset_is_reached": True},
    {"use_exit_signal": False, "minimal_roi": ((0, 0.05), (60, -1.0))},
    {"exit_profit_only": True, "exit_profit_offset": 0.01, "ignore_roi_if_entry_signal": True},
    {"stake_amount": "unlimited", "entry_order_type": "market", "exit_order_type": "market"},
]  # fmt: skip


def same(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(a.drop(columns="orders"), b.drop(columns="orders"), check_exact=True)
    assert a["orders"].tolist() == b["orders"].tolist()


@pytest.mark.parametrize("rules", RULES)
def test_skipping_quiet_candles_changes_nothing(
    rules: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    skipping = run(**world(**rules))
    genuine = Tables._set_rules

    def without(self: Tables, given: Any) -> None:
        genuine(self, given)
        assert self.desk[0]["skips"] == SKIP_ALL
        self.desk[0]["skips"] = 0

    monkeypatch.setattr(Tables, "_set_rules", without)
    looking = run(**world(**rules))
    assert len(looking.trades) > 20
    same(skipping.trades, looking.trades)
    assert skipping.final_balance == looking.final_balance
    assert skipping.rejected_signals == looking.rejected_signals


def test_the_kernels_give_the_same_compiled_and_as_plain_python() -> None:
    given = world(pairs=2, candles=250, trailing_stop=True)
    compiled = run(**given)
    candles = running.candles.read(given["frames"], given["settings"])
    tables = Tables(given["settings"], list(given["pairs"].values()), list(candles.values()), {})
    driver = Driver(tables, LockBook(300_000), {})
    tables.connect(driver.answers)
    assert simulate(tables.desk[0]) == codes.DONE
    plain = running.trade_frame.build(tables, [])
    assert len(plain) > 10
    same(compiled.trades, plain)
    assert float(tables.desk[0]["wallet_total"]) == compiled.final_balance


def test_tables_that_grow_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    roomy = run(**world())
    monkeypatch.setattr(tabling, "_MOST_ORDERS", 0)
    genuine = Tables._size_books
    grown = []

    def small(self: Tables, orders: int) -> None:
        first = len(self.orders) == 0
        grown.append(first)
        # Places of orders are used again, so a run needs few.
        genuine(self, 12 if first else orders)

    monkeypatch.setattr(Tables, "_size_books", small)
    same(roomy.trades, run(**world()).trades)
    assert grown.count(False) >= 2


def test_a_run_leaves_its_frames_alone() -> None:
    given = world()
    before = {pair: frame.copy() for pair, frame in given["frames"].items()}
    run(**given)
    for pair, frame in given["frames"].items():
        pd.testing.assert_frame_equal(frame, before[pair])


def test_signals_may_be_floats_booleans_or_missing() -> None:
    given = world(pairs=1)
    whole = run(**given)
    frame = next(iter(given["frames"].values()))
    for name in ("enter_long", "exit_long"):
        for kind in (np.float64, np.bool_, np.int8, object):
            changed = frame.copy()
            changed[name] = changed[name].astype(kind)
            if kind is np.float64:
                changed.loc[changed[name] == 0, name] = np.nan
            same(whole.trades, run(**{**given, "frames": {"COIN0/USDT": changed}}).trades)
    lonely = run(**{**given, "frames": {"COIN0/USDT": frame.drop(columns="exit_long")}})
    assert "exit_signal" not in set(lonely.trades["exit_reason"])


def test_no_trade_gives_freqtrades_empty_frame() -> None:
    given = world(pairs=1)
    frame = next(iter(given["frames"].values()))
    frame["enter_long"] = 0
    result = run(**given)
    assert len(result.trades) == 0
    assert len(result.trades.columns) == 28
    assert result.final_balance == 1000.0


def test_a_price_that_is_no_number_is_named() -> None:
    given = world(pairs=1)
    frame = next(iter(given["frames"].values()))
    first = int(np.flatnonzero(frame["enter_long"])[0]) + 1
    frame.loc[first, "high"] = np.nan
    with pytest.raises(
        SimulationError, match=rf"COIN0/USDT: a price of row {first} is not a number: .*high nan"
    ):
        run(**given)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"dynamic_pairlist": True}, "enable_dynamic_pairlist"),
        ({"timeframe": "30s", "timeframe_ms": 30_000}, "shorter than a minute"),
        ({"trading_mode": "futures", "margin_mode": "isolated", "liquidation_formula": "hyperliquid"},
         "liquidation prices of hyperliquid"),
        ({"minimal_roi": tuple((k, 0.1) for k in range(65))}, "minimal_roi: 65 steps, at most 64"),
    ],
)  # fmt: skip
def test_what_is_not_simulated_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(NotSupported, match=told):
        run(**world(pairs=1, **fields))


def test_hooks_named_but_not_given_are_an_error() -> None:
    with pytest.raises(SimulationError, match="custom_exit, hooks has none"):
        run(**world(pairs=1, hooks=frozenset({"custom_exit"})))


def test_a_pair_without_rules_is_an_error() -> None:
    given = world(pairs=2)
    given["pairs"].pop("COIN1/USDT")
    with pytest.raises(SimulationError, match="no pair rules for COIN1/USDT"):
        run(**given)


# The last trade of a candle, and one that others follow at the same candle.
@pytest.mark.parametrize("fails_at", [50, 51])
def test_a_callback_that_fails_stops_the_run_with_its_own_error_and_none_is_asked_again(
    fails_at: int,
) -> None:
    asked: list[str] = []

    def broken(**arguments: Any) -> None:
        asked.append(arguments["pair"])
        if len(asked) == fails_at:
            raise LookupError("no such indicator")

    given = world(pairs=3, hooks=frozenset({"custom_exit"}))
    with pytest.raises(LookupError, match="no such indicator") as told:
        run(**given, hooks={"custom_exit": broken})
    assert len(asked) == fails_at
    assert len(set(asked)) == 3
    assert told.traceback[-1].name == "broken"


def test_a_callback_sees_the_trade_and_what_it_writes_is_gone() -> None:
    seen: list[tuple[Any, ...]] = []

    def custom_exit(*, pair: str, trade: Any, current_rate: float, **_: Any) -> str | None:
        assert trade.pair == pair
        assert not hasattr(trade, "scratch")
        trade.scratch = 1
        trade.stop_loss = 0.0
        assert trade.stop_loss == 0.0
        seen.append((trade.id, trade.enter_tag, type(trade.open_rate), trade.nr_of_successful_entries))
        assert trade.calc_profit_ratio(trade.open_rate) < 0.0
        assert [order.side for order in trade.orders] == ["buy"]
        return "far enough" if current_rate > trade.open_rate * 1.005 else None

    given = world(pairs=1, hooks=frozenset({"custom_exit"}))
    result = run(**given, hooks={"custom_exit": custom_exit})
    assert "far enough" in set(result.trades["exit_reason"])
    assert {row[2:] for row in seen} == {(float, 1)}
    assert {row[1] for row in seen} == {"dip"}


def test_another_stake_above_every_margin_tier_stops_as_freqtrade_does() -> None:
    tiers = world(pairs=1)
    rules = spec("COIN0/USDT", leverage_tiers=(_tier(0.0, 50.0, 10.0),))
    given = settings(trading_mode="futures", margin_mode="isolated", liquidation_formula="binance")
    with pytest.raises(SimulationError, match="above every step"):
        run(tiers["frames"], given, {"COIN0/USDT": rules}, funding={})


def _tier(low: float, high: float, leverage: float) -> Any:
    return LeverageTier(
        min_notional=low, max_notional=high, maintenance_margin_rate=0.01, max_leverage=leverage,
        maintenance_amount=0.0,
    )  # fmt: skip
