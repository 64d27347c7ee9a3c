"""`parley run`: start a sandbox desk, show what it does, and account for it at the end.

The exchange, the gateway, the market data hub and the desk are processes of their own; this one only starts
them, follows the journal and ends them. When it is over, the journal is folded into a summary, and a script
that knows nothing of Parley compares the books with the exchange's own log.

Not here: how the processes are configured (`launch`) and kept (`supervisor`).

Invariant: nothing is started or written before settings and data are found good; a run that could not be
started leaves no file; no process outlives this one.
"""

import contextlib
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from parley.errors import ConfigError, ParleyError, UserError
from runtime import dead_man_choice, launch, open_trades, placement, realtime, resuming
from runtime.api_keeper import ApiKeeper, ApiPlaces
from runtime.awake import keep_awake
from runtime.backlog import STATUS
from runtime.book_check import check_books
from runtime.child import Child, Line
from runtime.history import open_journal
from runtime.host import load
from runtime.kept_firm import is_ours
from runtime.launch import Access, Layout, Market
from runtime.lead import Lead
from runtime.live_books import audited
from runtime.live_view import LiveView
from runtime.output import console, print_json, progress_bar
from runtime.provenance import with_origin
from runtime.ray_programs import check_programs
from runtime.redaction import redacted
from runtime.restarts import Restarts
from runtime.run_config import RunConfig
from runtime.sandboxes import start_sandboxes
from runtime.settings import Settings, load_settings
from runtime.standing_kills import KillWatch, lines
from runtime.store_keeper import StoreKeeper, StorePlaces
from runtime.summary import summarise, told
from runtime.summary_view import show_result
from runtime.supervisor import READY_PATIENCE_S, Stopped, Supervisor, running
from runtime.understudy_keeper import UnderstudyKeeper

_VIEW_S: Final = 0.5
_LINES_S: Final = 5.0
_POLL_S: Final = 0.2
_MOST_SHOWN: Final = 5
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Compose = Callable[[Settings, Market, str], RunConfig]
Afterwards = Callable[[Path], Mapping[str, object]]
Keepers = tuple[StoreKeeper | None, ApiKeeper | None, UnderstudyKeeper | None]


def run(
    config: Path | None, options: Mapping[str, object], *, as_json: bool, with_database: bool = False
) -> int:
    """Run a desk to its end and return the exit code; ``with_database`` unless the settings say otherwise.

    Raises
    ------
    UserError
        When settings or data are wrong, or a process says so at its start.
    """
    return play(load_settings(config, options), launch.make_run, as_json=as_json, with_database=with_database)


def play(
    settings: Settings, compose: Compose, *, as_json: bool, with_database: bool, market: Market | None = None,
    afterwards: Afterwards | None = None, access: Access | None = None, resumes: str = "",
) -> int:  # fmt: skip
    """Run the desk that `compose` makes of settings, market and run id; as `run`.

    afterwards: given the journal of a run that ended, more to say of it.
    access: the exchange to trade at, None: a sandbox of its own
    resumes: the run to go on with; empty: a new one
    """
    market = market or _market(settings)
    _note((*market.notes, *open_trades.notes(settings)))
    kills = KillWatch(settings.home)
    _tell(lines(kills.stops, ()))
    checked = compose(settings, market, "check")
    placement.check_cluster(settings, [spec.id for spec in checked.agents])
    let_sleep = _check_machine(settings)
    _note(dead_man_choice.notes(settings, venue_stops=checked.desk.venue_stops))
    if resumes:
        resuming.refuse_another(settings, resumes, compose(settings, market, resumes))
    layout = resuming.resume_layout(settings, resumes) if resumes else launch.make_layout(settings)
    run_config = with_origin(compose(settings, market, layout.run_id))
    supervisor = Supervisor(layout.logs)
    lead = Lead(settings.home, run_config.desk.account)
    before = {number: signal.signal(number, lambda *_: supervisor.stopping.set()) for number in _SIGNALS}
    started, store, api, understudy, unshipped = False, None, None, None, ""
    try:
        if settings.pace != "max":  # in lock-step nothing is led: the market waits for its one desk, and ends
            lead.take(layout.run_id)
        store = _store(settings, layout, default=with_database, on_screen=_on_screen(as_json))
        api = _api(settings, layout, store, default=with_database, on_screen=_on_screen(as_json))
        real = access is not None and is_ours(run_config)  # the user's own code runs twice only if asked to
        understudy = _understudy(settings, layout, default=real, on_screen=_on_screen(as_json))
        keepers = (store, api, understudy)
        _start(supervisor, layout, settings, market, run_config, keepers, access)
        started = True
        _follow(supervisor, layout, settings, market, run_config, keepers, kills, as_json=as_json)
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
        if understudy is not None:
            left += understudy.close()
        if store is not None:
            if started:
                unshipped = store.drain()
            elif not layout.is_resumed:
                store.abandon(run_config.desk.tenant, layout.run_id)
            left += (api.close() if api is not None else []) + store.close()
        if started:
            launch.sweep(layout)
        else:
            launch.discard(layout)
        lead.release()
        let_sleep()
        for number, handler in before.items():  # what follows may be stopped as anything
            signal.signal(number, handler)
    books = check_books(
        layout.truth, layout.journal, {name: layout.truth_of(name) for name in settings.also}
    ) if access is None else audited(supervisor.child("gateway").line("audit"), layout.journal)  # fmt: skip
    result = account_for(supervisor, layout, settings, market, books)
    result["database"] = store.told(unshipped) if store is not None else None
    result["understudy"] = understudy.told() if understudy is not None else None
    result["api"] = {"url": api.url, "restarts": api.restarts} if api is not None else None
    if not as_json:
        show_result(result)
    if afterwards is not None:
        result |= afterwards(layout.journal)
    if as_json:
        print_json(result)
    if left:
        raise ParleyError(f"processes {left} could not be ended")
    return complain(result)


