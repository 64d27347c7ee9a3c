"""`parley backtest --desk FILE`: the whole desk on recorded candles, and what came of it.

Not here: running it (`runtime.desk_backtest`). Invariant: with ``--json`` standard output holds one object; a
ledger that differs from the simulated venue is exit code 1.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from backtest.desk_page import DeskPage, render
from parley.errors import UserError
from runtime.desk_backtest import DeskResult, Watch, run_desk_backtest
from runtime.desk_course import DeskCourse, read_course
from runtime.history import open_journal
from runtime.output import console, plain, print_json, when
from runtime.settings import Settings, load_settings
from runtime.summary_view import influence_table, pnl_table

_SHOWN: Final = 8
# Options of freqtrade's that a desk's settings have, too, by the settings' names.
_KNOWN: Final = {"pairs": "pairs", "timeframe": "timeframe", "datadir": "data", "dry_run_wallet": "capital"}
_OWN: Final = frozenset({"timerange", "page"})


def backtest_desk(
    config: Path, given: Mapping[str, Any], spread_bps: float, journal: Path | None, *, as_json: bool
) -> int:
    """Run the desk of a settings file over the candles it names; returns the exit code.

    given: what the command line says otherwise, by the names of `runtime.cli_backtest`'s options.

    Raises
    ------
    UserError
        When settings, options or candles are wrong.
    """
    if not 0 <= spread_bps < 10_000:
        raise UserError(f"--spread must be at least 0 and below 10000 bps, was {spread_bps:g}")
    settings = load_settings(config, _options(given) | ({"journal": journal} if journal else {}))
    page: Path | None = given.get("page")
    if page is not None and page.exists() and not page.is_dir():
        raise UserError(f"--page must be a folder, {str(page)!r} is a file")
    with _progress() as watch:
        result = run_desk_backtest(settings, Decimal(repr(spread_bps)), watch)
    with open_journal(result.journal) as reader:
        course = read_course(reader)
    written = None if page is None else _write(page / "desk.html", render(_page(settings, result, course)))
    if as_json:
        print_json(_told(result, written))
    else:
        _show(result, course, written)
    if not result.ledger_equals_exchange:
        typer.echo("parley: the ledger differs from the simulated venue", err=True)
        return 1
    return 0


def _options(given: Mapping[str, Any]) -> dict[str, object]:
    """Translate options into settings; those that only a freqtrade strategy has are errors."""
    said = {name: value for name, value in given.items() if value not in (None, (), False)}
    strange = sorted(set(said) - set(_KNOWN) - _OWN)
    if strange:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in strange)
        raise UserError(f"{names} says nothing to a whole desk: its file describes strategies and money")
    options: dict[str, object] = {_KNOWN[name]: value for name, value in said.items() if name in _KNOWN}
    if "capital" in options:
        options["capital"] = Decimal(repr(options["capital"]))
    return options | _window(said.get("timerange"))


def _window(timerange: str | None) -> dict[str, object]:
    if timerange is None:
        return {}
    begin, dash, end = timerange.partition("-")
    if not dash or not (begin or end):
        raise UserError(f"--timerange must be FROM-TO, such as 20240101-20240201, was {timerange!r}")
    return {name: _moment(text) for name, text in (("start", begin), ("end", end)) if text}


def _moment(text: str) -> datetime:
    for form in ("%Y%m%d", "%Y%m%dT%H%M"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise UserError(f"--timerange must name days such as 20240101 or 20240101T1200, was {text!r}")


@contextmanager
def _progress() -> Iterator[Watch]:
    out = console(stderr=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=out, transient=True, disable=not out.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=None)

        def begin(what: str, steps: int) -> None:
            bar.reset(task, description=what, total=steps)

        yield Watch(begin, lambda: bar.advance(task))


def _page(settings: Settings, result: DeskResult, course: DeskCourse) -> DeskPage:
    summary = result.summary
    agents = sorted({agent for each in course.weights for agent in each})
    return DeskPage(
        title="Backtest of a desk", currency=summary.quote,
        symbols=settings.pairs or tuple(sorted(result.symbols)),
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
        ("decisions, fingerprint", summary.decision_hash),
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


def _told(result: DeskResult, page: Path | None) -> object:
    told: dict[str, Any] = plain(result.summary)  # type: ignore[assignment]  # a struct becomes an object
    return told | {
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
    told = plain(summary)
    out.print(pnl_table(told))  # type: ignore[arg-type]  # a struct becomes an object
    out.print(influence_table(told))  # type: ignore[arg-type]
    for title, counts in (("cut by", course.cuts), ("refused by", course.refusals)):
        most = ", ".join(f"{name} {count:,}" for name, count in counts.most_common(_SHOWN))
        out.print(f"{title}: {most or 'nobody'}", style="dim")
    out.print(
        f"go on with: parley rounds --journal {result.journal}, parley explain rnd_... --journal ...",
        style="dim", soft_wrap=True,
    )  # fmt: skip
    if page is not None:
        out.print(f"page: {page}", style="dim", soft_wrap=True)
