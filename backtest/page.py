"""One simulation as a page: a single HTML file with its charts, to be looked at, kept and passed on.

Problem: a table does not show when a strategy earned, how deep it fell and where it traded. The page holds
everything it needs, scripts included, and asks the network for nothing.

Not here: figures (`performance`, freqtrade's own in `freqtrade_bridge.report`); who writes the file.

Invariant: the same simulation gives the same bytes; names and tags of strategies are text, never markup.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Final, NamedTuple

import numpy as np
import plotly.graph_objects as go
from pandas import DataFrame
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from backtest.performance import Performance, daily_balance

MAX_PAIRS: Final = 20
MAX_CANDLES: Final = 1500
"""A pair's chart shows that many candles at most: several are put together where there are more."""
MAX_POINTS: Final = 5000
_GAIN, _LOSS, _LINE, _FAINT = "#1a7f5a", "#b3372f", "#2b5d9b", "#d7dde5"
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CONFIG: Final = {"displaylogo": False, "responsive": True}
_STYLE: Final = files("backtest").joinpath("page.css").read_text(encoding="utf-8")


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
        parts += ["<h2>freqtrade's figures</h2>", _table(("", ""), page.figures)]
    body = "\n".join(parts)
    title = escape(f"{page.strategy} - backtest")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style>'
        f"<script>{get_plotlyjs()}</script></head>\n<body>\n{body}\n</body></html>\n"
    )


def _head(page: Page) -> str:
    span = f"{_day(page.start_ms)} to {_day(page.end_ms)}"
    pairs = f"{len(page.candles)} pair{'' if len(page.candles) == 1 else 's'}"
    return (
        f"<h1>{escape(page.strategy)}</h1>"
        f'<p class="sub">{span} &middot; {escape(page.timeframe)} candles &middot; {pairs}</p>'
    )


def _tiles(page: Page) -> str:
    told, trades = page.performance, page.trades
    wins = int((trades["profit_abs"] > 0).sum()) if len(trades) else 0
    tiles = (
        (f"{page.final_balance:,.2f}", f"final balance, {escape(page.currency)}"),
        (f"{told.total_return:+.2%}", "total return"),
        (_said(told.cagr, "+.2%"), "a year (CAGR)"),
        (f"{told.max_drawdown:.2%}", "largest drawdown, realised"),
        (f"{len(trades):,}", "trades"),
        (f"{wins / len(trades):.1%}" if len(trades) else "-", "won"),
        (_said(told.sharpe_daily, ".2f"), "Sharpe, daily returns"),
        (_said(told.sharpe_probabilistic, ".1%"), "probability that Sharpe is above 0"),
    )
    return (
        '<div class="tiles">'
        + "".join(f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for value, name in tiles)
        + "</div>"
    )


def _balance(page: Page) -> str:
    frame = page.trades.sort_values("close_timestamp", kind="stable")
    times = np.concatenate(([page.start_ms], frame["close_timestamp"].to_numpy(dtype=np.int64)))
    balance = page.starting_balance + np.concatenate(([0.0], np.cumsum(frame["profit_abs"].to_numpy(float))))
    keep = _thin(len(balance))
    peaks = np.maximum.accumulate(balance)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.04)
    x = times[keep].astype("datetime64[ms]")
    figure.add_scatter(
        x=x, y=balance[keep], name="balance", line={"color": _LINE, "shape": "hv"}, row=1, col=1
    )
    figure.add_scatter(
        x=x, y=(balance[keep] / peaks[keep] - 1) * 100, name="drawdown", fill="tozeroy",
        line={"color": _LOSS, "width": 1, "shape": "hv"}, row=2, col=1,
    )  # fmt: skip
    figure.update_yaxes(title_text=page.currency, row=1, col=1)
    figure.update_yaxes(title_text="%", row=2, col=1)
    return _chart(figure, "balance", 460)


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
    shown = trades.iloc[_thin(len(trades))]
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
    return _chart(figure, "trades", 420) + note


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
    return _table(("reason", "trades", "mean profit", f"profit, {page.currency}", "won"), rows)


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
        name="price", increasing_line_color=_GAIN, decreasing_line_color=_LOSS, line_width=1,
    )  # fmt: skip
    shown = trades.iloc[_thin(len(trades))]
    for is_short, entry, leave in ((False, "triangle-up", "x"), (True, "triangle-down", "x")):
        side = shown[shown["is_short"] == is_short]
        if not len(side):
            continue
        word = "short" if is_short else "long"
        figure.add_scatter(
            x=side["open_date"], y=side["open_rate"], mode="markers", name=f"{word} entry",
            marker={"symbol": entry, "size": 9, "color": _LINE},
            text=[escape(str(tag)) for tag in side["enter_tag"]],
        )  # fmt: skip
        for won, colour, outcome in ((True, _GAIN, "won"), (False, _LOSS, "lost")):
            part = side[(side["profit_abs"] > 0) == won]
            figure.add_scatter(
                x=part["close_date"], y=part["close_rate"], mode="markers", name=f"{word} exit, {outcome}",
                marker={"symbol": leave, "size": 7, "color": colour},
                text=[escape(str(r)) for r in part["exit_reason"]],
            )  # fmt: skip
    figure.update_layout(xaxis_rangeslider_visible=False)
    return _chart(figure, name, 380)


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
        ("return a year (CAGR)", _said(told.cagr, "+.2%")),
        ("volatility a year", _said(told.volatility, ".2%")),
        ("Sharpe (daily returns)", _said(told.sharpe_daily, ".3f")),
        ("Sortino (daily returns)", _said(told.sortino_daily, ".3f")),
        ("Calmar (CAGR / drawdown)", _said(told.calmar_cagr, ".3f")),
        ("probabilistic Sharpe ratio", _said(told.sharpe_probabilistic, ".2%")),
        (f"deflated Sharpe ratio, {told.trials} tried", _said(told.sharpe_deflated, ".2%")),
        ("system quality number", _said(told.sqn, ".2f")),
        ("largest drawdown", f"{told.max_drawdown:.2%}"),
        ("longest time below a peak", f"{told.max_drawdown_days} days"),
        (
            "skewness, kurtosis of daily returns",
            f"{_said(told.skewness, '.2f')}, {_said(told.kurtosis, '.2f')}",
        ),
    )
    note = '<p class="sub">Of the realised balance by day; open trades are not marked.</p>'
    return _table(("", ""), rows) + note


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def _chart(figure: go.Figure, name: str, height: int) -> str:
    figure.update_layout(
        template="plotly_white", height=height, margin={"l": 60, "r": 20, "t": 20, "b": 40},
        hovermode="closest", legend={"orientation": "h", "y": 1.08},
    )  # fmt: skip
    return str(figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=_CONFIG))


def _thin(length: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Places to draw: all, or evenly spread ones, the last always among them."""
    if length <= MAX_POINTS:
        return np.arange(length, dtype=np.int64)
    return np.unique(np.linspace(0, length - 1, MAX_POINTS).astype(np.int64))


def _day(ms: int) -> str:
    return str(np.datetime64(ms, "ms").astype("datetime64[D]"))


def _said(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
