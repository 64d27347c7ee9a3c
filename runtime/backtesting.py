"""One backtest from its options to its figures: what the command and, later, the API do.

Problem: the loader, the simulation and the report are packages that do not know each other; here they meet.

Not here: printing (`runtime.commands.simulate`), the semantics of a trade (`parley.kernels`). Invariant: a
strategy that fails is named with its reason, and the others' results stand.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pandas import DataFrame

from backtest.errors import NotSupported
from backtest.page import Page, render
from backtest.performance import Performance, daily_balance, performance
from backtest.result import Result
from backtest.strategy_run import simulate_by_freqtrade, simulate_strategy
from freqtrade_bridge.analysis import Analysed, analyse
from freqtrade_bridge.lean_frames import REPORTED, SIMULATED, give_back_memory, thin_out
from freqtrade_bridge.loading import told_exit
from freqtrade_bridge.lookahead import MOMENTS, Foresight, check_foresight
from freqtrade_bridge.options import Options
from freqtrade_bridge.preparing import Prepared, prepare
from freqtrade_bridge.report import (
    WalletCourse,
    WalletRun,
    compare_strategies,
    signal_candles,
    store_result,
    strategy_figures,
    wallet_course,
    wallet_figures,
)
from freqtrade_bridge.resolving import IStrategy, Refused
from freqtrade_bridge.sources import CandleSource
from parley.errors import UserError
from runtime.calling import told
from runtime.watching import Watch

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Backtested:
    """What came of a backtest; ``results`` by strategy in freqtrade's fields, ``seconds`` by phase."""

    prepared: Prepared
    results: dict[str, Figures]
    comparison: list[Figures]
    refused: tuple[Refused, ...]
    warnings: tuple[str, ...]
    file: Path | None
    seconds: dict[str, float] = field(default_factory=dict)
    performance: dict[str, Performance] = field(default_factory=dict)
    foresight: dict[str, Foresight] = field(default_factory=dict)
    pages: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is done beside the simulation.

    ``foresight``: whether strategies are checked for knowing the future (`freqtrade_bridge.lookahead`);
    ``pages``: the folder for a page with charts of each strategy (`backtest.page`); ``candles``: whether they
    are wanted whole afterwards, else each column goes when its last reader is done, which is half of the
    memory of a run.
    """

    foresight: bool = False
    pages: Path | None = None
    candles: bool = True


@dataclass(slots=True)
class _Collected:
    """What the strategies that ran left, by name."""

    results: dict[str, Figures] = field(default_factory=dict)
    wallets: dict[str, WalletCourse] = field(default_factory=dict)
    signals: dict[str, dict[str, dict[str, DataFrame]]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    performance: dict[str, Performance] = field(default_factory=dict)
    foresight: dict[str, Foresight] = field(default_factory=dict)
    pages: list[Path] = field(default_factory=list)
    span: tuple[datetime, datetime] | None = None


def run_backtest(
    options: Options, watch: Watch, source: CandleSource | None = None, wanted: Wanted | None = None
) -> Backtested:
    """Run every strategy the options name and write the result file they ask for.

    Raises
    ------
    UserError
        When nothing could be run; the reason of the first thing that is wrong, or of every strategy.
    """
    beside = wanted or Wanted()
    seconds = {"load": 0.0, "analyse": 0.0, "simulate": 0.0, "look ahead": 0.0, "report": 0.0}
    watch.begin("loading", 1)
    with _timed(seconds, "load"):
        prepared = prepare(options, source)
    watch.step()
    refused = list(prepared.refused)
    found = _Collected()
    found.warnings += prepared.notes
    found.warnings += [f"{pair}: no funding is known, none is charged" for pair in prepared.funding_unknown]
    for strategy in prepared.strategies:
        try:
            _run_one(prepared, strategy, watch, seconds, found, beside, anew=lambda: prepare(options, source))
        except UserError as error:
            refused.append(Refused(strategy.get_strategy_name(), _of(strategy, str(error))))
        except SystemExit as error:  # its code ends the process; the others' results stand
            name = strategy.get_strategy_name()
            refused.append(Refused(name, told_exit(name, error)))
        except Exception as error:  # a defect of ours is no reason either to lose the others' results
            if len(prepared.strategies) == 1:
                raise
            refused.append(Refused(strategy.get_strategy_name(), _of(strategy, told(error))))
    if not found.results:
        raise UserError("; ".join(each.reason for each in refused))
    with _timed(seconds, "report"):
        comparison = compare_strategies(found.results)
        give_back_memory()
        file = _store(prepared, found, comparison)
    warnings = tuple(found.warnings)
    return Backtested(
        prepared, found.results, comparison, tuple(refused), warnings, file, seconds, found.performance,
        found.foresight, tuple(found.pages),
    )  # fmt: skip


def _of(strategy: IStrategy, reason: str) -> str:
    name = strategy.get_strategy_name()
    return reason if repr(name) in reason else f"strategy {name!r} ({strategy.__file__}): {reason}"


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds[phase] += time.perf_counter() - began


def _run_one(
    prepared: Prepared, strategy: IStrategy, watch: Watch, seconds: dict[str, float], found: _Collected,
    beside: Wanted, anew: Callable[[], Prepared],
) -> None:  # fmt: skip
    name = strategy.get_strategy_name()
    started = datetime.now(UTC)
    watch.begin(f"{name}: indicators and signals", len(prepared.candles))
    with _timed(seconds, "analyse"):
        analysed = analyse(prepared, strategy, lambda _: watch.step())
    watch.begin(f"{name}: trades", 1)
    is_last = strategy is prepared.strategies[-1] and not (beside.candles or beside.foresight or beside.pages)
    with _timed(seconds, "simulate"):
        if is_last and not analysed.asks:
            thin_out(prepared.candles, SIMULATED)
            give_back_memory()
        try:
            result = simulate_strategy(prepared, analysed)
        except NotSupported as why:
            bar = _bar(watch, f"{name}: trades, by freqtrade")
            result = simulate_by_freqtrade(anew(), name, why, bar)
        if is_last and prepared.config.get("export") != "signals":
            analysed.frames.clear()
            thin_out(prepared.candles, REPORTED)
        give_back_memory()
    watch.step()
    with _timed(seconds, "report"):
        course = wallet_course(_wallet_run(analysed), result.trades, prepared.candles, result.wallet)
        wallet = wallet_figures(course)
        give_back_memory()
        found.results[name] = strategy_figures(
            name, strategy.config, result, prepared.candles, analysed.start, analysed.end,
            int(started.timestamp()), int(datetime.now(UTC).timestamp()), wallet,
        )  # fmt: skip
        found.wallets[name] = course
        if prepared.config.get("export") == "signals":
            found.signals[name] = signal_candles(prepared, analysed, result.trades, result.rejected)
        page = page_of(name, prepared, analysed, result)
        found.performance[name] = page.performance
        if beside.pages is not None:
            found.pages.append(_write_page(beside.pages / f"{name}.html", page))
    found.warnings += [f"{name}: {line}" for line in result.faults]
    found.span = (analysed.start, analysed.end)
    if beside.foresight:  # last: what a strategy keeps between calls is worthless afterwards
        watch.begin(f"{name}: does it know the future", MOMENTS)
        with _timed(seconds, "look ahead"):
            found.foresight[name] = check_foresight(prepared, analysed, each=watch.step)


def _bar(watch: Watch, what: str) -> Callable[[float], None]:
    done = 0
    watch.begin(what, 100)

    def tell(part: float) -> None:
        nonlocal done
        while done < int(part * 100):
            done += 1
            watch.step()

    return tell


def page_of(name: str, prepared: Prepared, analysed: Analysed, result: Result) -> Page:
    """Put together what a page shows; the strategies of one run count as tries of the same idea."""
    trades = result.trades
    profit = trades["profit_abs"].to_numpy(dtype=np.float64)
    closes = trades["close_timestamp"].to_numpy(dtype=np.int64)
    start, end = int(analysed.start.timestamp() * 1000), int(analysed.end.timestamp() * 1000)
    balance = daily_balance(closes, profit, result.starting_balance, start, end)
    return Page(
        strategy=name, timeframe=str(prepared.config["timeframe"]),
        currency=str(prepared.config["stake_currency"]), start_ms=start, end_ms=end,
        starting_balance=result.starting_balance, final_balance=result.final_balance, trades=trades,
        candles=prepared.candles,
        performance=performance(balance, profit, trials=len(prepared.strategies)),
    )  # fmt: skip


def _write_page(path: Path, page: Page) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(page), encoding="utf-8")
    except OSError as error:
        raise UserError(f"the page {str(path)!r} cannot be written: {error.strerror}") from error
    return path


def _wallet_run(analysed: Analysed) -> WalletRun:
    settings = analysed.settings
    return WalletRun(
        start=analysed.start, end=analysed.end, timeframe_ms=settings.timeframe_ms,
        stake_currency=settings.stake_currency, balance=settings.dry_run_wallet,
        futures=settings.trading_mode == "futures",
    )  # fmt: skip


def _store(prepared: Prepared, found: _Collected, comparison: list[Figures]) -> Path | None:
    config = prepared.config
    if config.get("export", "none") not in ("trades", "signals") or found.span is None:
        return None
    strategies = {each.get_strategy_name(): each for each in prepared.strategies}
    signals = {
        kind: {name: kinds[kind] for name, kinds in found.signals.items()}
        for kind in ("signals", "rejected", "exited")
    }
    return store_result(
        Path(config["exportdirectory"]),
        config,
        found.results,
        comparison,
        {name: strategies[name] for name in found.results},
        prepared.candles,
        *found.span,
        datetime.now(UTC),
        notes=config.get("backtest_notes"),
        signals=signals if found.signals else None,
        wallets=found.wallets,
    )
