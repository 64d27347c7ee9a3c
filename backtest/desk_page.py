"""A desk's backtest as a page: what it earned, by whom, how the weights moved, and what was cut or refused.

Not here: where the figures come from (`runtime.desk_course`), the look of a page (`document`).

Invariant: the same figures give the same bytes; ids and reasons are text, never markup.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from backtest.document import GAIN, LOSS, balance_chart, chart, day, document, table, thin, tiles


class DeskPage(NamedTuple):
    """What a desk's page is about. Money in ``currency``; times ms UTC; counts by "agent: reason"."""

    title: str
    currency: str
    symbols: Sequence[str]
    times_ms: NDArray[np.int64]
    equity: NDArray[np.float64]
    rounds: Mapping[str, int]
    """How rounds ended: accept, reject, hold, expired, void."""
    orders: int
    fills: int
    fees: float
    pnl: float
    max_drawdown: float
    pnl_by_agent: Mapping[str, float]
    weight_times_ms: NDArray[np.int64]
    weights: Mapping[str, NDArray[np.float64]]
    """By agent, at each of ``weight_times_ms``."""
    cuts: Mapping[str, int]
    refusals: Mapping[str, int]
    influence: Mapping[str, Mapping[str, int]]
    figures: Sequence[tuple[str, str]] = ()
    """Further lines (name, value), such as the fingerprint."""


def render(page: DeskPage) -> str:
    """Return the page's HTML."""
    parts = [_head(page), _tiles(page)]
    if len(page.equity) > 1:
        parts += ["<h2>Equity and drawdown</h2>", balance_chart(page.times_ms, page.equity, page.currency)]
    parts += ["<h2>PnL by agent</h2>", _earned(page)]
    if len(page.weight_times_ms):
        parts += ["<h2>Weights of the agents</h2>", _weights(page)]
    parts += [
        "<h2>Who changed what</h2>", _changed(page),
        "<h2>What was cut</h2>", _counted(page.cuts, "No decision was cut."),
        "<h2>What was refused</h2>", _counted(page.refusals, "Nothing was refused."),
        "<h2>Figures</h2>", table(("", ""), page.figures),
    ]  # fmt: skip
    return document(page.title, parts)


def _head(page: DeskPage) -> str:
    span = f"{day(int(page.times_ms[0]))} to {day(int(page.times_ms[-1]))}" if len(page.times_ms) else "-"
    return (
        f'<h1>{escape(page.title)}</h1><p class="sub">{span} &middot; {escape(", ".join(page.symbols))}</p>'
    )


def _tiles(page: DeskPage) -> str:
    start = float(page.equity[0]) if len(page.equity) else 0.0
    return tiles((
        (f"{page.equity[-1]:,.2f}" if len(page.equity) else "-", f"equity at the end, {page.currency}"),
        (f"{page.pnl / start:+.2%}" if start else "-", "return"),
        (f"{page.max_drawdown:.2%}", "largest drawdown, marked"),
        (f"{sum(page.rounds.values()):,}", "rounds"),
        (f"{page.rounds.get('accept', 0):,}", "accepted"),
        (f"{page.orders:,} / {page.fills:,}", "orders / fills"),
        (f"{page.fees:,.2f}", f"fees, {page.currency}"),
    ))  # fmt: skip


def _earned(page: DeskPage) -> str:
    if not page.pnl_by_agent:
        return "<p>Nobody traded.</p>"
    agents = sorted(page.pnl_by_agent, key=lambda agent: page.pnl_by_agent[agent])
    earned = [page.pnl_by_agent[agent] for agent in agents]
    figure = go.Figure()
    figure.add_bar(
        y=[escape(agent) for agent in agents], x=earned, orientation="h",
        marker_color=[GAIN if each >= 0 else LOSS for each in earned],
    )  # fmt: skip
    figure.update_xaxes(title_text=page.currency)
    return chart(figure, "earned", 120 + 36 * len(agents))


def _weights(page: DeskPage) -> str:
    keep = thin(len(page.weight_times_ms))
    x = page.weight_times_ms[keep].astype("datetime64[ms]")
    figure = go.Figure()
    for agent, values in sorted(page.weights.items()):
        figure.add_scatter(x=x, y=values[keep], name=escape(agent), line={"shape": "hv", "width": 1.5})
    figure.update_yaxes(title_text="weight", rangemode="tozero")
    return chart(figure, "weights", 360)


def _changed(page: DeskPage) -> str:
    rows = [
        (role, ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items()))
        for role, counts in page.influence.items()
    ]
    return table(("role", "rounds"), rows)


def _counted(counts: Mapping[str, int], nothing: str) -> str:
    if not counts:
        return f"<p>{nothing}</p>"
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return table(("who: why", "times"), [(name, f"{count:,}") for name, count in rows])
