"""Random callbacks of a case's strategy, as the text of methods.

Problem: a callback is where an engine's view of a trade meets a user's code. So every callback here answers
from a number drawn out of all it is told and sees of the trade: one wrong bit changes the answer, and with it
a trade.

Not here: the rest of the strategy file (`strategy`), and what decides which hooks a level has (`generator`).

Invariant: answers follow from the arguments alone; some answers are None, not-a-number, out of bounds, or an
exception, as users' are.
"""

from __future__ import annotations

from typing import Any

from tests.differential.dice import Dice

# ``P`` stands for a probability and ``A`` for an amplitude of the case.
BODIES = {
    "leverage": '''
    def leverage(
        self, pair, current_time, current_rate, proposed_leverage, max_leverage, entry_tag, side, **kwargs
    ):
        drawn = self.draw("x", pair, current_time.timestamp(), current_rate, max_leverage, entry_tag, side)
        return LEVERAGES[int(drawn * len(LEVERAGES))]
''',
    "custom_stoploss": '''
    def custom_stoploss(self, pair, trade, current_time, current_rate, current_profit, AFTER_FILL**kwargs):
        drawn = self.draw("stop", current_time.timestamp(), current_rate, current_profit, self.seen(trade))
        if drawn < 0.1:
            return None
        if drawn < 0.12:
            return float("nan")
        if drawn < 0.13:
            raise ValueError("a user's mistake")
        return -A * (0.2 + drawn)
''',
    "custom_exit": '''
    def custom_exit(self, pair, trade, current_time, current_rate, current_profit, **kwargs):
        drawn = self.draw(
            "exit", current_time.timestamp(), current_rate, current_profit, self.seen(trade),
            trade.get_custom_data("fills", 0), self.is_pair_locked(pair, candle_date=current_time),
        )
        if drawn < P / 2:
            return "custom " + str(int(drawn * 1000) % 3)
        if drawn < P * 0.8:
            return True
        if drawn < P:
            return "a reason that is longer than the sixty-four characters which freqtrade keeps of it"
        return None
''',
    "custom_sell": '''
    def custom_sell(self, pair, trade, current_time, current_rate, current_profit, **kwargs):
        drawn = self.draw("sell", current_time.timestamp(), current_rate, current_profit, self.seen(trade))
        return "old style" if drawn < P else None
''',
    "custom_roi": '''
    def custom_roi(self, pair, trade, current_time, trade_duration, entry_tag, side, **kwargs):
        drawn = self.draw("roi", current_time.timestamp(), trade_duration, entry_tag, side, self.seen(trade))
        return None if drawn < 0.3 else drawn * A
''',
    "custom_entry_price": '''
    def custom_entry_price(self, pair, trade, current_time, proposed_rate, entry_tag, side, **kwargs):
        drawn = self.draw("entry price", pair, current_time.timestamp(), proposed_rate, entry_tag, side)
        return proposed_rate if drawn < 0.3 else proposed_rate * (1 + A * 0.2 * (drawn - 0.65))
''',
    "custom_exit_price": '''
    def custom_exit_price(self, pair, trade, current_time, proposed_rate, current_profit, exit_tag, **kwargs):
        drawn = self.draw(
            "exit price", current_time.timestamp(), proposed_rate, current_profit, exit_tag, self.seen(trade)
        )
        return proposed_rate if drawn < 0.3 else proposed_rate * (1 + A * 0.2 * (drawn - 0.65))
''',
    "custom_stake_amount": '''
    def custom_stake_amount(
        self, pair, current_time, current_rate, proposed_stake, min_stake, max_stake, leverage, entry_tag,
        side, **kwargs,
    ):
        drawn = self.draw(
            "stake", pair, current_time.timestamp(), current_rate, proposed_stake, min_stake, max_stake,
            leverage, entry_tag, side,
        )
        if drawn < 0.05:
            return None
        if drawn < 0.1:
            return 0
        if drawn < 0.15:
            return (min_stake or 1.0) * 0.9
        if drawn < 0.2:
            return max(max_stake, 0) * 2
        return proposed_stake * drawn
''',
    "confirm_trade_entry": '''
    def confirm_trade_entry(
        self, pair, order_type, amount, rate, time_in_force, current_time, entry_tag, side, **kwargs
    ):
        drawn = self.draw(
            "enter?", getattr(self, "mood", 0), pair, order_type, amount, rate, time_in_force,
            current_time.timestamp(), entry_tag, side,
        )
        if drawn < 0.02:
            raise KeyError("a user's mistake")
        return drawn > P
''',
    "confirm_trade_exit": '''
    def confirm_trade_exit(
        self, pair, trade, order_type, amount, rate, time_in_force, exit_reason, current_time, **kwargs
    ):
        drawn = self.draw(
            "leave?", order_type, amount, rate, time_in_force, exit_reason, current_time.timestamp(),
            self.seen(trade),
        )
        return drawn > P
''',
    "check_entry_timeout": '''
    def check_entry_timeout(self, pair, trade, order, current_time, **kwargs):
        return self.draw("late entry", current_time.timestamp(), order.price, self.seen(trade)) < P
''',
    "check_exit_timeout": '''
    def check_exit_timeout(self, pair, trade, order, current_time, **kwargs):
        return self.draw("late exit", current_time.timestamp(), order.price, self.seen(trade)) < P
''',
    "adjust_trade_position": '''
    def adjust_trade_position(
        self, trade, current_time, current_rate, current_profit, min_stake, max_stake, current_entry_rate,
        current_exit_rate, current_entry_profit, current_exit_profit, **kwargs,
    ):
        drawn = self.draw(
            "adjust", current_time.timestamp(), current_rate, current_profit, min_stake, max_stake,
            self.seen(trade),
        )
        if drawn < P / 3:
            return trade.stake_amount * (0.3 + drawn)
        if drawn < P * 0.7:
            return -trade.stake_amount * (0.2 + drawn * 2), "less"
        if drawn < P * 0.8:
            return -trade.stake_amount
        if drawn < P * 0.9:
            return max_stake / 4, "more"
        return None
''',
    "adjust_entry_price": '''
    def adjust_entry_price(
        self, trade, order, pair, current_time, proposed_rate, current_order_rate, entry_tag, side, **kwargs
    ):
        drawn = self.draw("move entry", current_time.timestamp(), proposed_rate, current_order_rate, side)
        if drawn < 0.1:
            return None
        return current_order_rate if drawn < 0.6 else proposed_rate * (1 + A * 0.1 * (drawn - 0.8))
''',
    "adjust_exit_price": '''
    def adjust_exit_price(
        self, trade, order, pair, current_time, proposed_rate, current_order_rate, entry_tag, side, **kwargs
    ):
        drawn = self.draw("move exit", current_time.timestamp(), proposed_rate, current_order_rate, side)
        if drawn < 0.1:
            return None
        return current_order_rate if drawn < 0.6 else proposed_rate * (1 + A * 0.1 * (drawn - 0.8))
''',
    "adjust_order_price": '''
    def adjust_order_price(
        self, trade, order, pair, current_time, proposed_rate, current_order_rate, entry_tag, side, is_entry,
        **kwargs,
    ):
        drawn = self.draw("move", current_time.timestamp(), proposed_rate, current_order_rate, side, is_entry)
        if drawn < 0.1:
            return None
        return current_order_rate if drawn < 0.6 else proposed_rate * (1 + A * 0.1 * (drawn - 0.8))
''',
    "order_filled": '''
    def order_filled(self, pair, trade, order, current_time, **kwargs):
        drawn = self.draw("fill", current_time.timestamp(), order.side, order.price, self.seen(trade))
        trade.set_custom_data("fills", trade.get_custom_data("fills", 0) + 1)
        if LOCKS and drawn < P * 0.5:
            self.lock_pair(pair, current_time + timedelta(hours=1), "after a fill")
        elif LOCKS and drawn < P * 0.7:
            self.unlock_pair(pair)
''',
    "bot_loop_start": '''
    def bot_loop_start(self, current_time, **kwargs):
        self.loops = getattr(self, "loops", 0) + 1
        self.mood = self.draw("loop", current_time.timestamp())
''',
    "bot_start": '''
    def bot_start(self, **kwargs):
        self.loops = 0
''',
}  # fmt: skip

