"""Run one loaded strategy: the bridge's callbacks, locks and questions bound to one simulation.

Problem: the simulation knows no freqtrade and the bridge knows no simulation; here one is given to the other,
for the command and for Python alike.

Not here: loading (`freqtrade_bridge.preparing`), what the loop does (`simulation`). Invariant: what the
strategy object is lent for the run is taken back at its end, whatever happens.
"""

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import numpy as np
from pandas import DataFrame

from backtest import callbacks
from backtest.callbacks import Hook
from backtest.errors import NotSupported, OddAnswer, SimulationError, WrongAnswer
from backtest.locks import ASKS_THE_CLOCK, LockBook, StrategyLocks
from backtest.result import PairLock, Rejected, Result, WalletNotes
from backtest.simulation import FundingFees, simulate
from backtest.surroundings import Surroundings
from freqtrade_bridge.analysis import Analysed
from freqtrade_bridge.asking import asking
from freqtrade_bridge.faults import in_one_line
from freqtrade_bridge.hooks import CallbackErrors, Faults, strategy_hooks
from freqtrade_bridge.kept_state import Reached, watched
from freqtrade_bridge.own_loop import PUBLISHED_MS, OwnLoop, run_own_loop
from freqtrade_bridge.preparing import Prepared
from freqtrade_bridge.resolving import IStrategy
from freqtrade_bridge.steady import Moved, replaced_rules, steady
from parley.errors import UserError
from parley.kernels import exact
from parley.kernels.settings import SimulationSettings

Hooks = Mapping[str, Hook]


def simulate_strategy(
    prepared: Prepared,
    analysed: Analysed,
    errors: CallbackErrors = "default",
    *,
    settings: SimulationSettings | None = None,
    around: Callable[[Hooks], Hooks] | None = None,
    opened: Callable[[Surroundings], None] | None = None,
) -> Result:
    """Simulate a strategy that has looked at its candles.

    settings: instead of the strategy's own. around: makes of the strategy's callbacks those that are asked,
    such as a desk's that asks the strategy's first. opened: told of the simulation before its first candle.

    Raises
    ------
    NotSupported
        When strategy or configuration want something that only freqtrade's own loop can do.
    UserError
        When a callback answers something that cannot be simulated, or freqtrade would stop here.
    """
    strategy, provider = analysed.strategy, prepared.provider
    if replaced := replaced_rules(strategy):
        raise NotSupported(f"not simulated: the strategy has its own {', '.join(replaced)}")
    if analysed.wrote_state:
        raise NotSupported("not simulated: the strategy locks pairs while it makes its signals")
    settings = settings or analysed.settings
    faults = Faults()
    book = LockBook(settings.timeframe_ms)
    methods = StrategyLocks(book, settings.timeframe_ms, max(_ms(analysed.end), PUBLISHED_MS))
    hooks = strategy_hooks(strategy, provider, faults, errors)
    if around is not None:
        hooks = around(hooks)
    # On the object, not the class: freqtrade's own methods write where no simulation of ours looks.
    vars(strategy).update({name: getattr(methods, name) for name in _LOCKS})
    try:
        with asking(strategy, provider) as tell, _steady(strategy, hooks), _answers(strategy):

            def begin(surroundings: Surroundings) -> None:
                tell(surroundings)
                if opened is not None:
                    opened(surroundings)

            result = simulate(
                analysed.frames, settings, analysed.pairs,
                hooks=hooks or None,
                detail=prepared.detail or None,
                funding={pair: _funding_fees(fees) for pair, fees in prepared.funding.items()} or None,
                locks=book,
                opened=begin if hooks else None,
                lists_rejected=prepared.config.get("export") == "signals",
                notes_wallet=_fills_do_not_tell(settings),
            )  # fmt: skip
    finally:
        provider.leave(analysed.end)
        for name in _LOCKS:
            del vars(strategy)[name]
        # A strategy that kept one of them keeps the book, and through it would keep the simulation's tables.
        book.watch(lambda: None)
    if methods.asked_the_clock:  # and the strategy's own code caught what it raised
        raise NotSupported(ASKS_THE_CLOCK)
    return result._replace(faults=tuple(faults.lines()))


def _fills_do_not_tell(settings: SimulationSettings) -> bool:
    """Say whether what the wallet holds meanwhile is not in the trades: orders that wait, sales in parts."""
    waits = settings.hooks & {"custom_entry_price", "custom_exit_price", "adjust_order_price"}
    parts = settings.trading_mode == "futures" and settings.position_adjustment_enable
    return bool(waits or parts or settings.other_balances)


