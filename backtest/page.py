"""One simulation as a page: a single HTML file with its charts, to be looked at, kept and passed on.

Problem: a table does not show when a strategy earned, how deep it fell and where it traded. The page holds
everything it needs, scripts included, and asks the network for nothing.

Not here: figures (`performance`, freqtrade's own in `freqtrade_bridge.report`); who writes the file.

Invariant: the same simulation gives the same bytes; names and tags of strategies are text, never markup.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final, NamedTuple

import numpy as np
import plotly.graph_objects as go
from pandas import DataFrame

from backtest.document import GAIN, LINE, LOSS, balance_chart, chart, day, document, said, table, thin, tiles
from backtest.performance import Performance, daily_balance

MAX_PAIRS: Final = 20
MAX_CANDLES: Final = 1500
"""A pair's chart shows that many candles at most: several are put together where there are more."""
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Page(NamedTuple):
    """What a page is about. ``figures`` are further lines (name, value) shown as they are."""

    strategy: str
    timeframe: str
    currency: str
    start_ms: int
    end_ms: int
    starting_balance: float
    final_balance: float
    trades: DataFrame
    """freqtrade's result frame (`backtest.result.BT_DATA_COLUMNS`)."""
    candles: Mapping[str, DataFrame]
    """By pair, with columns date, open, high, low, close."""
    performance: Performance
    figures: Sequence[tuple[str, str]] = ()


def render(page: Page) -> str:
    """Return the page's HTML."""
    parts = [_head(page), _tiles(page)]
    if len(page.trades):
        parts += [
            "<h2>Balance and drawdown</h2>", _balance(page),
            "<h2>Profit by month</h2>", _months(page),
            "<h2>Trades</h2>", _scatter(page.trades),
            "<h2>Why trades ended</h2>", _reasons(page),
            "<h2>Pairs</h2>", *_pairs(page),
        ]  # fmt: skip
    else:
        parts.append("<p>No trade was made.</p>")
    parts += ["<h2>Standard figures</h2>", _standard(page.performance)]
    if page.figures:
        parts += ["<h2>freqtrade's figures</h2>", table(("", ""), page.figures)]
    return document(f"{page.strategy} - backtest", parts)


def _head(page: Page) -> str:
    span = f"{day(page.start_ms)} to {day(page.end_ms)}"
    pairs = f"{len(page.candles)} pair{'' if len(page.candles) == 1 else 's'}"
    return (
        f"<h1>{escape(page.strategy)}</h1>"
        f'<p class="sub">{span} &middot; {escape(page.timeframe)} candles &middot; {pairs}</p>'
    )


def _tiles(page: Page) -> str:
    told, trades = page.performance, page.trades
    wins = int((trades["profit_abs"] > 0).sum()) if len(trades) else 0
    return tiles((
        (f"{page.final_balance:,.2f}", f"final balance, {page.currency}"),
        (f"{told.total_return:+.2%}", "total return"),
        (said(told.cagr, "+.2%"), "a year (CAGR)"),
        (f"{told.max_drawdown:.2%}", "largest drawdown, realised"),
        (f"{len(trades):,}", "trades"),
        (f"{wins / len(trades):.1%}" if len(trades) else "-", "won"),
        (said(told.sharpe_daily, ".2f"), "Sharpe, daily returns"),
        (said(told.sharpe_probabilistic, ".1%"), "probability that Sharpe is above 0"),
    ))  # fmt: skip


def _balance(page: Page) -> str:
    frame = page.trades.sort_values("close_timestamp", kind="stable")
    times = np.concatenate(([page.start_ms], frame["close_timestamp"].to_numpy(dtype=np.int64)))
    balance = page.starting_balance + np.concatenate(([0.0], np.cumsum(frame["profit_abs"].to_numpy(float))))
    return balance_chart(times, balance, page.currency)


