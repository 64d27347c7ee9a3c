"""freqtrade strategies at the table of a desk that is backtested: their trades become offers, and rounds.

Problem: the simulation of a freqtrade strategy (`simulation`) knows when it would enter and leave, and a desk
knows whether it may. So the simulation runs on, candle by candle beside the desk, and where
freqtrade would ask `confirm_trade_entry` or `confirm_trade_exit` the desk is asked as well: the order is an
offer, the offer a round, and what the round lets through is what the simulation goes on with. A desk that
agrees to everything trades exactly what the strategy trades alone.

Several simulations take turns: each has a thread of its own, and only one of all threads ever runs.

Not here: the seat (`agents.outside`), how a round goes (`orchestrator`), the simulated venue (`venues.sim`).
What would have to wait at the venue (prices the candle does not reach), adjusted positions and shorts are
refused.

Invariant: the simulation's position in a pair is the strategy's holding at the desk, after every candle.
"""

import threading
from bisect import insort
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from pandas import DataFrame

from agents.outside import Offer
from backtest.callbacks import Granted
from backtest.errors import NotSupported, SimulationError
from backtest.event import DeskBacktest, Seat
from backtest.result import Result
from parley.kernels.exact import ROUND, price_to_precision
from parley.kernels.settings import SimulationSettings
from parley.money import decimal

ASKED: Final = frozenset({"bot_loop_start", "confirm_trade_entry", "confirm_trade_exit"})
"""The callbacks at which a simulation meets the desk."""
FORCED: Final = "force_exit"
_DAY_MIN: Final = 1440
Hook = Callable[..., Any]
Hooks = Mapping[str, Hook]
Simulate = Callable[[Hooks], Result]


def seated_settings(settings: SimulationSettings) -> SimulationSettings:
    """The settings under which a strategy is simulated at a desk.

    Raises
    ------
    NotSupported
        For what a desk cannot be asked about yet.
    """
    for wrong, what in (
        (settings.trading_mode != "spot", f"trading_mode {settings.trading_mode!r}"),
        (settings.position_adjustment_enable, "position_adjustment_enable"),
        (settings.position_stacking, "position stacking"),
        (settings.timeframe_detail_ms is not None, "timeframe_detail"),
        (bool(settings.other_balances), "a dry_run_wallet of several currencies"),
    ):
        if wrong:
            raise NotSupported(f"{what} is not possible for a strategy at a desk")
    return msgspec.structs.replace(settings, hooks=settings.hooks | ASKED)


