"""A strategy that adjusts positions at a desk that grants what it likes: each order is what was granted."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pandas import read_feather

from agents.outside import Offer
from backtest.errors import NotSupported, SimulationError
from backtest.seated import SeatedStrategy, seated_settings
from backtest.strategy_run import simulate_strategy
from backtest.together import trade_candle
from freqtrade_bridge.analysis import analyse
from freqtrade_bridge.options import Options
from freqtrade_bridge.preparing import prepare
from tests.kit.freqtrade_folder import STRATEGIES, spot_candles, write_config

# The first run after a change of a kernel compiles it, on a busy machine for minutes.
pytestmark = pytest.mark.timeout(400)
ROWS = 1200
EAGER = '''
from freqtrade.strategy import IStrategy

class Eager(IStrategy):
    """Buys more and sells parts all the time, at prices of its own."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 5
    minimal_roi = {"0": 0.04}
    stoploss = -0.05
    position_adjustment_enable = True
    max_entry_position_adjustment = %d

    def bot_start(self):
        self.asked = []

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["date"].dt.minute == 0, ["enter_long", "enter_tag"]] = (1, "hour")
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["date"].dt.hour %% 6 == 5, "exit_long"] = 1
        return dataframe

    def adjust_trade_position(self, trade, current_time, **asked):
        match current_time.minute:
            case 15:
                return 40.0
            case 25:
                return (-trade.stake_amount / 3, "a_third")
            case 35:
                return (20.0, "twenty")
            case 45:
                return -trade.stake_amount / 7
            case 50:
                return (None, "nothing")
        return None

    def custom_entry_price(self, pair, trade, proposed_rate, entry_tag, **asked):
        self.asked.append((pair, trade is not None, entry_tag))
        return proposed_rate * 1.0007

    def custom_exit_price(self, trade, proposed_rate, current_profit, exit_tag, **asked):
        self.asked.append((trade.pair, current_profit, exit_tag, trade.close_date))
        return proposed_rate * 0.9993
