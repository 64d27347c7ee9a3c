"""`parley run`: start a sandbox desk, show what it does, and account for it at the end.

The exchange, the gateway, the market data hub and the desk are processes of their own; this one only starts
them, follows the journal and ends them. When it is over, the journal is folded into a summary, and a script
that knows nothing of Parley compares the books with the exchange's own log.

Not here: how the processes are configured (`launch`) and kept (`supervisor`).

Invariant: nothing is started or written before settings and data are found good; a run that could not be
started leaves no file; no process outlives this one.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from parley.errors import ParleyError, UserError
from runtime import launch, open_trades
from runtime.history import open_journal
from runtime.host import load
from runtime.launch import Layout, Market
from runtime.live_view import LiveView
from runtime.output import console, plain, print_json, progress_bar
from runtime.provenance import with_origin
from runtime.run_config import RunConfig
from runtime.settings import Settings, load_settings
from runtime.summary import summarise
from runtime.summary_view import show_result
from runtime.supervisor import Line, Stopped, Supervisor, running

CHECK: Final = Path(__file__).resolve().parent.parent.parent / "tools" / "check_ledger.py"
_VIEW_S: Final = 0.5
_LINES_S: Final = 5.0
_POLL_S: Final = 0.2
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(config: Path | None, options: Mapping[str, object], *, as_json: bool) -> int:
    """Run a desk to its end and return the exit code.

    Raises
    ------
    UserError
        When settings or data are wrong, or a process says so at its start.
    """
    settings = load_settings(config, options)
    market = _market(settings)
    for note in (*market.notes, *open_trades.notes(settings)):
        console(stderr=True).print(f"note: {note}", style="dim")
    launch.make_run(settings, market, "check")
    layout = launch.make_layout(settings)
    run_config = with_origin(launch.make_run(settings, market, layout.run_id))
    supervisor = Supervisor(layout.logs)
    for number in _SIGNALS:
        signal.signal(number, lambda *_: supervisor.stopping.set())
    started = False
    try:
        _start(supervisor, layout, settings, market, run_config)
        started = True
        _follow(supervisor, layout, settings, market, run_config, as_json=as_json)
        supervisor.end("desk")
    except OSError as error:
        if started:
            raise
        raise UserError(f"the run could not be started: {error}") from error
    except Stopped:
        console(stderr=True).print("stopped before the desk was running")
        return 130
    finally:
        supervisor.stop()
        left = running([child.pid for child in supervisor.children])
        if started:
            launch.sweep(layout)
        else:
            launch.discard(layout)
    if left:
        raise ParleyError(f"processes {left} could not be ended")
    result = account_for(supervisor, layout, settings, market)
    if as_json:
        print_json(result)
    else:
        show_result(result)
    return complain(result)


def _market(settings: Settings) -> Market:
    if not settings.is_recorded:
        return launch.synthetic_market(settings)
    # pyarrow is loaded only for a run that reads files
    recorded: Callable[[Settings], Market] = load("runtime.commands.candles:recorded_market")  # type: ignore[assignment]
    return recorded(settings)


def _start(
    supervisor: Supervisor, layout: Layout, settings: Settings, market: Market, run_config: RunConfig
) -> None:
    keys = (os.urandom(16).hex(), os.urandom(24).hex())
    venue = supervisor.start(
        "sandbox", "venues.sandbox", launch.write_sandbox(layout, settings, market, keys)
    )
    rest, ws = str(venue["rest"]), str(venue["ws"])
    gateway = launch.write_gateway(layout, settings, market, keys, rest, ws)
    supervisor.start("gateway", "runtime.gateway", gateway)
    supervisor.start("hub", "runtime.hub", launch.write_hub(layout, settings, market, rest, ws))
    supervisor.start("desk", "runtime.desk", launch.write_desk(layout, run_config))


def _follow(
    supervisor: Supervisor, layout: Layout, settings: Settings, market: Market, run_config: RunConfig, *,
    as_json: bool,
) -> None:  # fmt: skip
    """Show the run until it ends, its time is over or the user stops it."""
    on_screen = sys.stdout.isatty() and not as_json
    agents = tuple(spec.id for spec in run_config.agents)
    view = LiveView(
        layout.journal, layout.run_id, agents,
        instruments=launch.instruments_of(layout), counts_only=not on_screen,
    )  # fmt: skip
    deadline = time.monotonic() + settings.duration if settings.duration else None
    pace = "max" if settings.pace == "max" else f"x{settings.pace:g}"
    errors = console(stderr=True)
    with ExitStack() as stack:
        bar = _bar(market) if on_screen or sys.stderr.isatty() else None
        live: Live | None = None
        if on_screen:
            live = stack.enter_context(Live(console=console(), screen=True, auto_refresh=False))
        elif bar is not None:
            stack.enter_context(bar)
        else:
            errors.print(f"run {layout.run_id}, journal {layout.journal}")
        shown = 0.0

        def each() -> bool:
            nonlocal shown
            now = time.monotonic()
            if now - shown >= (_VIEW_S if on_screen else _LINES_S if bar is None else 1.0):
                shown = now
                view.poll()
                if bar is not None:
                    _advance(bar, market, view.t)
                if live is not None:
                    body = view.render(pace, live.console.width)
                    live.update(Group(body, bar) if bar is not None and market.end else body, refresh=True)
                elif bar is None:
                    errors.print(view.line())
            return deadline is None or now < deadline

        supervisor.watch("desk", poll_s=_POLL_S, each=each)


def _bar(market: Market) -> Progress:
    bar = Progress(
        TextColumn("recorded market"), BarColumn(bar_width=None), TaskProgressColumn(), TimeRemainingColumn(),
        console=console(stderr=True), transient=True,
    )  # fmt: skip
    total = (market.end - market.start).total_seconds() if market.start and market.end else None
    bar.add_task("run", total=total)
    return bar


def _advance(bar: Progress, market: Market, t_ns: int) -> None:
    if market.start is not None and market.end is not None and t_ns:
        bar.update(bar.task_ids[0], completed=max(0.0, t_ns / 1e9 - market.start.timestamp()))


def account_for(supervisor: Supervisor, layout: Layout, settings: Settings, market: Market) -> dict[str, Any]:
    """Put together what journal, processes and exchange say about a run that ended."""
    end = supervisor.child("desk").line("end")
    counts = _mapping(end, "end")
    feed = _mapping(counts, "feed")
    with progress_bar("reading the journal") as bar:
        task = bar.add_task("read", total=None)
        summary = summarise(
            open_journal(layout.journal), lambda done, all_: bar.update(task, completed=done, total=all_)
        )
    seconds = _number(counts.get("seconds"))
    admitted = counts.get("candles_admitted")
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    memory = {**supervisor.memory_mb(), "cli": round(own, 1)}
    memory["desk"] = max(memory["desk"], round(_number(counts.get("peak_memory_mb")), 1))
    told = plain(summary)
    result: dict[str, Any] = dict(told) if isinstance(told, dict) else {}
    result |= {
        "journal": str(layout.journal),
        "truth_log": str(layout.truth),
        "data": str(settings.data) if settings.is_recorded else None,
        "pairs": list(market.pairs),
        "crosses": list(market.crosses),
        "seed": settings.seed,
        "speed": settings.pace,
        "silent": list(settings.silent),
        "feed_ended": bool(feed),
        "steps": counts.get("steps"),
        "candles": {
            "expected": market.candles or None,
            "sent": feed.get("candles_sent"), "seen": feed.get("candles_seen"), "admitted": admitted,
        },
        "feed": feed,
        "candles_per_second": round(_number(admitted) / seconds, 1) if seconds else 0.0,
        "seconds": round(seconds, 3),
        "peak_memory_mb": {**memory, "total": round(sum(memory.values()), 1)},
        **check_books(layout.truth, layout.journal),
        "replay": f"parley replay {layout.journal}",
    }  # fmt: skip
    return result


def check_books(truth: Path, journal: Path) -> dict[str, Any]:
    """Let the stand-alone script compare the journal with the exchange's truth log."""
    if not CHECK.is_file():
        return {"ledger_equals_exchange": None, "ledger_check": {"error": f"no script {str(CHECK)!r}"}}
    done = subprocess.run(
        [sys.executable, "-I", str(CHECK), "--truth", str(truth), "--journal", str(journal), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode not in (0, 1):
        return {"ledger_equals_exchange": False, "ledger_check": {"error": done.stderr.strip()}}
    report: dict[str, Any] = json.loads(done.stdout)
    return {"ledger_equals_exchange": report.pop("ledger_equals_exchange"), "ledger_check": report}


def complain(result: Mapping[str, Any]) -> int:
    """Say on standard error what does not agree; the exit code is 1 when something does not."""
    wrong = []
    counts = {name: count for name, count in result["candles"].items() if count is not None}
    if result["feed_ended"] and len(set(counts.values())) != 1:
        wrong.append("candles differ: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    if result["ledger_equals_exchange"] is not True:
        check = result["ledger_check"]
        first = check.get("first") or [check.get("error", "no report")]
        wrong.append(f"the ledger does not equal the exchange: {first[0]}")
    if not result["equity_is_reproduced"]:
        wrong.append(
            f"equity differs: desk {result['equity_end']}, from the fills {result['equity_refolded']}"
        )
    if not result["attribution_is_complete"]:
        wrong.append("the attribution does not sum to the PnL")
    for text in wrong:
        sys.stderr.write(f"parley: {text}\n")
    return 1 if wrong else 0


def _mapping(line: Line | Mapping[str, object] | None, key: str) -> dict[str, Any]:
    found = (line or {}).get(key)
    return dict(found) if isinstance(found, Mapping) else {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
