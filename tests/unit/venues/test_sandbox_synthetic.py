"""The synthetic market has the statistics it promises, and the same seed gives the same market."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from venues.sandbox.synthetic import SyntheticFeed

COUNT = 4000
ASSETS = ["BTC", "ETH", "LTC", "SOL"]
Closes = dict[str, npt.NDArray[np.float64]]


def feed(seed: int, candles: int = COUNT, history: int = 0) -> SyntheticFeed:
    return SyntheticFeed(ASSETS, "USDT", ["ETH/BTC", "LTC/BTC"], "1m", None, candles, seed, 4, history)


def closes(source: SyntheticFeed) -> Closes:
    found: dict[str, list[int]] = {one.symbol: [] for one in source.instruments}
    while (step := source.next_step()) is not None:
        for symbol, (candle, _) in step.bars.items():
            found[symbol].append(candle.close)
    return {symbol: np.array(values, dtype=np.float64) for symbol, values in found.items()}


@pytest.fixture(scope="module")
def market() -> Closes:
    return closes(feed(3))


def returns(prices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.diff(np.log(prices))


@pytest.mark.parametrize("asset", ASSETS)
def test_returns_have_fat_tails_and_clusters(market: Closes, asset: str) -> None:
    r = returns(market[asset + "USDT"])
    centered = r - r.mean()
    size = np.abs(r)

    assert (centered**4).mean() / (centered**2).mean() ** 2 > 3.5
    for lag in (1, 5):
        assert np.corrcoef(size[lag:], size[:-lag])[0, 1] > 0.03
    assert abs(np.corrcoef(r[1:], r[:-1])[0, 1]) < 0.08


def test_assets_move_together(market: Closes) -> None:
    matrix = np.corrcoef([returns(market[asset + "USDT"]) for asset in ASSETS])
    pairs = matrix[np.triu_indices(len(ASSETS), 1)]

    assert pairs.min() > 0.4
    assert pairs.max() < 0.9


@pytest.mark.parametrize("base", ["ETH", "LTC"])
def test_crosses_follow_their_legs_up_to_small_noise(market: Closes, base: str) -> None:
    apart = np.log(market[base + "BTC"] / 1e8) - np.log(market[base + "USDT"] / market["BTCUSDT"])

    assert abs(apart.mean()) < 5e-4
    assert 2e-4 < apart.std() < 3e-3
    assert np.abs(apart).max() < 0.02
    assert 0.001 < (np.abs(apart) > 0.003).mean() < 0.2  # a triangle opens now and then
    assert np.corrcoef(apart[100:], apart[:-100])[0, 1] < 0.3  # and closes again


def test_same_seed_same_market() -> None:
    first, again, other = (closes(feed(seed, 50)) for seed in (1, 1, 2))

    assert all((first[symbol] == again[symbol]).all() for symbol in first)
    assert any((first[symbol] != other[symbol]).any() for symbol in first)


def test_history_is_the_part_before_the_first_step() -> None:
    whole = feed(5, 30)
    bars = []
    while (step := whole.next_step()) is not None:
        bars.append(step.bars["BTCUSDT"][0])
    late = feed(5, 10, history=20)
    tail = late.next_step()

    assert [c.close for c in late.history("BTCUSDT")] == [c.close for c in bars[:20]]
    assert tail is not None
    assert tail.bars["BTCUSDT"][0].close == bars[20].close
    assert tail.open_ms == late.history("BTCUSDT")[-1].open_ms + 60_000


def test_candles_join_and_are_possible() -> None:
    source = feed(9, 300)
    before: dict[str, int] = {}
    while (step := source.next_step()) is not None:
        for symbol, (candle, prints) in step.bars.items():
            assert candle.low <= min(candle.open, candle.close)
            assert candle.high >= max(candle.open, candle.close)
            assert candle.open == before.get(symbol, candle.open)
            assert sum(one.qty for one in prints) == candle.volume > 0
            before[symbol] = candle.close


def test_endless_by_default() -> None:
    source = SyntheticFeed(["BTC"], "USDT", [], "1h", "2030-01-01", None, 1, 4, 0)

    steps = [source.next_step() for _ in range(100)]

    assert all(step is not None for step in steps)
    assert source.upcoming("BTCUSDT") is not None
