"""A whole desk in a backtest, from its settings to a journal: the same firm and agents as in a run.

Problem: `parley run` plays recorded candles through an exchange with sockets, which is what proves the desk
but costs a second per 500 candles. Here the same run configuration meets a venue in memory, so that a year
takes minutes; the journal is of the same kind, so `parley explain`, `rounds` and `replay` work on it.

Not here: driving the firm (`backtest.event`), matching (`venues.sim`), printing (`commands.desk_backtest`).

Invariant: nothing is written before settings and candles are found good; a journal that was begun is closed.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from backtest.event import DeskBacktest
from backtest.history import Course, Moment, moment_count, moments
from orchestrator.policy import GroupOut
from parley.bus import AgentHost, InProc
from parley.errors import Fatal, UserError
from parley.instruments import Instrument
from runtime.bootstrap import hosts_of, make_firm
from runtime.desk import manifest
from runtime.journal import JournalReader, JournalWriter
from runtime.journal.schema import side_files
from runtime.kept_backtests import place_for
from runtime.launch import Market, make_run
from runtime.outbox import group_of
from runtime.provenance import with_origin
from runtime.recorded_market import recorded_market
from runtime.run_config import RunConfig
from runtime.settings import Settings
from runtime.summary import Summary, summarise
from runtime.watching import Watch
from venues.recorded import CandleSeries, load_candles
from venues.sandbox.feeds import minimum_notional
from venues.sim.exchange import SimExchange

_WAITING: Final = 4096  # groups a burst may be ahead of the disk
_MOST: Final = Decimal(9_000_000_000)


@dataclass(frozen=True, slots=True)
class DeskResult:
    """What came of it; ``assets`` are the simulated venue's, which the ledger must equal."""

    summary: Summary
    journal: Path
    notes: tuple[str, ...]
    candles: int
    symbols: tuple[str, ...]
    assets: Mapping[str, Decimal]
    ledger_equals_exchange: bool
    seconds: float


Seated = Callable[[DeskBacktest, Mapping[str, AgentHost], Iterable[Moment], Callable[[], None]], None]
"""Plays the moments with strategies beside the desk: desk, hosts by agent, moments, told after each."""


def run_desk_backtest(settings: Settings, spread_bps: Decimal, watch: Watch) -> DeskResult:
    """Run the desk that the settings describe over the candles they name.

    Raises
    ------
    UserError
        When settings or candles are wrong, or the journal exists.
    """
    if settings.trades or settings.data is None:
        raise UserError("a desk is tested on recorded candles: set 'data' to their folder")
    if settings.pace != "max":
        raise UserError(f"a backtest has no speed: leave 'speed' out, was {settings.speed!r}")
    watch.begin("reading candles", 1)
    market = recorded_market(settings)
    series = {symbol: _load(settings, symbol) for symbol in market.symbols}
    watch.step()
    run = _run(settings, market, series)
    courses = {symbol: _course(each) for symbol, each in series.items()}
    return play(settings, run, courses, settings.capital, spread_bps, watch, notes=market.notes)


def play(
    settings: Settings,
    run: RunConfig,
    courses: Mapping[str, Course],
    capital: Decimal,
    spread_bps: Decimal,
    watch: Watch,
    *,
    notes: tuple[str, ...] = (),
    seated: Seated | None = None,
) -> DeskResult:
    """Play a run over candles; `seated` are strategies that trade beside its agents."""
    with _journal_path(settings, run.run_id) as path:
        return _play(path, run, courses, capital, spread_bps, watch, notes, seated)