# What callbacks may ask besides their arguments (see `strategy`).
ASKS = ("trades", "wallet", "candles", "update")
# How the reasons begin that `custom_exit` and `custom_sell` give.
CUSTOM_REASONS = ("custom", "old style", "a reason that")
# What a hook needs of the strategy's attributes to be called at all.
NEEDS: dict[str, dict[str, Any]] = {
    "custom_stoploss": {"use_custom_stoploss": True},
    "custom_roi": {"use_custom_roi": True},
    "adjust_trade_position": {"position_adjustment_enable": True},
}
# freqtrade refuses or ignores these together; the second ones go.
EXCLUSIVE = {
    "custom_exit": ("custom_sell",),
    "adjust_order_price": ("adjust_entry_price", "adjust_exit_price"),
}
FUTURES_ONLY = ("leverage",)
SPOT_ONLY = ("custom_sell",)


def draw_leverage(dice: Dice) -> str:
    """Return the text of a `leverage` that answers one or several values."""
    steps = (1.0, 2.0, 3.0, 7.5, 10.0, 20.0, 20.0, 50.0, 50.0, 125.0)
    chosen = tuple(dice.pick(steps) for _ in range(dice.pick((1, 1, 3))))
    return BODIES["leverage"].replace("LEVERAGES", repr(chosen))


