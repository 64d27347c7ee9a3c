"""A run of freqtrade strategies beside their backtests: reads its journal, simulates twice, compares.

Problem: whether a bot trades as its backtest did is asked when money is missing. Here it is asked of every
trade, while the run goes on or afterwards, on the candles the run saw and on those of the data folder.

Not here: what a divergence is (`backtest.shadow`), what a journal says (`shadow_journal`), printing
(`commands.shadow`).

Invariant: nothing is written; a strategy's file is loaded as it is now, so that a change of it shows.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from pandas import DataFrame

from backtest.divergence import CAUSES, NOWHERE, CandleChange, Compared, Tolerances, Trade
from backtest.exit_rules import ExitRules
from backtest.market_time import at
from backtest.shadow import compare
from backtest.shadow_adjusted import before, judged
from backtest.shadow_pair import Terms, no_rates
from backtest.strategy_run import simulate_strategy
from freqtrade_bridge.analysis import analyse
from freqtrade_bridge.loading import told_exit
from freqtrade_bridge.options import Options
from freqtrade_bridge.paper.opening import HISTORY
from freqtrade_bridge.preparing import Prepared, prepare
from freqtrade_bridge.replaced import PRICES, ReplacedCandles, as_seen, open_times, reference_source, within
from parley.agent import AgentSpec
from parley.errors import DataError, UserError, nearest
from parley.kernels.settings import SimulationSettings
from runtime.history import config_of, entries
from runtime.journal import JournalReader
from runtime.run_config import RunConfig
from runtime.shadow_journal import HEARD, Candle, RunHeard
from runtime.shadow_words import FORCED, SEAT, Heard

_SHARED: Final = 1e-6  # of a volume, which the venue's trades make up


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyShadow:
    """One strategy's run beside its backtests; ``changes`` are the candles the desk saw otherwise.

    ``unjudged`` says what of the run is not compared, behind the candle of ``judged_ms``; empty: all is.
    """

    strategy: str
    agent: str
    compared: Compared
    reference_trades: int
    seen_trades: int
    changes: tuple[CandleChange, ...]
    begin_ms: int
    end_ms: int
    judged_ms: int
    unjudged: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """All strategies of a run; ``is_over``: it was shut down."""

    run_id: str
    strategies: tuple[StrategyShadow, ...]
    is_over: bool
    seconds: float

    @property
    def is_alarming(self) -> bool:
        """Whether one of them has a divergence of data, code or latency."""
        return any(each.compared.is_alarming for each in self.strategies)

    def lines(self) -> list[str]:
        """Say in a line for each strategy how its run and its backtest differ."""
        return [_line(each) for each in self.strategies]


def shadow(reader: JournalReader, given: Mapping[str, Any] | None = None) -> Shadow:
    """Compare the run of a journal with its strategies' backtests.

    Parameters
    ----------
    given : fields of `Options` that stand in place of what the journal says

    Raises
    ------
    UserError
        When the journal has no freqtrade strategy, or a strategy or its candles cannot be loaded.
    """
    run = config_of(reader)
    heard = strategies_of(reader, run)
    heard.take(entries(reader, HEARD))
    return shadow_of(run, heard, given or {})


def strategies_of(reader: JournalReader, run: RunConfig) -> RunHeard:
    """Return who listens to a run's strategies, with nothing heard yet.

    Raises
    ------
    UserError
        When it has none.
    """
    heard = RunHeard(run.agents, run.desk.tf_ns, run.silent)
    if not heard.strategies:
        others = ", ".join(sorted(spec.id for spec in run.agents if spec.role == "strategy")) or "none"
        raise UserError(
            f"{str(reader.path)!r} has no freqtrade strategy to shadow, its strategies are: {others}"
        )
    return heard


def shadow_of(run: RunConfig, heard: RunHeard, given: Mapping[str, Any], held_back: int = 0) -> Shadow:
    """Compare what was heard so far; ``held_back``: how many of the newest candles are left for later."""
    began = time.perf_counter()
    end_ms = heard.last_ms - held_back * run.desk.tf_ns // 1_000_000
    if not heard.has_enough(held_back):
        raise UserError(f"run {run.run_id!r} has seen too few candles to be compared with a backtest yet")
    found = []
    for each in heard.strategies.values():
        try:
            found.append(_one(heard, each, given, end_ms))
        except SystemExit as error:
            raise UserError(told_exit(each.spec.id.partition("/")[2], error)) from error
    return Shadow(
        run_id=run.run_id, strategies=tuple(found), is_over=heard.is_over,
        seconds=time.perf_counter() - began,
    )  # fmt: skip


def _one(heard: RunHeard, strategy: Heard, given: Mapping[str, Any], end_ms: int) -> StrategyShadow:
    spec = strategy.spec
    begin = spec.params.get("begin_ms")
    begin_ms = begin if isinstance(begin, int) else None
    options = within(_options(spec, given), begin_ms, end_ms)
    first_ms = heard.first_ms if begin_ms is None else begin_ms
    # As many candles as the run had: an average over all of them may never forget the first.
    extra = 0 if spec.factory == SEAT else HISTORY
    prepared = prepare(options, extra=extra)
    simulated = _simulated(prepared)
    reference = seen = simulated.trades
    changes = _changes(prepared, heard.candles, first_ms, end_ms)
    if changes:
        source = _seen_source(options, prepared, heard, first_ms, end_ms)
        simulated = _simulated(prepare(options, source, extra=extra))
        seen = simulated.trades
    settings, words = simulated.settings, strategy.words(end_ms)
    judged_ms, unjudged = end_ms, ""
    if settings.position_adjustment_enable:
        judged_ms, unjudged = judged([*reference, *seen], words, settings.timeframe_ms, end_ms)
    terms = Terms(
        timeframe_ms=settings.timeframe_ms, last_ms=judged_ms, max_open_trades=settings.max_open_trades,
        remembers=bool(settings.protections) or "confirm_trade_entry" in settings.hooks,
        has_fixed_stake=not isinstance(settings.stake_amount, str), fee=settings.fee,
        rules=_rules(settings), rates=no_rates if spec.factory == SEAT else heard.rates,
        signals=lambda pair, t: t in simulated.left.get(pair, ()),
    )  # fmt: skip
    behind = judged_ms + settings.timeframe_ms
    compared = compare(
        before(reference, behind), before(seen, behind), words, terms,
        [each for each in changes if each.t_ms <= judged_ms], strategy.faults,
    )  # fmt: skip
    return StrategyShadow(
        strategy=str(options.strategy), agent=spec.id, compared=compared,
        reference_trades=len(reference), seen_trades=len(seen), changes=tuple(changes), begin_ms=first_ms,
        end_ms=end_ms, judged_ms=judged_ms, unjudged=unjudged,
    )  # fmt: skip


def _options(spec: AgentSpec, given: Mapping[str, Any]) -> Options:
    """Say how the strategy was run: as its agent was told, but for what is given."""
    told: Any = spec.params.get("options")
    known = Options.__dataclass_fields__
    for name in given:
        if name not in known:
            raise UserError(f"there is no option {name!r}: {nearest(name, sorted(known))}")
    if told is None and not given.get("config"):
        raise UserError(
            f"the journal does not say how {spec.id!r} was run: give --config, --datadir and --strategy-path"
        )
    home = {"user_data_dir": given.get("user_data_dir") or Path("user_data")} if told is None else {}
    try:
        options = msgspec.convert({**home, **(told or {})}, Options, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise DataError(f"agent {spec.id!r}, params.options: {error}") from error
    said = {name: value for name, value in given.items() if value not in (None, (), "")}
    name = options.strategy or spec.id.partition("/")[2]
    found = replace(options, **said, strategy=name, strategy_list=())
    if spec.factory != SEAT:
        found = replace(found, enable_protections=True)  # which freqtrade never leaves out when it trades
    for what, folder in (("candles", found.datadir), ("strategies", found.strategy_path)):
        if folder is not None and not folder.is_dir():
            raise UserError(f"the run's folder of {what} {str(folder)!r} is gone: name another")
    return found


def _path(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise TypeError(f"expected a path, was {value!r}")


class _Simulated(NamedTuple):
    """``left``: the open times of candles before which a pair's signal says to leave, where it may wait."""

    trades: list[Trade]
    settings: SimulationSettings
    left: dict[str, set[int]]


