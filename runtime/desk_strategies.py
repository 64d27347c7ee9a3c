"""freqtrade strategies at a desk in a backtest: from freqtrade's options and a desk's settings to a journal.

Problem: a strategy's candles, money and rules come from freqtrade's configuration, the desk's agents and
limits from Parley's. Here both become one run: each strategy gets a seat, and its `dry_run_wallet` as its
share of the account.

Not here: how a strategy trades beside a desk (`backtest.seated`), desks without such strategies
(`desk_backtest`). Of the desk's own strategies only those sit at the table that its file names.

Invariant: as in `desk_backtest`; a strategy that cannot sit at a desk is refused before anything is written.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

import msgspec
import numpy as np
from pandas import DataFrame

from agents.consent import ROLES as CONSENTING
from agents.outside import OutsideStrategy
from backtest.candles import milliseconds
from backtest.comparison import Standing, standing_alone, standing_of_account, standing_of_all
from backtest.errors import NotSupported
from backtest.event import DeskBacktest
from backtest.history import Course, Moment
from backtest.result import Result
from backtest.seated import Around, SeatedStrategy, first_horizon_ms, seated_settings
from backtest.strategy_run import simulate_strategy
from backtest.surroundings import Surroundings
from backtest.together import trade_candle
from backtest.turn import give_up
from freqtrade_bridge.analysis import Analysed, analyse
from freqtrade_bridge.loading import told_exit
from freqtrade_bridge.lookahead import MOMENTS, Foresight, check_foresight
from freqtrade_bridge.options import Options
from freqtrade_bridge.preparing import Prepared, prepare
from parley.agent import AgentSpec
from parley.bus import AgentHost
from parley.errors import ConfigError, UserError
from parley.instruments import Instrument
from parley.kernels.settings import PairSpec, SimulationSettings
from runtime.defaults import HEARS
from runtime.desk_backtest import DeskResult, new_run_id, play
from runtime.launch import Market, make_run
from runtime.provenance import with_origin
from runtime.run_config import RunConfig
from runtime.settings import Settings
from runtime.watching import Watch

CONSENT: Final = "agents.consent:make"
BOOK_READER: Final = "signal/book"
_SEAT: Final = "agents.outside:make"
_UNROUNDED: Final = Decimal("1e-18")
_MOST: Final = Decimal(9_000_000_000)
_TICK_SIZE: Final = 4  # ccxt's
# All that the gate may let through where nobody at the table objects.
WIDEST: Final[dict[str, object]] = {
    "max_order_notional": "1", "max_position": "1", "max_gross": "1", "max_net": "1", "min_uninvested": "0",
    "max_correlated": "1", "max_daily_loss": "1", "max_drawdown": "1", "max_daily_trades": 1_000_000,
    "max_open_trades": 10_000, "max_position_age_h": 1_000_000, "orders_per_s": 100_000,
    "orders_per_10s": 1_000_000, "max_repeats": 1_000_000,
    # Half of a position and then the other half, at one price: for freqtrade these are two orders.
    "duplicate_window_ms": 0,
    "breakers": {"daily_loss": "1", "drawdown": "1", "flatten_drawdown": "1"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chosen:
    """One strategy that was found good, with its candles and what it sees in them."""

    prepared: Prepared
    analysed: Analysed
    settings: SimulationSettings

    @property
    def agent(self) -> str:
        """Its id at the desk."""
        return f"strategy/{self.analysed.strategy.get_strategy_name()}"


def choose(options: Options) -> list[Chosen]:
    """Load and analyse every strategy of the options, each with candles of its own.

    Raises
    ------
    UserError
        When one of them cannot be loaded, or cannot sit at a desk.
    """
    names = options.strategy_list or ((options.strategy,) if options.strategy else ())
    found = []
    for name in names:
        prepared = prepare(replace(options, strategy=name, strategy_list=()))
        for refused in prepared.refused:
            raise UserError(refused.reason)
        for strategy in prepared.strategies:
            try:
                analysed = analyse(prepared, strategy)
            except SystemExit as error:
                raise UserError(told_exit(name, error)) from error
            try:
                settings = seated_settings(analysed.settings, analysed.pairs.values())
            except NotSupported as error:
                raise UserError(f"strategy {name!r}: {error}") from error
            found.append(Chosen(prepared, analysed, settings))
    if not found:
        raise UserError("a desk of freqtrade strategies needs --strategy or --strategy-list")
    lengths = {each.settings.timeframe for each in found}
    if len(lengths) > 1:
        raise UserError(f"strategies at one desk need one timeframe, these have {', '.join(sorted(lengths))}")
    return found


def capital_of(chosen: list[Chosen]) -> Decimal:
    """What the strategies begin with, together."""
    return sum((Decimal(repr(each.settings.dry_run_wallet)) for each in chosen), Decimal(0))


def run_of(settings: Settings, chosen: list[Chosen], run_id: str, *, consent: bool) -> RunConfig:
    """Compose the desk: the strategies' seats, the agents of the settings, instruments of the candles."""
    first = chosen[0].settings
    instruments = {
        pair: instrument_of(spec, each.settings)
        for each in chosen
        for pair, spec in each.analysed.pairs.items()
        if pair in each.prepared.candles
    }
    own = settings.model_copy(update={
        "quote": first.stake_currency, "capital": capital_of(chosen), "pairs": tuple(instruments),
        "speed": "max", "timeframe": first.timeframe, "exchange": first.exchange,
        "limits": {**(WIDEST if consent else {}), **settings.limits},
    })  # fmt: skip
    run = make_run(own, Market(pairs=tuple(instruments), crosses=()), run_id)
    seats = tuple(
        AgentSpec(
            id=each.agent, role="strategy", factory=_SEAT, subscriptions=("MarketBatch",), own_rounds=True,
            outside=True,
        )
        for each in chosen
    )  # fmt: skip
    others = tuple(others_of(run, settings, consent=consent))
    refuse_same_names(seats, others)
    return msgspec.structs.replace(run, agents=(*seats, *others), instruments=instruments)


