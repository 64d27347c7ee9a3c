"""The page of a simulation: whole, the same twice, without markup of others, and with what was traded."""

import re

import numpy as np
import pandas as pd
import pytest

from backtest.page import MAX_PAIRS, Page, coarse, render
from backtest.performance import daily_balance, performance

HOUR_MS = 3_600_000
START = 1_700_000_000_000 // 86_400_000 * 86_400_000


def candles(n: int) -> pd.DataFrame:
    dice = np.random.Generator(np.random.Philox(3))
    close = 100 * np.cumprod(1 + dice.normal(0, 0.005, n))
    open_ = np.concatenate(([100.0], close[:-1]))
    return pd.DataFrame({
        "date": pd.to_datetime(START + HOUR_MS * np.arange(n), unit="ms", utc=True),
        "open": open_, "high": np.maximum(open_, close) * 1.001, "low": np.minimum(open_, close) * 0.999,
        "close": close,
    })  # fmt: skip


def trades(pairs: list[str], n: int = 40) -> pd.DataFrame:
    dice = np.random.Generator(np.random.Philox(4))
    opened = START + HOUR_MS * np.sort(dice.integers(0, 1900, n))
    closed = opened + HOUR_MS * dice.integers(1, 60, n)
    ratio = dice.normal(0.002, 0.02, n)
    return pd.DataFrame({
        "pair": [pairs[i % len(pairs)] for i in range(n)],
        "open_timestamp": opened, "close_timestamp": closed,
        "open_date": pd.to_datetime(opened, unit="ms", utc=True),
        "close_date": pd.to_datetime(closed, unit="ms", utc=True),
        "trade_duration": (closed - opened) // 60_000, "profit_ratio": ratio, "profit_abs": ratio * 100,
        "open_rate": 100.0, "close_rate": 100.0 * (1 + ratio), "is_short": [i % 3 == 0 for i in range(n)],
        "enter_tag": "<b>tag</b>", "exit_reason": ["roi" if r > 0 else "stop_loss" for r in ratio],
    })  # fmt: skip


def page(
    pairs: tuple[str, ...] = ("BTC/USDT",), made: pd.DataFrame | None = None, name: str = "Cross"
) -> Page:
    frame = trades(list(pairs)) if made is None else made
    end = START + 2000 * HOUR_MS
    closes = frame["close_timestamp"].to_numpy(dtype=np.int64) if len(frame) else np.zeros(0, dtype=np.int64)
    profit = frame["profit_abs"].to_numpy(dtype=float) if len(frame) else np.zeros(0)
    balance = daily_balance(closes, profit, 1000.0, START, end)
    return Page(
        strategy=name, timeframe="1h", currency="USDT", start_ms=START, end_ms=end, starting_balance=1000.0,
        final_balance=1000.0 + float(profit.sum()), trades=frame, candles={p: candles(2000) for p in pairs},
        performance=performance(balance, profit), figures=(("Sharpe", "1.5"),),
    )  # fmt: skip


def without_scripts(html: str) -> str:
    return re.sub(r"<script.*?</script>", "", html, flags=re.S)


def test_same_simulation_gives_the_same_bytes_with_every_chart() -> None:
    once, twice = render(page()), render(page())

    assert once == twice
    for name in ("balance", "trades", "pair0"):
        assert f'id="{name}"' in once
    text = without_scripts(once)
    assert "stop_loss" in text
    assert "Nov" in text
    assert 'src="http' not in once
    assert "<link" not in text


def test_names_and_tags_stay_text() -> None:
    html = without_scripts(render(page(name="<script>alert(1)</script>")))

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<b>tag</b>" not in html


def test_page_without_a_trade_says_so() -> None:
    empty = trades(["BTC/USDT"]).iloc[:0]

    html = without_scripts(render(page(made=empty)))

    assert "No trade was made." in html
    assert "Standard figures" in html


def test_of_many_pairs_those_with_most_trades_are_drawn_and_the_rest_is_counted() -> None:
    pairs = tuple(f"C{i}/USDT" for i in range(MAX_PAIRS + 3))

    html = without_scripts(render(page(pairs, trades(list(pairs), 100))))

    assert html.count("<h2>C") == MAX_PAIRS
    assert "3 more traded" in html


@pytest.mark.parametrize("length", [1, 1500, 1501, 9999])
def test_candles_put_together_keep_extremes_and_ends(length: int) -> None:
    fine = candles(length)

    rough = coarse(fine)

    assert len(rough) <= 1500
    assert rough["high"].max() == fine["high"].max()
    assert rough["low"].min() == fine["low"].min()
    assert rough["open"].iloc[0] == fine["open"].iloc[0]
    assert rough["close"].iloc[-1] == fine["close"].iloc[-1]
    assert (rough["high"] >= rough[["open", "close"]].max(axis=1)).all()
