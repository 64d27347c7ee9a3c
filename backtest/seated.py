"""freqtrade strategies at the table of a desk that is backtested: their trades become offers, and rounds.

Problem: the simulation of a freqtrade strategy (`simulation`) knows when it would enter and leave, and a desk
knows whether it may. So the simulation runs on, candle by candle beside the desk, and where
freqtrade would ask `confirm_trade_entry` or `confirm_trade_exit` the desk is asked as well: the order is an
offer, the offer a round, and what the round lets through is what the simulation goes on with. A desk that
agrees to everything trades exactly what the strategy trades alone.

Where freqtrade asks `adjust_trade_position`, what follows from the answer is asked of the desk too: more is
bought and a part is sold as far as it grants (`adjusting`).

What the desk leaves by itself (a breaker that flattens) it leaves at an opening price; there the simulation
is given an exit of its own, which the desk is not asked about.

Not here: the seat (`agents.outside`), how a round goes (`orchestrator`), the simulated venue (`venues.sim`),
several strategies at one candle (`together`). What would have to wait at the venue (prices the candle does
not reach) and shorts are refused.

Invariant: the simulation's position in a pair is the strategy's holding at the desk, after every candle.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec
from pandas import DataFrame

from agents.outside import Offer
from backtest.adjusting import Adjusting
from backtest.callbacks import Granted, Hook
from backtest.errors import NotSupported, SimulationError
from backtest.event import DeskBacktest, Seat
from backtest.result import Result
from backtest.surroundings import Surroundings
from backtest.turn import Turn
from parley.kernels.exact import ROUND, price_to_precision
from parley.kernels.settings import PairSpec, SimulationSettings
from parley.messages import Fill
from parley.money import decimal

ASKED: Final = frozenset({"bot_loop_start", "custom_exit", "confirm_trade_entry", "confirm_trade_exit"})
"""The callbacks at which a simulation meets the desk."""
FORCED: Final = "force_exit"
FLATTENED: Final = "desk_flatten"
_DAY_MIN: Final = 1440
Hooks = Mapping[str, Hook]
Around = Callable[[Hooks], Hooks]
Simulate = Callable[[Around, Callable[[Surroundings], None]], Result]
"""Runs a strategy's simulation with what the first makes of its callbacks, and tells the second of it."""


def seated_settings(settings: SimulationSettings, pairs: Iterable[PairSpec]) -> SimulationSettings:
    """The settings under which a strategy is simulated at a desk; ``pairs``: those it trades.

    Raises
    ------
    NotSupported
        For what a desk cannot be asked about yet.
    """
    for wrong, what in (
        (settings.trading_mode != "spot", f"trading_mode {settings.trading_mode!r}"),
        (settings.position_stacking, "position stacking"),
        (settings.timeframe_detail_ms is not None, "timeframe_detail"),
        (bool(settings.other_balances), "a dry_run_wallet of several currencies"),
        # Sums of such amounts end in digits that simulation and books cut differently.
        (
            settings.position_adjustment_enable and any(each.amount_precision is None for each in pairs),
            "position_adjustment_enable for a pair without precision of amounts",
        ),
    ):
        if wrong:
            raise NotSupported(f"{what} is not possible for a strategy at a desk")
    return msgspec.structs.replace(settings, hooks=settings.hooks | ASKED)


class Question(NamedTuple):
    """An order a simulation would make; ``is_opening``: at the opening price of the candle it is at."""

    symbol: str
    side: str
    amount: float
    price: Decimal
    why: str
    is_opening: bool