def _market(settings: Settings) -> Market:
    if not settings.is_recorded:
        return launch.synthetic_market(settings)
    # pyarrow is loaded only for a run that reads files
    recorded: Callable[[Settings], Market] = load("runtime.recorded_market:recorded_market")  # type: ignore[assignment]
    return recorded(settings)


def _store(settings: Settings, layout: Layout, *, default: bool, on_screen: bool) -> StoreKeeper | None:
    """Open the run's database, if it is to have one; after this nothing of the run waits for it."""
    wanted = settings.database.enabled
    if not (default if wanted is None else wanted):
        return None
    say = _sayer(layout, on_screen=on_screen)
    store = StoreKeeper(settings.database, settings.home, StorePlaces.of(layout), say)
    try:
        store.open()
    except BaseException:
        store.close()
        raise
    where = f"embedded PostgreSQL in {store.folder}" if store.folder else "the server of DATABASE_URL"
    console(stderr=True).print(f"database: {where}", soft_wrap=True)
    return store


def _sayer(layout: Layout, *, on_screen: bool) -> Callable[[str], None]:
    def say(text: str) -> None:
        with contextlib.suppress(OSError):  # a full disk or a closed terminal is no reason to stop keeping
            with (layout.logs / "store.log").open("a", encoding="utf-8") as log:
                log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {redacted(text)}\n")
            if not on_screen:
                console(stderr=True).print(f"note: {redacted(text)}", style="dim", soft_wrap=True)

    return say


def _api(
    settings: Settings, layout: Layout, store: StoreKeeper | None, *, default: bool, on_screen: bool
) -> ApiKeeper | None:
    """Start the run's API, if it is to have one: with a database, unless the run is over in a moment."""
    usual = default and store is not None and settings.pace != "max"
    if not (usual if settings.api.on is None else settings.api.on):
        return None
    if store is None:
        raise UserError(
            "the API reads the database, but the run has none: add --database, or set api.on = false"
        )
    places = ApiPlaces(
        config=layout.config("api"), logs=layout.logs, journals=StorePlaces.of(layout).journals,
        backlog_s=settings.database.backlog_s, home=settings.home.expanduser().resolve(),
        shipper=layout.folder / STATUS, desk=layout.heartbeat,
        database=store.folder, url=settings.database.url,
    )  # fmt: skip
    api = ApiKeeper(settings.api.port, places, _sayer(layout, on_screen=on_screen))
    try:
        api.begin()
        url = api.answer()
    except BaseException:
        api.close()
        raise
    console(stderr=True).print(f"API: {url}/api/v1/system, {url}/readyz", soft_wrap=True)
    return api


def _understudy(
    settings: Settings, layout: Layout, *, default: bool, on_screen: bool
) -> UnderstudyKeeper | None:
    """Start what folds the journal behind the desk; in lock-step nobody comes back to a run."""
    wanted = settings.desk.understudy
    if settings.pace == "max" or not (default if wanted is None else wanted):
        return None
    keeper = UnderstudyKeeper(
        layout.journal, layout.config("understudy"), layout.logs, _sayer(layout, on_screen=on_screen)
    )
    keeper.open()
    return keeper