def refuse_same_names(seats: Sequence[AgentSpec], others: Sequence[AgentSpec]) -> None:
    """Raise a `ConfigError` when two strategies, or one and an agent of the desk, would have one seat."""
    names = [spec.id for spec in seats]
    if len(set(names)) != len(names):
        raise ConfigError(f"strategies at one desk need different names, these are {', '.join(names)}")
    for agent in sorted({spec.id for spec in others} & set(names)):
        raise ConfigError(
            f"the freqtrade strategy {agent.partition('/')[2]!r} and the desk's own agent {agent!r} would"
            f" have one seat: rename the class, or leave [agents.'{agent}'] out of the settings"
        )


def others_of(run: RunConfig, settings: Settings, *, consent: bool) -> Iterator[AgentSpec]:
    """Who sits at the table beside freqtrade strategies.

    Own strategies and who reads order books only when the settings name them: the market is candles, and a
    book made up around a price leans to no side. That abstention would be counted as doubt in every vote.
    """
    for spec in run.agents:
        if spec.role in ("strategy", "arbitrage") or spec.id == BOOK_READER:
            if spec.id in settings.agents:
                yield spec
        elif not consent:
            yield spec
        elif spec.role in CONSENTING:
            yield AgentSpec(id=spec.id, role=spec.role, factory=CONSENT, subscriptions=HEARS[spec.role][:0])


def courses_of(chosen: list[Chosen]) -> dict[str, Course]:
    """The candles of all strategies' pairs, from one candle before the first that is traded."""
    length = chosen[0].settings.timeframe_ms
    begin = min(int(each.analysed.start.timestamp() * 1000) for each in chosen) - length
    end = max(int(each.analysed.end.timestamp() * 1000) for each in chosen)
    found: dict[str, Course] = {}
    for each in chosen:
        for pair, frame in each.prepared.candles.items():
            found.setdefault(pair, _course(frame, begin, end))
    return found