def draw_hooks(dice: Dice, volatility: float, *, is_futures: bool) -> tuple[dict[str, str], dict[str, Any]]:
    """Return (method texts by hook, strategy attributes they need): one hook, a few, or most of them."""
    wrong_market = SPOT_ONLY if is_futures else FUTURES_ONLY
    names = [name for name in BODIES if name not in (*wrong_market, "leverage")]
    chosen = [dice.pick(names)] if dice.chance(0.4) else dice.some(names, dice.pick((0.2, 0.5, 0.9)))
    for first, others in EXCLUSIVE.items():
        if first in chosen:
            chosen = [name for name in chosen if name not in others]
    texts = {name: _body(dice.part(name), name, volatility) for name in chosen}
    attributes: dict[str, Any] = {}
    for name in chosen:
        attributes.update(NEEDS.get(name, {}))
    if "adjust_trade_position" in chosen and dice.chance(0.5):
        attributes["max_entry_position_adjustment"] = dice.whole(0, 3)
    return texts, attributes


def draw_asks(dice: Dice) -> dict[str, Any]:
    """Return the attribute that names what the callbacks ask besides their arguments, in some cases."""
    if not dice.chance(0.5):
        return {}
    asks = ["trades", "wallet", "candles"] if dice.chance(0.3) else dice.some(ASKS, 0.4)
    return {"asks": asks} if asks else {}


def _body(dice: Dice, name: str, volatility: float) -> str:
    often = dice.pick((0.02, 0.05, 0.15))
    reach = round(min(volatility * dice.pick((3, 8, 20)), 0.4), 5)
    text = BODIES[name].replace("AFTER_FILL", dice.pick(("", "after_fill, ")))
    text = text.replace("LOCKS", str(dice.chance(0.3)))
    lines = text.replace("P * ", f"{often} * ").replace("P /", f"{often} /").replace("< P", f"< {often}")
    return lines.replace("> P", f"> {often}").replace("A * ", f"{reach} * ").replace("* A", f"* {reach}")
