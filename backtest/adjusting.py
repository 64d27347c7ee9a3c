"""What a simulation makes of a strategy's wish for more or for less of a position, before it does.

Problem: `adjust_trade_position` answers a stake. Which order follows from it freqtrade works out afterwards,
and asks nobody. A desk must be asked with amount and price; and where it grants a part, the answer has to
become the stake of which the simulation makes exactly that part.

Not here: the asking (`seated`), the simulation's own way from stake to order (`parley.kernels.candle`): the
numbers are those of its functions, called in its order, and the strategy's price callbacks are called once,
in their place.

Invariant: `granted` answers only with a stake of which the same functions make the granted amount, to the
last bit.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from backtest.callbacks import Hook
from backtest.errors import SimulationError
from backtest.surroundings import Surroundings
from backtest.trade_view import FIELDS, TradeView
from parley.kernels import codes, exact
from parley.kernels.entries import max_stake, min_stake, tick_index, valid_stake
from parley.kernels.grid import amount_to_precision, round_price
from parley.kernels.ports import load_float, tick_at, trade_at
from parley.kernels.quiet import date_of
from parley.kernels.values import profit_ratio

ADDED: Final = "pos_adjust"
"""Why more is bought, where the strategy has no tag for it: freqtrade's word."""
_LEAST: Final = ("min_cost_adjust", "min_amount")
_TRIED: Final = 4  # floats beside the stake that ought to do


class Adjustment(NamedTuple):
    """An order that would follow: ``rate`` as worked out, ``price`` as the venue gets it."""

    side: str
    amount: float
    rate: float
    price: float
    why: str
    tag: str