def run_seated_backtest(
    settings: Settings, options: Options, watch: Watch, *, consent: bool
) -> tuple[DeskResult, list[SeatedStrategy]]:
    """Test freqtrade strategies at a desk; returns the desk's result and each strategy's own.

    Raises
    ------
    UserError
        When a strategy cannot be loaded or cannot sit at a desk, or settings or candles are wrong.
    """
    watch.begin("indicators and signals", 1)
    chosen = choose(options)
    watch.step()
    run = with_origin(run_of(settings, chosen, new_run_id(), consent=consent))
    players: list[SeatedStrategy] = []
    courses = courses_of(chosen)
    last = max(int(each.dates_ms[-1]) for each in courses.values()) * 1_000_000

    def seated(
        desk: DeskBacktest, hosts: Mapping[str, AgentHost], course: Iterable[Moment], told: Callable[[], None]
    ) -> None:
        seats = {
            agent: host.agent for agent, host in hosts.items() if isinstance(host.agent, OutsideStrategy)
        }
        players.extend(seat_strategies(chosen, seats, desk))
        try:
            for moment in course:
                desk.step(moment)
                if desk.unasked:
                    for player in players:
                        player.follow(desk.unasked)
                trade_candle(players, moment.t // 1_000_000)
                if moment.t == last:
                    for player in sorted(players, key=lambda each: each.name):
                        player.finish()
                told()
        finally:
            give_up([player.turn for player in players])

    result = play(settings, run, courses, capital_of(chosen), Decimal(0), watch, seated=seated)
    return result, players


@dataclass(frozen=True, slots=True)
class Alone:
    """One strategy without a desk: its trades, and whether it knows the future, if that was asked."""

    chosen: Chosen
    trades: DataFrame
    foresight: Foresight | None


def alone(options: Options, watch: Watch, *, foresight: bool) -> list[Alone]:
    """Simulate each strategy without a desk; loaded anew, for strategies may remember what they saw."""
    watch.begin("each strategy alone", 1)
    without = []
    for each in choose(options):
        with named(each):
            without.append(Alone(each, simulate_strategy(each.prepared, each.analysed).trades, None))
    watch.step()
    if not foresight:
        return without
    watch.begin("do they know the future", MOMENTS * len(without))
    # Last: what a strategy keeps between calls is worthless afterwards.
    return [
        replace(each, foresight=check_foresight(each.chosen.prepared, each.chosen.analysed, each=watch.step))
        for each in without
    ]


@contextmanager
def named(each: Chosen) -> Iterator[None]:
    """Say whose simulation it was that cannot be, or whose code ends the process."""
    strategy = each.analysed.strategy
    name = strategy.get_strategy_name()
    try:
        yield
    except NotSupported as error:
        raise UserError(
            f"strategy {name!r} ({strategy.__file__}) cannot sit at a desk: {error}; without --desk it can be"
            " backtested"
        ) from error
    except SystemExit as error:
        raise UserError(told_exit(name, error)) from error


def compare(
    result: DeskResult, players: Sequence[SeatedStrategy], without: Sequence[Alone]
) -> list[Standing]:
    """The account, the desk's strategies together, the same without a desk, and each of these."""
    summary = result.summary
    wallets = [each.chosen.settings.dry_run_wallet for each in without]
    fee = without[0].chosen.settings.fee
    trades = [each.trades for each in without]
    return [
        standing_of_account(
            summary.fills,
            summary.equity_start,
            summary.equity_end,
            summary.max_drawdown,
            summary.volume,
            summary.fees,
        ),
        standing_of_all("its freqtrade strategies", [player.trades for player in players], wallets, fee),
        standing_of_all("without a desk", trades, wallets, fee),
        *(
            standing_alone(f"{each.chosen.agent} alone", each.trades, wallet, fee)
            for each, wallet in zip(without, wallets, strict=True)
        ),
    ]


def seat_strategies(
    chosen: list[Chosen],
    seats: Mapping[str, OutsideStrategy],
    desk: DeskBacktest,
) -> list[SeatedStrategy]:
    """Put every strategy beside its seat; they trade when it is their turn (`together`)."""
    return [_seat(each, seats[each.agent], desk) for each in chosen]


def _seat(each: Chosen, seat: OutsideStrategy, desk: DeskBacktest) -> SeatedStrategy:
    def work(around: Around, opened: Callable[[Surroundings], None]) -> Result:
        with named(each):
            return simulate_strategy(
                each.prepared, each.analysed, settings=each.settings, around=around, opened=opened
            )

    return SeatedStrategy(each.agent, seat, desk, work, first_horizon_ms(each.settings))


def _course(frame: DataFrame, begin: int, end: int) -> Course:
    dates = milliseconds(frame["date"])
    rows = slice(int(np.searchsorted(dates, begin, "left")), int(np.searchsorted(dates, end, "right")))
    columns = [frame[name].to_numpy(np.float64)[rows] for name in ("open", "high", "low", "close", "volume")]
    return Course(dates[rows], *columns)


def instrument_of(spec: PairSpec, settings: SimulationSettings) -> Instrument:
    """The pair as the simulation rounds it; what it does not round lies on a grid no number misses.

    The venue asks for no least amount: the simulation does when it enters, and like freqtrade not when it
    leaves.
    """
    base, _, quote = spec.pair.partition("/")
    lot = _grid(spec.amount_precision, settings.precision_mode)
    ticks = [Decimal(repr(tick)) for _, tick in spec.price_ticks]
    tick = min([*ticks, _grid(spec.price_precision, settings.precision_mode_price)])
    fee = Decimal(repr(settings.fee))
    return Instrument(
        symbol=spec.pair, venue=settings.exchange, base=base, quote=quote, tick=tick, lot=lot, min_qty=lot,
        max_qty=_MOST, min_notional=Decimal(0), maker_fee=fee, taker_fee=fee,
    )  # fmt: skip


def _grid(precision: float | None, mode: int) -> Decimal:
    if precision is None:
        return _UNROUNDED
    if mode == _TICK_SIZE:
        return Decimal(repr(float(precision)))
    return Decimal(1).scaleb(-int(precision))