class SeatedStrategy:
    """One strategy: its seat, its simulation in a thread of its own, and what came of it."""

    def __init__(
        self,
        name: str,
        seat: Seat,
        desk: DeskBacktest,
        simulate: Simulate,
        first_horizon_ms: int,
    ) -> None:
        self.name = name
        self.question: Question | None = None
        self.result: Result | None = None
        self.cut = 0
        self.refused = 0  # entries and additions
        self.kept = 0  # exits and partial exits the desk did not let through
        self.adjusted = 0  # how often it bought more or sold a part
        self.flattened = 0  # positions the desk left by itself
        self.left = 0  # pairs that were held at the end and nobody could sell
        self._holds: dict[str, float] = {}
        self._flat: dict[str, float] = {}  # what the desk left by itself, at which price
        self._held_ms: list[int] = []  # how long its trades lasted, sorted
        self._seat = seat
        self._desk = desk
        self._own: Hooks = {}
        self._simulation: Surroundings | None = None
        self._adjusting: Adjusting | None = None  # where it adjusts positions
        self._is_told = False  # whether its exits count in any case, for the desk has left something
        self._simulate = simulate
        self._first_horizon_ms = first_horizon_ms
        self._now = -1  # ms, of the candle it is at
        self._until = -1
        self._filled = 0.0  # the answer to its question
        self.turn = Turn(f"strategy {name}", self._run)

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

    def goes_on(self, t_ms: int) -> bool:
        """Let it trade up to the candle that began at `t_ms`, included; returns whether it asks something.

        Raises
        ------
        Exception
            What the simulation raised.
        """
        if self.question is None and not self.turn.is_over and self._now <= t_ms:
            self._until = t_ms
            self.turn.take()
            if self._flat and self.question is None:
                raise SimulationError(self._lost(f"did not leave {', '.join(sorted(self._flat))}"))
        return self.question is not None

    def settle(self) -> None:
        """Negotiate what it asks.

        Raises
        ------
        NotSupported
            When the candle does not reach its price.
        """
        question, self.question = self.question, None
        assert question is not None  # whoever calls this has looked
        self._filled = self._negotiate(question)

    def follow(self, fills: Sequence[Fill]) -> None:
        """Take notice of what the desk left by itself at the opening; the next turn leaves it, too.

        Raises
        ------
        SimulationError
            When that was a part of a position only.
        """
        for pair, amount in self._holds.items():
            held = self._desk.holds(self.name, pair)
            if held == amount:
                continue
            prices = {float(fill.px) for fill in fills if fill.symbol == pair and fill.side == "sell"}
            if held or len(prices) != 1:
                raise SimulationError(self._lost(f"holds {amount!r} {pair}, the desk {held!r} for it"))
            self._flat[pair] = prices.pop()

    def finish(self) -> None:
        """Leave what it leaves at its end, while the last candle runs; the desk is asked.

        Raises
        ------
        SimulationError
            Before its end.
        """
        trades = self.trades
        # A strategy's own exit may have that reason, too; what is open to the end closes last of its pair.
        last_of_pair = trades[trades["exit_reason"] == FORCED].drop_duplicates("pair", keep="last")
        for pair, orders in last_of_pair[["pair", "orders"]].itertuples(index=False):
            if pair not in self._holds:
                continue
            last = orders[-1]
            price = decimal(last["safe_price"])
            try:
                filled = self._negotiate(Question(pair, "sell", last["amount"], price, FORCED, True))
            except NotSupported:
                filled = 0.0  # its candles ended earlier: nobody can sell there any more
            self.left += filled != last["amount"]

    def _lost(self, why: str) -> str:
        return (
            f"{self.name} cannot follow the desk on {_day(self._now)}, which left a position by itself (a"
            f" breaker that flattens, such as limits.breakers.flatten_drawdown): it {why}"
        )

    def _run(self) -> None:
        self.result = self._simulate(self._around, self._open)

    def _open(self, simulation: Surroundings) -> None:
        self._simulation = simulation
        if "adjust_trade_position" in self._own:
            self._adjusting = Adjusting(simulation, self._own)
        self._tell()

    def _rest(self) -> None:
        """Give the turn back until this candle is due."""
        while self._now > self._until:
            self.turn.rest()

    def _around(self, own: Hooks) -> Hooks:
        self._own = own
        hooks: dict[str, Hook] = {
            **own, "bot_loop_start": self._begin, "custom_exit": self._exit,
            "confirm_trade_entry": self._enter, "confirm_trade_exit": self._leave,
        }  # fmt: skip
        if "custom_exit_price" in own:
            hooks["custom_exit_price"] = self._exit_price
        if "adjust_trade_position" in own:
            hooks["adjust_trade_position"] = self._adjust
            if "custom_entry_price" in own:
                hooks["custom_entry_price"] = self._entry_price
        return hooks

    def _begin(self, current_time: datetime) -> None:
        self._now = _ms(current_time)
        # Who holds nothing can miss nothing the desk does: it goes ahead to where it wants something.
        if self._holds:
            self._rest()
        if self._is_told or self._flat:
            self._tell()
        if self._adjusting is not None:
            self._adjusting.restore()
        if "bot_loop_start" in self._own:
            self._own["bot_loop_start"](current_time=current_time)

    def _tell(self) -> None:
        """Let it leave what the desk has left, whatever its settings say of exits."""
        assert self._simulation is not None  # it runs
        self._is_told = bool(self._flat)
        if self._simulation.heed_exits(self._is_told, asks="custom_exit" in self._own):
            for pair in self._holds.keys() - self._flat.keys():
                if self._desk.opening(pair) is not None:
                    raise SimulationError(self._lost(f"still holds {pair} there"))

    def _exit(self, **asked: Any) -> Any:
        if asked["pair"] in self._flat:
            return FLATTENED
        own = self._own.get("custom_exit")
        return None if own is None else own(**asked)

    def _exit_price(self, **asked: Any) -> Any:
        if asked["pair"] in self._flat:
            return None  # the desk's price was the opening, as this exit's
        if self._adjusting is not None:
            return self._adjusting.told("custom_exit_price", asked)
        return self._own["custom_exit_price"](**asked)

    def _entry_price(self, **asked: Any) -> Any:
        assert self._adjusting is not None  # who does not adjust is asked itself
        return self._adjusting.told("custom_entry_price", asked)

    def _adjust(self, **asked: Any) -> Any:
        """Buy more or sell a part as far as the desk grants it; all of what the strategy says, or less."""
        assert self._adjusting is not None  # it is asked because it adjusts
        pair = asked["trade"].pair
        if pair in self._flat:
            return None  # the desk has left it
        if asked["trade"].amount != self._holds[pair]:
            raise SimulationError(
                f"{self.name} holds {asked['trade'].amount!r} {pair} in its simulation, {self._holds[pair]!r}"
                " at the desk"
            )
        answer = self._own["adjust_trade_position"](**asked)
        wanted = self._adjusting.order(answer, asked)
        if wanted is None:
            return answer  # nothing comes of it
        filled = self._ask(pair, wanted.side, wanted.amount, wanted.rate, wanted.price, wanted.why)
        self._holds[pair] = self._desk.holds(self.name, pair)
        if not self._holds[pair]:
            self._gone(pair, asked["trade"])
        if filled:
            self.adjusted += 1
        elif wanted.side == "buy":
            self.refused += 1
        else:
            self.kept += 1
        if filled == wanted.amount:
            return answer
        self.cut += filled > 0.0
        return self._adjusting.granted(wanted, filled, asked)

    def _enter(self, **asked: Any) -> Any:
        own = self._own.get("confirm_trade_entry")
        if own is not None and not own(**asked):
            return False
        pair, rate, wanted = asked["pair"], asked["rate"], float(asked["amount"])
        filled = self._ask(pair, "buy", wanted, rate, rate, str(asked["entry_tag"] or "entry"))
        if filled == 0.0:
            self.refused += 1
            return False
        self._holds[pair] = filled
        if filled == wanted:
            return True
        self.cut += 1
        return Granted(filled)

    def _leave(self, **asked: Any) -> bool:
        pair, wanted, trade = asked["pair"], float(asked["amount"]), asked["trade"]
        # A stop lies between ticks; freqtrade rounds it when it makes the order.
        rate, precision = asked["rate"], trade.price_precision
        if precision is not None:
            rate = price_to_precision(rate, precision, trade.precision_mode_price, ROUND)
        if pair in self._flat:
            return self._is_flat(pair, rate, trade)
        own = self._own.get("confirm_trade_exit")
        if own is not None and not own(**asked):
            return False
        filled = self._ask(pair, "sell", wanted, asked["rate"], rate, asked["exit_reason"])
        if filled == wanted:
            self._gone(pair, trade)
            return True
        self.kept += 1
        if filled:
            raise SimulationError(
                f"{self.name}: the desk left {filled!r} of {wanted!r} {pair}; it must be all"
            )
        return False

    def _is_flat(self, pair: str, rate: float, trade: Any) -> bool:
        """Leave what the desk has left already; at any other price the two would part."""
        price = self._flat[pair]
        if rate != price:
            raise SimulationError(self._lost(f"would leave {pair} at {rate!r}, the desk did at {price!r}"))
        del self._flat[pair]
        self._gone(pair, trade)
        self.flattened += 1
        return True

    def _gone(self, pair: str, trade: Any) -> None:
        self._holds.pop(pair, None)
        insort(self._held_ms, max(0, self._now - _ms(trade.open_date_utc)))

    def _ask(self, pair: str, side: str, amount: float, rate: float, price: float, why: str) -> float:
        """Ask the desk when this candle is due; returns what was filled. ``price``: the rate as ordered."""
        self._rest()
        is_opening = rate == self._desk.opening(pair)
        self.question = Question(pair, side, amount, decimal(price), why, is_opening)
        self.turn.rest()  # it goes on when this is settled
        return self._filled

    def _negotiate(self, question: Question) -> float:
        offer = Offer(
            symbol=question.symbol, side=question.side, qty=decimal(question.amount), px=question.price,
            why=question.why, leaves=question.side == "sell", horizon_ms=self._horizon_ms(),
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