def _months(page: Page) -> str:
    """Return of each month on the balance it began with, realised."""
    trades = page.trades
    balance = daily_balance(
        trades["close_timestamp"].to_numpy(dtype=np.int64), trades["profit_abs"].to_numpy(dtype=float),
        page.starting_balance, page.start_ms, page.end_ms,
    )  # fmt: skip
    first = np.datetime64(page.start_ms, "ms").astype("datetime64[D]")
    months = (first + np.arange(len(balance) - 1)).astype("datetime64[M]").astype(int)
    rows: list[str] = []
    for year in range(int(months[0]) // 12, int(months[-1]) // 12 + 1):
        cells = [f"<td>{year + 1970}</td>"]
        for month in range(12):
            days = np.flatnonzero(months == year * 12 + month)
            if not len(days):
                cells.append("<td></td>")
                continue
            begun, ended = balance[days[0]], balance[days[-1] + 1]
            cells.append(_heat((ended / begun - 1) * 100 if begun > 0 else math.nan))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(f"<th>{month}</th>" for month in ("", *_MONTHS))
    return f'<div class="wide"><table class="heat"><tr>{head}</tr>{"".join(rows)}</table></div>'


def _heat(percent: float) -> str:
    if not math.isfinite(percent):
        return "<td>-</td>"
    depth = min(1.0, abs(percent) / 10) * 0.75
    colour = f"rgba(26,127,90,{depth:.2f})" if percent >= 0 else f"rgba(179,55,47,{depth:.2f})"
    return f'<td style="background:{colour}">{percent:+.1f}%</td>'


def _scatter(trades: DataFrame) -> str:
    figure = go.Figure()
    shown = trades.iloc[thin(len(trades))]
    for reason, group in shown.groupby("exit_reason", sort=True):
        figure.add_scattergl(
            x=group["trade_duration"].to_numpy(), y=group["profit_ratio"].to_numpy() * 100, mode="markers",
            name=escape(str(reason)), marker={"size": 5, "opacity": 0.6},
            text=[escape(f"{p} {date}") for p, date in zip(group["pair"], group["open_date"], strict=True)],
            hovertemplate="%{text}<br>%{x} min, %{y:.2f} %<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="duration, minutes", type="log" if _is_wide(trades) else "linear")
    figure.update_yaxes(title_text="profit, %", zeroline=True)
    left_out = len(trades) - len(shown)
    note = f'<p class="sub">{left_out:,} of {len(trades):,} trades are not drawn.</p>' if left_out else ""
    return chart(figure, "trades", 420) + note


def _is_wide(trades: DataFrame) -> bool:
    durations = trades["trade_duration"]
    return bool(durations.min() > 0 and durations.max() > 100 * durations.median())


def _reasons(page: Page) -> str:
    rows = []
    for reason, group in page.trades.groupby("exit_reason", sort=True):
        profit = float(group["profit_abs"].sum())
        won = float((group["profit_abs"] > 0).mean())
        mean = float(group["profit_ratio"].mean()) * 100
        rows.append((str(reason), f"{len(group):,}", f"{mean:+.2f} %", f"{profit:+,.2f}", f"{won:.1%}"))
    rows.sort(key=lambda row: -int(row[1].replace(",", "")))
    return table(("reason", "trades", "mean profit", f"profit, {page.currency}", "won"), rows)


def _pairs(page: Page) -> list[str]:
    counts = page.trades["pair"].value_counts()
    chosen = [str(pair) for pair in counts.index if str(pair) in page.candles][:MAX_PAIRS]
    left_out = len(counts) - len(chosen)
    parts = [f"<p>The {len(chosen)} pairs with most trades; {left_out} more traded.</p>"] if left_out else []
    for at, pair in enumerate(chosen):
        own = page.trades[page.trades["pair"] == pair]
        parts.append(f"<h2>{escape(pair)}</h2>")
        parts.append(_pair(page.candles[pair], own, f"pair{at}"))
    return parts


def _pair(candles: DataFrame, trades: DataFrame, name: str) -> str:
    bars = coarse(candles)
    figure = go.Figure()
    figure.add_candlestick(
        x=bars["date"], open=bars["open"], high=bars["high"], low=bars["low"], close=bars["close"],
        name="price", increasing_line_color=GAIN, decreasing_line_color=LOSS, line_width=1,
    )  # fmt: skip
    shown = trades.iloc[thin(len(trades))]
    for is_short, entry, leave in ((False, "triangle-up", "x"), (True, "triangle-down", "x")):
        side = shown[shown["is_short"] == is_short]
        if not len(side):
            continue
        word = "short" if is_short else "long"
        figure.add_scatter(
            x=side["open_date"], y=side["open_rate"], mode="markers", name=f"{word} entry",
            marker={"symbol": entry, "size": 9, "color": LINE},
            text=[escape(str(tag)) for tag in side["enter_tag"]],
        )  # fmt: skip
        for won, colour, outcome in ((True, GAIN, "won"), (False, LOSS, "lost")):
            part = side[(side["profit_abs"] > 0) == won]
            figure.add_scatter(
                x=part["close_date"], y=part["close_rate"], mode="markers", name=f"{word} exit, {outcome}",
                marker={"symbol": leave, "size": 7, "color": colour},
                text=[escape(str(r)) for r in part["exit_reason"]],
            )  # fmt: skip
    figure.update_layout(xaxis_rangeslider_visible=False)
    return chart(figure, name, 380)


def coarse(candles: DataFrame, most: int = MAX_CANDLES) -> DataFrame:
    """Put neighbouring candles together until there are at most ``most``; highs and lows are kept."""
    every = -(-len(candles) // most)
    if every <= 1:
        return candles
    groups = np.arange(len(candles)) // every
    return candles.groupby(groups).agg(
        {"date": "first", "open": "first", "high": "max", "low": "min", "close": "last"}
    )


def _standard(told: Performance) -> str:
    rows = (
        ("return a year (CAGR)", said(told.cagr, "+.2%")),
        ("volatility a year", said(told.volatility, ".2%")),
        ("Sharpe (daily returns)", said(told.sharpe_daily, ".3f")),
        ("Sortino (daily returns)", said(told.sortino_daily, ".3f")),
        ("Calmar (CAGR / drawdown)", said(told.calmar_cagr, ".3f")),
        ("probabilistic Sharpe ratio", said(told.sharpe_probabilistic, ".2%")),
        (f"deflated Sharpe ratio, {told.trials} tried", said(told.sharpe_deflated, ".2%")),
        ("system quality number", said(told.sqn, ".2f")),
        ("largest drawdown", f"{told.max_drawdown:.2%}"),
        ("longest time below a peak", f"{told.max_drawdown_days} days"),
        (
            "skewness, kurtosis of daily returns",
            f"{said(told.skewness, '.2f')}, {said(told.kurtosis, '.2f')}",
        ),
    )
    note = '<p class="sub">Of the realised balance by day; open trades are not marked.</p>'
    return table(("", ""), rows) + note