def _check_machine(settings: Settings) -> Callable[[], None]:
    """Refuse what this machine does not allow; returns what lets its cores sleep, if they shall not."""
    if settings.desk.placement == "spread":
        check_programs()
    if settings.desk.realtime and (why := realtime.refused()):
        raise ConfigError(f"desk.realtime: this machine does not allow it: {why}")
    return keep_awake().close if settings.desk.awake else lambda: None


def _on_screen(as_json: bool) -> bool:
    return sys.stdout.isatty() and not as_json


def _start(
    supervisor: Supervisor, layout: Layout, settings: Settings, market: Market, run_config: RunConfig,
    keepers: Keepers, access: Access | None,
) -> None:  # fmt: skip
    store, _, _ = keepers
    supervisor.introduce("desk", to="gateway")
    if settings.desk.realtime:
        supervisor.prefer(realtime.PRIORITIES)
    # Begun first, for it takes longest; the agents dial until the desk listens.
    ray = None
    if settings.desk.placement == "spread":
        ray = supervisor.begin("ray", "runtime.ray_driver", placement.write_ray(layout, settings, run_config))
    access = access or start_sandboxes(supervisor, layout, settings, market)
    gateway = launch.write_gateway(
        layout, settings, market, access, run_config.limits, venue_stops=run_config.desk.venue_stops
    )
    supervisor.start("gateway", "runtime.gateway", gateway)
    supervisor.start("hub", "runtime.hub", launch.write_hub(layout, settings, market, access))
    if ray is not None:
        console(stderr=True).print(_where(supervisor.ready(ray)), soft_wrap=True)
    agents = placement.agents_address(layout, settings)
    # in lock-step the market waits for answers that only the gateway and hub of that moment can give
    is_kept = settings.pace != "max"
    gateway_s, hub_s = (launch.GATEWAY_RETURNS_S, launch.HUB_RETURNS_S) if is_kept else (0.0, 0.0)
    backlog = store.backlog if store is not None else None
    desk = launch.write_desk(
        layout, run_config, agents, backlog, gateway_s, hub_s, rehearse=settings.desk.rehearse
    )
    patience_s = READY_PATIENCE_S
    if layout.is_resumed:
        patience_s = launch.DESK_RETURNS_S
        console(stderr=True).print(
            "reading the run's journal: what it holds and what became of it", style="dim"
        )
    supervisor.start("desk", "runtime.desk", desk, patience_s)
    if is_kept:
        supervisor.keep("hub", layout.hub_heartbeat)
        supervisor.keep_spare("gateway", "runtime.spare", layout.gateway_heartbeat)
    _write_down(supervisor, layout, settings, run_config, keepers)


def _write_down(
    supervisor: Supervisor, layout: Layout, settings: Settings, run_config: RunConfig, keepers: Keepers
) -> None:
    units = {child.name: child.pid for child in supervisor.children}
    if (spare := supervisor.spare) is not None:
        units["gateway spare"] = spare.pid
    for keeper in keepers:
        units |= keeper.units() if keeper is not None else {}
    lives = {child.name: child.life for child in supervisor.children if child.life > 1}
    placement.write_processes(layout, settings, run_config, units, lives)


def _where(ready: Line) -> str:
    ray = _mapping(ready, "ray")
    board = f", dashboard {ray['dashboard']}" if ray.get("dashboard") else ""
    return f"Ray at {ray['address']}{board}, token in {ray['token_file']}; see also: parley status"


def _follow(
    supervisor: Supervisor, layout: Layout, settings: Settings, market: Market, run_config: RunConfig,
    keepers: Keepers, kills: KillWatch, *, as_json: bool,
) -> None:  # fmt: skip
    """Show the run until it ends, its time is over or the user stops it."""
    on_screen = _on_screen(as_json)
    agents = tuple(spec.id for spec in run_config.agents)
    view = LiveView(
        layout.journal, layout.run_id, agents,
        instruments=launch.instruments_of(layout), counts_only=not on_screen,
    )  # fmt: skip
    view.killed = kills.stops
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
        shown, spare_pid = 0.0, 0

        def each() -> bool:
            nonlocal shown, spare_pid
            now = time.monotonic()
            spare = supervisor.spare
            has_other = spare is not None and spare.pid != spare_pid
            if has_other or any(keeper.changed() for keeper in keepers if keeper is not None):
                spare_pid = spare.pid if spare is not None else 0
                _write_down(supervisor, layout, settings, run_config, keepers)
            if (beside := keepers[2]) is not None and beside.problem:
                view.lives = f"the understudy follows the journal no more: {beside.problem}"
            if kills.look():
                changes, view.killed = lines(kills.stops, view.killed), kills.stops
                if live is None:
                    _tell(changes, None if bar is None else bar.console)
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

        def on_life(child: Child) -> None:
            is_back = child.served_s is not None
            if child.name == "gateway":
                view.note_gateway(child.life, child.follows, is_back=is_back)
            elif child.name == "hub":
                view.note_hub(child.life, child.follows, is_back=is_back)
            else:
                view.note(child.life, is_back=is_back)
            _write_down(supervisor, layout, settings, run_config, keepers)
            if live is None:
                (console(stderr=True) if bar is None else bar.console).print(view.lives, soft_wrap=True)

        supervisor.watch("desk", poll_s=_POLL_S, each=each, restarts=Restarts(), on_life=on_life)


