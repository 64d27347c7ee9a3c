"""A desk's backtest as people read it: tables, one JSON object, and a page.

Not here: running it (`desk_backtest`, `desk_strategies`), the page's look (`backtest.desk_page`). Invariant:
nothing is computed here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import typer
from rich.table import Table

from backtest.desk_page import DeskPage, render
from parley.errors import UserError
from runtime.desk_backtest import DeskResult
from runtime.desk_course import DeskCourse, read_course
from runtime.history import open_journal
from runtime.output import console, print_json, when
from runtime.summary import told
from runtime.summary_view import influence_table, pnl_table

_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for beside the desk: the venue's spread, what to write, how to tell it.

    ``consent``: nobody at the desk objects to a freqtrade strategy.
    """

    spread_bps: float = 0.0
    journal: Path | None = None
    page: Path | None = None
    consent: bool = False
    as_json: bool = False

    @property
    def spread(self) -> Decimal:
        """The spread, bps."""
        return Decimal(repr(self.spread_bps))

    @property
    def settings(self) -> dict[str, object]:
        """What of it is a setting."""
        return {"journal": self.journal} if self.journal else {}

    def check(self) -> None:
        """Raise `UserError` for what cannot be meant."""
        if not 0 <= self.spread_bps < 10_000:
            raise UserError(f"--spread must be at least 0 and below 10000 bps, was {self.spread_bps:g}")
        if self.page is not None and self.page.exists() and not self.page.is_dir():
            raise UserError(f"--page must be a folder, {str(self.page)!r} is a file")
        if self.page is not None:
            self.page.mkdir(parents=True, exist_ok=True)  # rather now than after the run


def report(result: DeskResult, asked: Asked, more: Mapping[str, Any] | None = None) -> int:
    """Tell what came of a backtest, and write its page; returns the exit code."""
    with open_journal(result.journal) as reader:
        course = read_course(reader)
    written = None if asked.page is None else _write(asked.page / "desk.html", render(_page(result, course)))
    if asked.as_json:
        print_json(_told(result, written) | dict(more or {}))
    else:
        _show(result, course, written)
    if not result.ledger_equals_exchange:
        typer.echo("parley: the ledger differs from the simulated venue", err=True)
        return 1
    return 0


def _page(result: DeskResult, course: DeskCourse) -> DeskPage:
    summary = result.summary
    agents = sorted({agent for each in course.weights for agent in each})
    return DeskPage(
        title="Backtest of a desk", currency=summary.quote,
        symbols=result.symbols,
        times_ms=np.array(course.times_ms, np.int64), equity=np.array(course.equity, np.float64),
        rounds=summary.decisions, orders=summary.orders, fills=summary.fills, fees=float(summary.fees),
        pnl=float(summary.pnl), max_drawdown=summary.max_drawdown,
        pnl_by_agent={agent: float(each.pnl) for agent, each in summary.pnl_by_agent.items()},
        weight_times_ms=np.array(course.weight_times_ms, np.int64),
        weights={agent: np.array([each.get(agent, 0.0) for each in course.weights]) for agent in agents},
        cuts=course.cuts, refusals=course.refusals, influence=summary.influence,
        figures=_figures(result),
    )  # fmt: skip


def _figures(result: DeskResult) -> list[tuple[str, str]]:
    summary = result.summary
    return [
        ("from, to", f"{when(summary.market_from)}, {when(summary.market_to)}"),
        ("candles", f"{result.candles:,}"),
        ("fingerprint", summary.fingerprint),
        ("decisions", summary.decision_hash),
        ("ledger", "equals the venue" if result.ledger_equals_exchange else "DIFFERS from the venue"),
        ("PnL by agent sums to the account's", "yes" if summary.attribution_is_complete else "NO"),
        ("journal", str(result.journal)),
    ]


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"the page {str(path)!r} cannot be written: {error.strerror}") from error
    return path


def _told(result: DeskResult, page: Path | None) -> dict[str, Any]:
    return told(result.summary) | {
        "journal": str(result.journal), "candles": result.candles, "seconds": round(result.seconds, 3),
        "ledger_equals_exchange": result.ledger_equals_exchange, "notes": list(result.notes),
        "page": None if page is None else str(page),
    }  # fmt: skip


def _show(result: DeskResult, course: DeskCourse, page: Path | None) -> None:
    out, summary = console(), result.summary
    for note in result.notes:
        console(stderr=True).print(f"note: {note}", style="dim")
    decided = ", ".join(f"{count} {name}" for name, count in summary.decisions.items() if count)
    facts = Table(box=None, show_header=False, padding=(0, 1), title="the desk", title_justify="left")
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    facts.add_row("rounds", f"{summary.rounds:,}: {decided}")
    facts.add_row("orders, fills", f"{summary.orders:,} orders, {summary.fills:,} fills")
    facts.add_row("PnL", f"{summary.pnl:,.2f} {summary.quote} after {summary.fees:,.2f} of fees")
    start, end = summary.equity_start, summary.equity_end
    facts.add_row("equity", f"{start:,.2f} to {end:,.2f}, drawdown {summary.max_drawdown:.2%}")
    for name, text in _figures(result):
        facts.add_row(name, text)
    facts.add_row("time", f"{result.seconds:.1f} s, {result.candles / result.seconds:,.0f} candles a second")
    out.print(facts)
    tables = told(summary)
    out.print(pnl_table(tables))
    out.print(influence_table(tables))
    for title, counts in (("cut by", course.cuts), ("refused by", course.refusals)):
        most = ", ".join(f"{name} {count:,}" for name, count in counts.most_common(_SHOWN))
        out.print(f"{title}: {most or 'nobody'}", style="dim")
    out.print(
        f"go on with: parley rounds --journal {result.journal}, parley explain rnd_... --journal ...",
        style="dim", soft_wrap=True,
    )  # fmt: skip
    if page is not None:
        out.print(f"page: {page}", style="dim", soft_wrap=True)