class SeatedStrategy:
    """One strategy: its seat, its simulation in a thread of its own, and what came of it."""

    def __init__(
        self,
        name: str,
        seat: Seat,
        desk: DeskBacktest,
        hooks: Hooks,
        simulate: Simulate,
        first_horizon_ms: int,
    ) -> None:
        self.name = name
        self.result: Result | None = None
        self.cut = 0
        self.refused = 0  # entries
        self.kept = 0  # exits the desk did not let through
        self.left = 0  # pairs that were held at the end and nobody could sell
        self._holds: dict[str, float] = {}
        self._held_ms: list[int] = []  # how long its trades lasted, sorted
        self._seat = seat
        self._desk = desk
        self._own = hooks
        self._simulate = simulate
        self._first_horizon_ms = first_horizon_ms
        self._now = -1  # ms, of the candle it is at
        self._until = -1
        self._error: BaseException | None = None
        self._go = threading.Semaphore(0)
        self._done = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name=f"strategy {name}", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether the simulation has come to its end."""
        return self.result is not None

    @property
    def trades(self) -> DataFrame:
        """Its closed trades, as `backtest.result` has them.

        Raises
        ------
        SimulationError
            Before its end.
        """
        if self.result is None:
            raise SimulationError(f"{self.name} has not come to its end")
        return self.result.trades

    def trade(self, t_ms: int) -> None:
        """Let the strategy trade everything up to and including the candle that began at `t_ms`.

        Raises
        ------
        Exception
            What the simulation raised.
        """
        if self.is_over or (self._now > t_ms):
            return
        self._until = t_ms
        self._take_turn()
        self._check()

    def finish(self) -> Result:
        """Let it end while the last candle runs; what it leaves then the desk is asked to leave."""
        while self.result is None:
            self._until = 1 << 62
            self._take_turn()
        trades = self.result.trades
        for pair, orders in trades.loc[trades["exit_reason"] == FORCED, ["pair", "orders"]].itertuples(
            index=False
        ):
            last = orders[-1]
            try:
                filled = self._negotiate(pair, "sell", last["amount"], decimal(last["safe_price"]), FORCED)
            except NotSupported:
                filled = 0.0  # its candles ended earlier: nobody can sell there any more
            self.left += filled != last["amount"]
        return self.result

    def _check(self) -> None:
        """Raise if the desk holds for this strategy what its simulation does not, or not what it does."""
        for pair, amount in self._holds.items():
            held = self._desk.holds(self.name, pair)
            if held != amount:
                raise SimulationError(
                    f"{self.name} holds {amount!r} {pair} on {_day(self._now)}, the desk {held!r} for it: the"
                    f" desk left the position by itself (a breaker that flattens, such as"
                    f" limits.breakers.flatten_drawdown), which a simulation cannot follow yet"
                )

    def abandon(self) -> None:
        """End the thread, wherever the simulation is."""
        if self.result is None and self._thread.is_alive():
            self._error = self._error or SimulationError("the backtest was given up")
            self._go.release()
            self._thread.join(2)

    def _take_turn(self) -> None:
        self._go.release()
        self._done.acquire()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        self._go.acquire()
        try:
            if self._error is None:
                self.result = self._simulate(self._hooks())
        except BaseException as error:  # noqa: BLE001 - it is raised again where the turn was given
            self._error = error
        self._done.release()

    def _rest(self) -> None:
        """Give the turn back until this candle is due."""
        while self._now > self._until:
            self._done.release()
            self._go.acquire()
            if self._error is not None:
                raise self._error

    def _hooks(self) -> Hooks:
        return {
            **self._own, "bot_loop_start": self._begin, "confirm_trade_entry": self._enter,
            "confirm_trade_exit": self._leave,
        }  # fmt: skip

    def _begin(self, current_time: datetime) -> None:
        self._now = _ms(current_time)
        self._rest()
        if "bot_loop_start" in self._own:
            self._own["bot_loop_start"](current_time=current_time)

    def _enter(self, **asked: Any) -> Any:
        own = self._own.get("confirm_trade_entry")
        if own is not None and not own(**asked):
            return False
        wanted = float(asked["amount"])
        filled = self._negotiate(
            asked["pair"], "buy", wanted, asked["rate"], str(asked["entry_tag"] or "entry")
        )
        if filled == 0.0:
            self.refused += 1
            return False
        self._holds[asked["pair"]] = filled
        if filled == wanted:
            return True
        self.cut += 1
        return Granted(filled)

    def _leave(self, **asked: Any) -> bool:
        own = self._own.get("confirm_trade_exit")
        if own is not None and not own(**asked):
            return False
        wanted = float(asked["amount"])
        trade = asked["trade"]
        # A stop lies between ticks; freqtrade rounds it when it makes the order.
        rate, precision = asked["rate"], trade.price_precision
        if precision is not None:
            rate = price_to_precision(rate, precision, trade.precision_mode_price, ROUND)
        filled = self._negotiate(asked["pair"], "sell", wanted, decimal(rate), asked["exit_reason"])
        if filled == wanted:
            self._holds.pop(asked["pair"], None)
            insort(self._held_ms, max(0, self._now - _ms(trade.open_date_utc)))
            return True
        self.kept += 1
        if filled:
            raise SimulationError(
                f"{self.name}: the desk left {filled!r} of {wanted!r} {asked['pair']}; it must be all"
            )
        return False

    def _negotiate(self, pair: str, side: str, amount: float, price: Decimal, why: str) -> float:
        offer = Offer(
            symbol=pair, side=side, qty=decimal(amount), px=price, why=why, leaves=side == "sell",
            horizon_ms=self._horizon_ms(),
        )  # fmt: skip
        try:
            filled = self._desk.negotiate(self._seat, offer, self._now * 1_000_000)
        except ValueError as error:
            raise NotSupported(
                f"{self.name} on {_day(self._now)}: a desk's backtest knows no order that waits at the venue,"
                f" and {error}"
            ) from error
        return float(filled)

    def _horizon_ms(self) -> int:
        """How long its trades last: the median so far, at first what its ROI table ends with."""
        if not self._held_ms:
            return self._first_horizon_ms
        return max(1, self._held_ms[len(self._held_ms) // 2])


def first_horizon_ms(settings: SimulationSettings) -> int:
    """How long a trade may last before any has: to the end of the ROI table, at least twelve candles."""
    last = max((minutes for minutes, _ in settings.minimal_roi), default=0)
    return max(12 * settings.timeframe_ms, min(last, _DAY_MIN) * 60_000)


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