def _note(notes: Sequence[str]) -> None:
    for note in notes:
        console(stderr=True).print(f"note: {note}", style="dim", soft_wrap=True)


def _tell(kills: Sequence[str], out: Console | None = None) -> None:
    """Say on standard error what is killed, so that nobody waits for trades."""
    for each in kills:
        (out or console(stderr=True)).print(Text(each, style="bold red"), soft_wrap=True)


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


def account_for(
    supervisor: Supervisor, layout: Layout, settings: Settings, market: Market, books: Mapping[str, Any]
) -> dict[str, Any]:
    """Put together what journal, processes and exchange say about a run that ended; ``books`` are checked."""
    end = supervisor.child("desk").line("end")
    counts = _mapping(end, "end")
    feed = _mapping(counts, "feed")
    with progress_bar("reading the journal") as bar:
        task = bar.add_task("read", total=None)
        summary = summarise(
            open_journal(layout.journal), lambda done, all_: bar.update(task, completed=done, total=all_)
        )
    seconds = _number(counts.get("seconds"))
    lives = {f"{name}_lives": supervisor.child(name).life for name in ("desk", "gateway", "hub")}
    admitted = counts.get("candles_admitted")
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    memory = {**supervisor.memory_mb(), "cli": round(own, 1)}
    memory["desk"] = max(memory["desk"], round(_number(counts.get("peak_memory_mb")), 1))
    ray = _mapping(supervisor.child("ray").line("end"), "end") if "ray" in memory else {}
    if ray:
        memory["ray"] += _number(ray["peak_memory_mb"])
    result = told(summary)
    result |= {
        "journal": str(layout.journal),
        "truth_log": str(layout.truth) if layout.truth.exists() else None,
        "data": str(settings.data) if settings.data else None,
        "trades": {pair: str(file) for pair, file in settings.trades.items()},
        "pairs": list(market.pairs),
        "crosses": list(market.crosses),
        "placement": settings.desk.placement,
        **lives,
        "ray": ray or None,
        "seed": settings.seed,
        "speed": settings.pace,
        "silent": list(settings.silent),
        "feed_ended": bool(feed),
        "steps": counts.get("steps"),
        "candles": {
            "expected": market.candles or None, "closed": feed.get("candles_closed"),
            # none is sent to a hub that is gone: what it missed its next life asked for
            "sent": feed.get("candles_sent") if lives["hub_lives"] == 1 else None,
            "seen": feed.get("candles_seen"), "admitted": admitted,
        },
        "feed": feed,
        "candles_per_second": round(_number(counts.get("candles_here")) / seconds, 1) if seconds else 0.0,
        "seconds": round(seconds, 3),
        "rehearsed": counts.get("rehearsed"),
        "peak_memory_mb": {**memory, "total": round(sum(memory.values()), 1)},
        **books,
        "replay": f"parley replay {layout.journal}",
    }  # fmt: skip
    return result


def complain(result: Mapping[str, Any]) -> int:
    """Say on standard error what does not agree; the exit code is 1 when something does not."""
    wrong = []
    counts = {name: count for name, count in result["candles"].items() if count is not None}
    if result["feed_ended"] and len(set(counts.values())) != 1:
        wrong.append("candles differ: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    if result["ledger_equals_exchange"] is not True:
        check = result["ledger_check"]
        first = check.get("first") or [check.get("error", "no report")]
        wrong += [f"the ledger does not equal the exchange: {each}" for each in first[:_MOST_SHOWN]]
    if not result["equity_is_reproduced"]:
        wrong.append(
            f"equity differs: desk {result['equity_end']}, from the fills {result['equity_refolded']}"
        )
    if problem := (result.get("understudy") or {}).get("problem"):
        wrong.append(f"the journal was not followed to its end: {problem}")
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