def _simulated(prepared: Prepared) -> _Simulated:
    for refused in prepared.refused:
        raise UserError(refused.reason)
    (strategy,) = prepared.strategies
    analysed = analyse(prepared, strategy)
    settings = analysed.settings
    left: dict[str, set[int]] = {}
    if settings.exit_profit_only:
        for pair, frame in analysed.frames.items():
            told = frame["exit_long"].to_numpy() == 1
            left[pair] = set((open_times(frame)[told] + settings.timeframe_ms).tolist())
    ends = {pair: int(open_times(frame)[-1]) for pair, frame in analysed.frames.items() if len(frame)}
    return _Simulated(_trades(simulate_strategy(prepared, analysed).trades, ends), settings, left)


def _trades(frame: DataFrame, ends: Mapping[str, int]) -> list[Trade]:
    """ends: open times of the pairs' last candles, where a simulation leaves what it still holds."""
    found = []
    for row in frame.itertuples(index=False):
        # A strategy's own exit may have that name, too.
        ended = row.exit_reason == FORCED and row.close_timestamp >= ends[row.pair]
        adjusted_ms = _adjusted_ms(row.orders)
        amount, rate = row.amount, row.open_rate
        if adjusted_ms != NOWHERE:  # what it was entered with; freqtrade says what was left, and an average
            amount, rate = row.orders[0]["amount"], row.orders[0]["safe_price"]
        found.append(Trade(
            pair=row.pair, opened_ms=int(row.open_timestamp), open_rate=float(rate),
            amount=float(amount), enter_tag=str(row.enter_tag or ""),
            closed_ms=NOWHERE if ended else int(row.close_timestamp),
            close_rate=0.0 if ended else float(row.close_rate), exit_reason="" if ended else row.exit_reason,
            adjusted_ms=adjusted_ms,
        ))  # fmt: skip
    return found