class Adjusting:
    """Works out adjustments of one running simulation, for its strategy's callbacks ``own``."""

    def __init__(self, simulation: Surroundings, own: Mapping[str, Hook]) -> None:
        # Its tables and not a copy: the rules below are read, and for a part changed, where the kernel does.
        self._tables = simulation._tables
        self._own = own
        self._said: dict[str, Any] = {}  # what price callbacks answered before the kernel asks them
        self._lifted: list[tuple[int, str, float]] = []

    def order(self, answer: Any, asked: Mapping[str, Any]) -> Adjustment | None:
        """Work out the order that follows from an answer to the callback; None where none does."""
        self._said.clear()
        stake, tag = _parts(answer)
        if not stake or math.isnan(stake):
            return None
        with _Box(self._tables.box):
            trade = self._trade(asked)
            if stake < 0.0:
                return self._sale(trade, stake, tag, asked)
            limit = self._tables.desk[0]["max_entry_adjustment"]
            if limit >= 0 and trade["filled_entries"] > limit:
                return None
            return self._addition(trade, stake, tag, asked)

    def granted(self, wanted: Adjustment, amount: float, asked: Mapping[str, Any]) -> Any:
        """Answer the callback so that this much, less than wanted, is traded; of nothing, nothing follows.

        Raises
        ------
        SimulationError
            When there is no such stake.
        """
        if not amount:
            self._said.clear()  # the kernel will ask no price
            return None
        with _Box(self._tables.box):
            trade = self._trade(asked)
            pair = self._tables.pairs[int(trade["pair"])]
            buys = wanted.side == "buy"
            if buys:
                # A part a desk granted may be less than freqtrade would begin with, as at an entry.
                self._lift(int(trade["pair"]))
            for stake in self._stakes(trade, pair, wanted, amount):
                made = (
                    self._bought(trade, stake, wanted.rate) if buys
                    else self._sold(trade, -stake, float(asked["current_rate"]))
                )  # fmt: skip
                if made == amount:
                    return (stake if buys else -stake, wanted.tag)
        raise SimulationError(
            f"the desk granted {amount!r} of {wanted.amount!r} {asked['trade'].pair}, which no stake becomes"
        )

    def told(self, callback: str, asked: Mapping[str, Any]) -> Any:
        """Answer a price callback the kernel asks: what it answered here already, or what it answers now."""
        if callback in self._said:
            return self._said.pop(callback)
        return self._own[callback](**asked)

    def restore(self) -> None:
        """Let the venue's least amounts count again; the candle they were lifted in is over."""
        for at, name, value in self._lifted:
            self._tables.pairs[at][name] = value
        self._lifted.clear()

    def _trade(self, asked: Mapping[str, Any]) -> np.void:
        view: TradeView = asked["trade"]
        return trade_at(self._tables.desk[0]["trades"], view._at // len(FIELDS))

    def _lift(self, at: int) -> None:
        for name in _LEAST:
            self._lifted.append((at, name, float(self._tables.pairs[at][name])))
            self._tables.pairs[at][name] = math.nan

    # more

    def _addition(
        self, trade: np.void, stake: float, tag: str, asked: Mapping[str, Any]
    ) -> Adjustment | None:
        price = self._entry_price(trade, tag, asked)
        amount = self._bought(trade, stake, price)
        return Adjustment("buy", amount, price, price, tag or ADDED, tag) if amount else None

    def _entry_price(self, trade: np.void, tag: str, asked: Mapping[str, Any]) -> float:
        desk, at = self._tables.desk[0], int(trade["pair"])
        pair, price = self._tables.pairs[at], float(asked["current_rate"])
        if not desk["entry_limit"]:
            return price
        row = int(pair["row"])
        if desk["hook_entry_price"]:
            words = self._tables.words
            code = words.code_of_tag(tag) if tag else row - 1
            said = self._said["custom_entry_price"] = self._own["custom_entry_price"](
                pair=asked["trade"].pair, trade=asked["trade"], current_time=asked["current_time"],
                proposed_rate=price, entry_tag=words.entry_tag(at, code), side="long",
            )  # fmt: skip
            if said is not None and said != price:
                tick = tick_at(desk["ticks"], tick_index(desk, pair, date_of(desk, pair, row)))
                price = round_price(desk, tick, float(said))
        return min(price, load_float(pair["highs"], row))

    def _bought(self, trade: np.void, stake: float, price: float) -> float:
        """The amount an addition buys, 0 for none."""
        desk, pair, leverage = self._tables.desk[0], self._tables.pairs[int(trade["pair"])], trade["leverage"]
        least = min_stake(pair, pair["min_cost_adjust"], price, desk["margin_reserve"], leverage)
        most = max_stake(desk, pair, price, leverage)
        stake = valid_stake(desk, stake, least, most, trade["stake_amount"])
        if stake == 0.0 or (least != 0.0 and stake < least):
            return 0.0
        return float(amount_to_precision(desk, pair, (stake / price) * leverage))

    # less

    def _sale(self, trade: np.void, stake: float, tag: str, asked: Mapping[str, Any]) -> Adjustment | None:
        desk, rate = self._tables.desk[0], float(asked["current_rate"])
        amount = self._sold(trade, stake, rate)
        if not amount:
            return None
        words, at = self._tables.words, int(trade["pair"])
        why = words.reason(at, words.code_of_reason(tag) if tag else codes.PARTIAL_EXIT, -1)
        if desk["exit_limit"]:
            if desk["hook_exit_price"]:
                # As the kernel does before it asks.
                trade["close_date"] = round(asked["current_time"].timestamp() * 1000)
                said = self._said["custom_exit_price"] = self._own["custom_exit_price"](
                    pair=asked["trade"].pair, trade=asked["trade"], current_time=asked["current_time"],
                    proposed_rate=rate, current_profit=profit_ratio(desk, trade, rate), exit_tag=why,
                )  # fmt: skip
                rate = rate if said is None else float(said)
            pair = self._tables.pairs[at]
            rate = max(rate, load_float(pair["lows"], int(pair["row"])))
        price = float(round_price(desk, tick_at(desk["ticks"], int(trade["tick"])), rate))
        return Adjustment("sell", amount, rate, price, why, tag)

    def _sold(self, trade: np.void, stake: float, rate: float) -> float:
        """The amount a partial exit sells, 0 for none."""
        desk, pair = self._tables.desk[0], self._tables.pairs[int(trade["pair"])]
        held = float(trade["amount"])
        part = exact.multiply(exact.number(stake), exact.number(held))
        share = exact.divide(part, exact.number(float(trade["stake_amount"])))
        amount = amount_to_precision(desk, pair, abs(exact.to_float(share)))
        least = min_stake(pair, pair["min_cost_position"], rate, desk["margin_reserve"], 1.0)
        remaining = (held - amount) * rate
        if amount == 0.0 or (least != 0.0 and remaining != 0.0 and remaining < least):
            return 0.0
        return float(amount_to_precision(desk, pair, amount))

    # a part

    def _stakes(self, trade: np.void, pair: np.void, wanted: Adjustment, amount: float) -> Iterator[float]:
        """Stakes that may become this amount: those that become it or a little more, which is cut."""
        lot = float(pair["amount_step"] / pair["amount_scale"]) if pair["amount_way"] == codes.GRID else 0.0
        for aim in dict.fromkeys((amount, amount + lot / 2)):
            if wanted.side == "buy":
                stake = aim * wanted.rate / float(trade["leverage"])
            else:
                stake = aim * (float(trade["stake_amount"]) / float(trade["amount"]))
            yield from _around(stake)


def _around(stake: float) -> Iterable[float]:
    found = [stake]
    above = below = stake
    for _ in range(_TRIED):
        above, below = math.nextafter(above, math.inf), math.nextafter(below, 0.0)
        found += [above, below]
    return found


def _parts(answer: Any) -> tuple[float, str]:
    """Stake and tag of an answer, as `backtest.callbacks` reads them."""
    if not isinstance(answer, tuple):
        return (0.0 if answer is None else answer), ""
    stake = answer[0] if answer else None
    tag = answer[1] or "" if len(answer) > 1 else ""
    return (0.0 if stake is None else stake), tag


class _Box:
    """A question is being answered: what lies in the kernel's box is not ours to change."""

    def __init__(self, box: Any) -> None:
        self._box = box

    def __enter__(self) -> None:
        self._kept = self._box.tolist()

    def __exit__(self, *_: object) -> None:
        for place, value in enumerate(self._kept):
            self._box[place] = value