def _play(
    path: Path,
    run: RunConfig,
    courses: Mapping[str, Course],
    capital: Decimal,
    spread_bps: Decimal,
    watch: Watch,
    notes: tuple[str, ...],
    seated: Seated | None,
) -> DeskResult:
    hosts = hosts_of(run)
    firm, transport = make_firm(run), InProc(hosts)
    exchange = SimExchange(run.instruments, run.desk.account, {run.desk.quote: capital}, spread_bps)
    length_ms = run.desk.tf_ns // 1_000_000
    journal = _journal(path, run)
    failures: list[BaseException] = []

    def durable(gid: int, error: BaseException | None) -> None:
        if error is not None:
            failures.append(error)

    def commit(out: GroupOut) -> None:
        if failures:
            raise Fatal(f"the journal {str(journal.path)!r} cannot be written: {failures[0]}")
        journal.post(group_of(out, 1)[0], durable, lazy=True)
        if journal.pending > _WAITING:
            journal.flush()

    began = time.perf_counter()
    watch.begin("the desk trades", moment_count(courses, length_ms))
    with journal:
        desk = DeskBacktest(firm, transport, exchange, commit, float(spread_bps), is_deep=seated is not None)
        first = min(int(each.dates_ms[0]) for each in courses.values())
        desk.begin(run.run_id, capital, first * 1_000_000)
        course = moments(courses, length_ms)
        if seated is None:
            for moment in course:
                desk.step(moment)
                watch.step()
        else:
            seated(desk, hosts, course, watch.step)
        desk.end()
    seconds = time.perf_counter() - began
    with JournalReader(journal.path) as reader:
        watch.begin("adding up", 1)
        summary = summarise(reader)
        watch.step()
    cash = {each.asset: each.total for each in firm.account.view()[0].state.cash}
    return DeskResult(
        summary=summary, journal=Path(journal.path), notes=notes,
        candles=sum(len(each.dates_ms) for each in courses.values()), symbols=tuple(courses),
        assets=dict(exchange.assets), ledger_equals_exchange=_held(cash) == _held(exchange.assets),
        seconds=seconds,
    )  # fmt: skip


def new_run_id() -> str:
    """Name a backtest by the time it was begun at."""
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(3)


def _run(settings: Settings, market: Market, series: Mapping[str, CandleSeries]) -> RunConfig:
    instruments = {symbol: _instrument(settings, each) for symbol, each in series.items()}
    run = make_run(settings, market, new_run_id())
    # its venue holds no stops: the agents watch them
    return with_origin(replace(run, instruments=instruments, desk=replace(run.desk, venue_stops=False)))


def _instrument(settings: Settings, series: CandleSeries) -> Instrument:
    """The pair on the grid of its candles, with the limits of the sandbox."""
    base, _, quote = series.pair.partition("/")
    lot = Decimal(1).scaleb(-series.volume_decimals)
    return Instrument(
        symbol=series.pair, venue=settings.exchange, base=base, quote=quote,
        tick=Decimal(1).scaleb(-series.price_decimals), lot=lot, min_qty=lot, max_qty=_MOST,
        min_notional=Decimal(minimum_notional(quote)), maker_fee=settings.maker_fee,
        taker_fee=settings.taker_fee,
    )  # fmt: skip


def _load(settings: Settings, symbol: str) -> CandleSeries:
    folder = settings.data
    assert folder is not None  # asked before
    return load_candles(folder, settings.exchange, symbol, settings.candle, settings.start, settings.end)


def _course(series: CandleSeries) -> Course:
    return Course(series.date_ms, series.open, series.high, series.low, series.close, series.volume)


def _journal_path(settings: Settings, run_id: str) -> AbstractContextManager[Path]:
    if settings.journal is not None:
        return nullcontext(settings.journal.expanduser().resolve())
    return place_for(settings.home.expanduser().resolve(), run_id, settings.keep_backtests)


def _journal(path: Path, run: RunConfig) -> JournalWriter:
    for taken in (path, *side_files(path)):
        if taken.exists():
            raise UserError(f"the journal {str(path)!r} or a part of it exists: a backtest writes a new file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {str(path.parent)!r}: {error.strerror}") from error
    return JournalWriter.create(path, manifest(run), durable=False)


def _held(assets: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {asset: amount for asset, amount in assets.items() if amount}