def _adjusted_ms(orders: list[dict[str, Any]]) -> int:
    """When more was bought than with the first order, or less sold than with the last."""
    buys = [each["order_filled_timestamp"] for each in orders if each["ft_is_entry"]]
    sells = [each["order_filled_timestamp"] for each in orders if not each["ft_is_entry"]]
    return int(min([*buys[1:], *sells[:-1]], default=NOWHERE))


def _rules(settings: SimulationSettings) -> ExitRules:
    return ExitRules(
        minimal_roi=settings.minimal_roi, stoploss=settings.stoploss, trailing_stop=settings.trailing_stop,
        trailing_stop_positive=settings.trailing_stop_positive,
        trailing_stop_positive_offset=settings.trailing_stop_positive_offset,
        trailing_only_offset_is_reached=settings.trailing_only_offset_is_reached, fee=settings.fee,
        exit_profit_only=settings.exit_profit_only, exit_profit_offset=settings.exit_profit_offset,
        has_own_stop=settings.use_custom_stoploss and "custom_stoploss" in settings.hooks,
        has_own_roi=settings.use_custom_roi and "custom_roi" in settings.hooks,
        has_own_exits="custom_exit" in settings.hooks,
    )  # fmt: skip


def _changes(
    prepared: Prepared, candles: Mapping[str, Mapping[int, Candle]], begin_ms: int, end_ms: int
) -> list[CandleChange]:
    """List the candles that the desk saw otherwise than the reference has them, in order of pair and time."""
    found = []
    for pair, rows in sorted(prepared.candles.items()):
        seen = candles.get(pair, {})
        dates = open_times(rows)
        within_run = (dates >= begin_ms) & (dates <= end_ms)
        prices = [rows[name].to_numpy(float)[within_run].tolist() for name in PRICES]
        has = dict(zip(dates[within_run].tolist(), zip(*prices, strict=True), strict=True))
        for t in sorted({*has, *(t for t in seen if begin_ms <= t <= end_ms)}):
            what = _difference(has.get(t), seen.get(t))
            if what:
                found.append(CandleChange(pair, t, what))
    return found


def _difference(has: Candle | None, saw: Candle | None) -> str:
    if has is None:
        return "the reference has none"
    if saw is None:
        # One that the reference itself lacks was filled in without volume, and is so again.
        return "" if has[4] == 0.0 and len({*has[:4]}) == 1 else "the desk saw none"
    near = Tolerances().exact
    for name, was, is_ in zip(PRICES, has, saw, strict=True):
        if abs(was - is_) > (_SHARED if name == "volume" else near) * max(abs(was), abs(is_)):
            return f"{name} {is_:g}, the reference has {was:g}"
    return ""


def _seen_source(
    options: Options, prepared: Prepared, heard: RunHeard, begin_ms: int, end_ms: int
) -> ReplacedCandles:
    source = reference_source(options)
    timeframe, kind = str(prepared.config["timeframe"]), prepared.config["candle_type_def"]
    frames = {}
    for pair in prepared.candles:
        key = (pair, timeframe, kind)
        frames[key] = as_seen(source.read(key, None), heard.candles.get(pair, {}), begin_ms, end_ms)
    return ReplacedCandles(source, frames)


def _line(each: StrategyShadow) -> str:
    compared = each.compared
    counted = [f"{compared.count(cause)} {cause}" for cause in CAUSES if compared.count(cause)]
    counted += [f"{compared.followed} that follow"] if compared.followed else []
    return (
        f"{each.strategy}: {compared.entries} entries and {compared.exits} exits until {at(each.judged_ms)}"
        f" as in the backtest, {compared.mean_slippage_bps:+.1f} bps slippage on average; divergences:"
        f" {', '.join(counted) or 'none'}{'; ' if each.unjudged else ''}{each.unjudged}"
    )