@contextmanager
def _steady(strategy: IStrategy, hooks: Hooks) -> Iterator[None]:
    if not hooks:  # nothing of the strategy's runs
        yield
        return
    try:
        with steady(strategy), watched():
            yield
    except Reached as reached:
        raise NotSupported(f"not simulated: the strategy uses {reached}, freqtrade's own") from None
    except Moved as moved:
        raise NotSupported(f"not simulated: the strategy changes its {moved} while it runs") from None


@contextmanager
def _answers(strategy: IStrategy) -> Iterator[None]:
    """Say of an answer that cannot be used whose it was; freqtrade ends with a traceback there."""
    try:
        yield
    except WrongAnswer as error:
        raise SimulationError(f"{_who(strategy)}: {error}") from error
    except ArithmeticError as error:
        # What a callback raises is its wrapper's: this is from counting with an answer, such as a price of 0.
        raise OddAnswer(
            "its callbacks must return numbers that can be counted with, what came of one of them was"
            f" {type(error).__name__}"
        ) from error
    except (TypeError, ValueError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        taken = [place for place, each in enumerate(frames) if each.filename == callbacks.__file__]
        if not taken or any(each.filename not in _TAKEN_BY for each in frames[taken[-1] :]):
            raise
        last = frames[taken[-1]]
        raise SimulationError(
            f"{_who(strategy)}: what its callback for {last.name.replace('_', ' ')} answered cannot be used:"
            f" {error}"
        ) from error


def _who(strategy: IStrategy) -> str:
    return f"strategy {strategy.get_strategy_name()!r} ({strategy.__file__})"


def simulate_by_freqtrade(
    prepared: Prepared, name: str, why: NotSupported, each: Callable[[float], None] = lambda part: None
) -> Result:
    """Backtest a strategy that `simulate_strategy` refused with freqtrade's own loop; a fault says so.

    prepared: loaded anew, since the strategy must not have run. each: is told the part that is done.

    Raises
    ------
    UserError
        When freqtrade stops too.
    """
    strategy = next(one for one in prepared.strategies if one.get_strategy_name() == name)
    try:
        done = run_own_loop(prepared, strategy, each)
    except UserError as error:
        if not isinstance(why, OddAnswer):
            raise
        stopped = error.__cause__ or error
        raise SimulationError(
            f"{_who(strategy)}: {why}; freqtrade's own loop stops there too: {type(stopped).__name__}:"
            f" {in_one_line(stopped)}"
        ) from error
    content = done.content
    counts = {count: int(content[count]) for count in _COUNTED}
    return Result(
        trades=content["results"],
        final_balance=float(content["final_balance"]),
        starting_balance=done.starting_balance,
        canceled_exit_orders=done.canceled_exit_orders,
        replaced_exit_orders=done.replaced_exit_orders,
        locks=tuple(
            PairLock(
                lock.pair, lock.side, _ms(lock.lock_time), _ms(lock.lock_end_time), lock.reason, lock.active
            )
            for lock in content["locks"]
        ),
        start_ms=done.start_ms,
        end_ms=done.end_ms,
        wallet=_noted(prepared, done),
        rejected=tuple(
            Rejected(pair, _ms(date), tag) for pair, signals in done.rejected.items() for date, tag in signals
        ),
        faults=(f"{why}; freqtrade's own loop backtested it, which takes as long as freqtrade does",),
        **counts,
    )


_LOCKS = ("lock_pair", "unlock_pair", "unlock_reason", "is_pair_locked")
_TAKEN_BY = (callbacks.__file__, exact.__file__)
_COUNTED = (
    "rejected_signals", "timedout_entry_orders", "timedout_exit_orders", "canceled_trade_entries",
    "canceled_entry_orders", "replaced_entry_orders",
)  # fmt: skip


def _noted(prepared: Prepared, done: OwnLoop) -> WalletNotes:
    """Make notes of freqtrade's own rows of date, currency, rate and balance; no row is no balance."""
    rows, candle = done.content["wallet_summary"], prepared.provider.timeframe_s * 1000
    held: dict[str, dict[int, float]] = {}
    for date, currency, balance in zip(rows["date"], rows["currency"], rows["balance"], strict=True):
        held.setdefault(currency, {})[_ms(date)] = balance
    moments = range(done.start_ms + candle, done.end_ms + 1, candle)

    def of(currency: str) -> tuple[tuple[int, float], ...]:
        balances = held.get(currency, {})
        return tuple((moment, balances.get(moment, 0.0)) for moment in moments)

    coins = {pair: of(pair.partition("/")[0]) for pair in prepared.candles}
    return WalletNotes(of(str(prepared.config["stake_currency"])), coins)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _funding_fees(fees: DataFrame) -> FundingFees:
    # Without a settlement at which both rate and mark price are known, freqtrade charges nothing.
    if fees.empty:
        return FundingFees(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64))
    return FundingFees(fees["_ff_date_ns"].to_numpy(), fees["_ff_fee_per_unit"].to_numpy())