'''


@dataclass
class Desk:
    """Stands for a desk: grants ``part`` of an adjustment and all of anything else; ``fills`` in order."""

    part: Callable[[Offer], float]
    openings: dict[tuple[str, int], float]
    lot: Decimal = Decimal("1e-8")
    now: int = 0
    fills: list[tuple[str, str, float, float, int]] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    held: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def opening(self, symbol: str) -> float | None:
        return self.openings.get((symbol, self.now))

    def holds(self, agent: str, symbol: str) -> float:
        return float(self.held[symbol])

    def negotiate(self, seat: object, offer: Offer, t: int) -> Decimal:
        granted = (offer.qty * Decimal(repr(self.part(offer)))).quantize(self.lot, ROUND_DOWN)
        if granted:
            self.held[offer.symbol] += -granted if offer.leaves else granted
            self.fills.append((offer.symbol, offer.side, float(granted), float(offer.px), t // 1_000_000))
        return granted


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("adjusting")
    spot_candles(made / "candles", ROWS)
    (made / "user").mkdir()
    write_config(made / "config.json")
    return made


def options(folder: Path, name: str, strategies: Path = STRATEGIES) -> Options:
    return Options(
        user_data_dir=folder / "user", config=(folder / "config.json",), datadir=folder / "candles",
        strategy=name, strategy_path=strategies,
    )  # fmt: skip


def seated(
    folder: Path, part: Callable[[Offer], float], given: Options, lot: str = "1e-8", **spec: Any
) -> tuple[SeatedStrategy, Desk, Any]:
    """Let a strategy trade at such a desk; ``spec``: what is different about each pair's rules."""
    prepared = prepare(given)
    (strategy,) = prepared.strategies
    analysed = analyse(prepared, strategy)
    pairs = {name: msgspec.structs.replace(each, **spec) for name, each in analysed.pairs.items()}
    analysed = replace(analysed, pairs=pairs)
    settings = seated_settings(analysed.settings, pairs.values())
    times: set[int] = set()
    openings: dict[tuple[str, int], float] = {}
    for pair in pairs:
        frame = read_feather(folder / "candles" / f"{pair.replace('/', '_')}-5m.feather")
        stamps = frame["date"].astype("int64").tolist()
        times |= set(stamps)
        openings |= {(pair, t): price for t, price in zip(stamps, frame["open"].tolist(), strict=True)}
    desk = Desk(part, openings, Decimal(lot))

    def work(around: Any, opened: Any) -> Any:
        return simulate_strategy(prepared, analysed, settings=settings, around=around, opened=opened)

    player = SeatedStrategy("strategy/x", None, desk, work, 3_600_000)  # type: ignore[arg-type]
    for t in sorted(times):
        desk.now = t
        trade_candle([player], t)
    player.finish()
    desk.asked, strategy.asked = strategy.asked, []
    alone = simulate_strategy(prepared, analysed)
    return player, desk, (alone.trades, strategy.asked)


def is_adjustment(offer: Offer) -> bool:
    return offer.why in ("pos_adjust", "twenty", "a_third", "partial_exit")


def orders_of(player: SeatedStrategy) -> list[tuple[str, str, float, float, int]]:
    return sorted(
        (pair, o["ft_order_side"], o["amount"], o["safe_price"], o["order_filled_timestamp"])
        for pair, orders in zip(player.trades["pair"], player.trades["orders"], strict=True)
        for o in orders
    )


def eager(folder: Path, tmp_path: Path, most: int = -1) -> Options:
    (tmp_path / "eager.py").write_text(EAGER % most)
    return options(folder, "Eager", tmp_path)


@pytest.mark.parametrize("most", [-1, 1])
def test_who_is_granted_everything_trades_and_is_asked_as_alone(
    most: int, folder: Path, tmp_path: Path
) -> None:
    given = eager(folder, tmp_path, most)
    player, desk, (trades, asked) = seated(folder, lambda offer: 1.0, given)
    assert player.trades.equals(trades)
    assert sorted(desk.fills) == orders_of(player)
    assert player.adjusted > 50
    assert (player.cut, player.refused, player.kept) == (0, 0, 0)
    assert desk.asked == asked  # price callbacks are asked once, in their order, the same
    assert len(asked) > 100


@pytest.mark.parametrize("lot", ["1e-8", "0.001"])
def test_every_order_is_the_part_that_was_granted(lot: str, folder: Path, tmp_path: Path) -> None:
    dice = random.Random(7)
    parts = (0.0, 1e-6, 0.013, 0.3331, 0.77, 0.999999, 1.0)
    player, desk, (trades, _) = seated(
        folder, lambda offer: dice.choice(parts) if is_adjustment(offer) else 1.0, eager(folder, tmp_path),
        lot, amount_precision=float(lot),
    )  # fmt: skip
    assert player.cut > 50
    assert player.refused > 10
    assert player.kept > 10
    assert sorted(desk.fills) == orders_of(player)
    assert not any(desk.held.values())
    assert not player.trades.equals(trades)


def test_least_of_the_venue_counts_again_after_a_part_below_it(folder: Path, tmp_path: Path) -> None:
    stakes: list[float] = []
    cut: set[str] = set()

    def part(offer: Offer) -> float:
        if offer.why == "pos_adjust" and offer.symbol not in cut:
            cut.add(offer.symbol)
            return 0.01
        if offer.why == "twenty":
            stakes.append(float(offer.qty * offer.px))
        return 1.0

    player, desk, _ = seated(folder, part, eager(folder, tmp_path), cost_min=24.0)
    assert player.cut == len(cut) == 3
    assert sorted(desk.fills) == orders_of(player)
    assert len(stakes) > 20
    assert min(stakes) > 23.9  # twenty was wanted, and is made the least freqtrade would order


def test_pair_whose_amounts_have_no_precision_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="position_adjustment_enable for a pair without precision"):
        seated(folder, lambda offer: 1.0, eager(folder, tmp_path), amount_precision=None)


def test_part_that_no_stake_becomes_ends_the_backtest(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="which no stake becomes"):
        seated(
            folder, lambda offer: 0.5 if is_adjustment(offer) else 1.0, eager(folder, tmp_path), "1e-8",
            amount_precision=0.001,
        )  # fmt: skip
