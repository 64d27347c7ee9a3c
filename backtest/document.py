"""A page as one file: its skeleton, tables and charts, for whatever is told on it.

Problem: a page is kept and passed on, so it holds everything it needs, scripts included, and asks the network
for nothing.

Not here: what is on a page (`page`, `desk_page`).

Invariant: the same content gives the same bytes; what is given as text is text, never markup.
"""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

GAIN, LOSS, LINE = "#1a7f5a", "#b3372f", "#2b5d9b"
MAX_POINTS: Final = 5000
_CONFIG: Final = {"displaylogo": False, "responsive": True}
_STYLE: Final = files("backtest").joinpath("page.css").read_text(encoding="utf-8")


def document(title: str, parts: Sequence[str]) -> str:
    """Put parts of a page, which are markup, into a document."""
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style>'
        f"<script>{get_plotlyjs()}</script></head>\n<body>\n{body}\n</body></html>\n"
    )


def tiles(rows: Sequence[tuple[str, str]]) -> str:
    """Large figures (value, name) in a row."""
    shown = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name in rows
    )
    return f'<div class="tiles">{shown}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def chart(figure: go.Figure, name: str, height: int) -> str:
    """A chart; `name` is its id on the page."""
    figure.update_layout(
        template="plotly_white", height=height, margin={"l": 60, "r": 20, "t": 20, "b": 40},
        hovermode="closest", legend={"orientation": "h", "y": 1.08},
    )  # fmt: skip
    return str(figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=_CONFIG))


def balance_chart(times_ms: NDArray[np.int64], balance: NDArray[np.float64], currency: str) -> str:
    """A balance over time (ms UTC), and below it how far it lies under its peak."""
    keep = thin(len(balance))
    peaks = np.maximum.accumulate(balance)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.04)
    x = times_ms[keep].astype("datetime64[ms]")
    figure.add_scatter(
        x=x, y=balance[keep], name="balance", line={"color": LINE, "shape": "hv"}, row=1, col=1
    )
    figure.add_scatter(
        x=x, y=(balance[keep] / peaks[keep] - 1) * 100, name="drawdown", fill="tozeroy",
        line={"color": LOSS, "width": 1, "shape": "hv"}, row=2, col=1,
    )  # fmt: skip
    figure.update_yaxes(title_text=currency, row=1, col=1)
    figure.update_yaxes(title_text="%", row=2, col=1)
    return chart(figure, "balance", 460)


def thin(length: int) -> NDArray[np.int64]:
    """Places to draw: all, or evenly spread ones, the last always among them."""
    if length <= MAX_POINTS:
        return np.arange(length, dtype=np.int64)
    return np.unique(np.linspace(0, length - 1, MAX_POINTS).astype(np.int64))


def day(ms: int) -> str:
    """The day of a time in ms UTC."""
    return str(np.datetime64(ms, "ms").astype("datetime64[D]"))


def said(value: float | None, form: str) -> str:
    """A number in a format, a dash for none."""
    return "-" if value is None else format(value, form)
