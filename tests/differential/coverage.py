"""Count what the cases of a run reached: trades, exit reasons, options and pairs of options.

Problem: a million equal cases prove nothing if none of them held a liquidation. So a run says what it met,
and fails when an exit reason that a feature should give is rarer than one in a hundred.

Not here: whether the trades were right (`compare`).

Invariant: counts are of the reference's trades, and only of cases that were compared and equal, so refused
ones add nothing; two runs add up by `add`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations
from statistics import median
from typing import Any

from tests.differential.case import Case
from tests.differential.hooks import CUSTOM_REASONS
from tests.differential.outcome import Outcome
from tests.differential.signals import EXIT_TAGS

LEAST_MEDIAN_TRADES = 20
LEAST_SHARE = 0.01
# freqtrade's own exit reasons by the option whose cases must show them; what else is a reason is a tag.
REASONS = {
    "stop_loss": "any", "force_exit": "any", "exit_signal": "exit signals", "roi": "minimal_roi",
    "trailing_stop_loss": "trailing stop", "liquidation": "hook leverage", "custom_exit": "hook custom_exit",
    "partial_exit": "hook adjust_trade_position",
}  # fmt: skip
SWITCHES = (
    "exit_profit_only", "ignore_roi_if_entry_signal", "trailing_stop", "trailing_only_offset_is_reached",
    "amend_last_stake_amount", "available_capital", "amount_reserve_percent", "position_stacking",
    "enable_protections", "unfilledtimeout", "timeframe_detail", "startup_candle_count", "minimal_roi",
    "ignore_buying_expired_candle_after", "futures_funding_rate", "liquidation_buffer", "can_short",
    "trailing_stop_positive", "order_time_in_force", "fee", "timerange", "max_entry_position_adjustment",
)  # fmt: skip
FUTURES_ONLY = {
    "margin_mode isolated", "margin_mode cross", "can_short", "futures_funding_rate", "hook leverage",
    "trading_mode futures",
}  # fmt: skip
VALUES = ("exchange", "precision mode", "trading_mode", "margin_mode", "stake", "slots")
CHOICES = ("trading_mode", "margin_mode")


@dataclass
class Coverage:
    """What the cases of a run met."""

    trades: list[int] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    # Trades of the cases that had an option, by option: what shares of reasons are shares of.
    trades_with: Counter[str] = field(default_factory=Counter)
    reasons_with: Counter[str] = field(default_factory=Counter)
    options: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)

    def add(self, case: Case, expected: Outcome) -> None:
        """Count a case and what freqtrade made of it."""
        active = options_of(case)
        own = known_reasons(expected)
        self.trades.append(expected.trade_count)
        self.reasons.update(own)
        for name in active:
            self.trades_with[name] += expected.trade_count
        for reason, option in REASONS.items():
            if option in active:
                self.reasons_with[reason] += own[reason]
        self.options.update(active)
        self.pairs.update(" + ".join(both) for both in combinations(sorted(active - {"any"}), 2))

    def merge(self, other: Coverage) -> None:
        """Add what another run met."""
        self.trades += other.trades
        for name in ("reasons", "trades_with", "reasons_with", "options", "pairs"):
            getattr(self, name).update(getattr(other, name))

    def shares(self) -> dict[str, float]:
        """Return the share of each exit reason among the trades of the cases whose option was on."""
        return {
            reason: self.reasons_with[reason] / self.trades_with[option]
            for reason, option in REASONS.items()
            if self.trades_with[option]
        }

    def summary(self) -> dict[str, Any]:
        """Return the figures of the run: trades, shares, options and pairs of options."""
        seen = sorted(self.options.keys() - {"any"})
        possible = [" + ".join(both) for both in combinations(seen, 2) if can_meet(*both)]
        missing = [name for name in possible if name not in self.pairs]
        return {
            "trades": sum(self.trades),
            "median_trades_per_case": median(self.trades) if self.trades else 0,
            "shares": {reason: round(share, 4) for reason, share in self.shares().items()},
            "options": {name: self.options[name] for name in seen},
            "option_pairs_seen": len(possible) - len(missing),
            "option_pairs_possible": len(possible),
            "option_pairs_missing": missing,
        }

    def shortcomings(self) -> list[str]:
        """Return what a long run should have met and did not."""
        found = [
            f"{reason}: {share:.2%} of trades, expected {LEAST_SHARE:.0%}"
            for reason, share in self.shares().items()
            if share < LEAST_SHARE
        ]
        middle = median(self.trades) if self.trades else 0
        if middle < LEAST_MEDIAN_TRADES:
            found.append(f"median of {middle} trades per case, expected {LEAST_MEDIAN_TRADES}")
        return found


def options_of(case: Case) -> frozenset[str]:
    """Return the names of the options that `case` uses."""
    names = {name for name in SWITCHES if case.option(name) not in (None, False, 0, {}, -1)}
    names |= {f"{name} {case.config[name]}" for name in CHOICES if case.config[name]}
    names |= {f"hook {name}" for name in case.hooks}
    names |= {f"asks {name}" for name in case.attributes.get("asks", ()) if case.hooks}
    names |= {f"protection {given['method']}" for given in case.option("protections", [])}
    names |= {f"precision mode {case.precision_mode}", f"exchange {case.config['exchange']['name']}"}
    names.add("stake unlimited" if case.config["stake_amount"] == "unlimited" else "stake fixed")
    names.add("slots unlimited" if case.option("max_open_trades") == -1 else "slots limited")
    if case.option("use_exit_signal", True) and any("exit_long" in frame for frame in case.frames.values()):
        names.add("exit signals")
    # A custom stop moves like a trailing one, and freqtrade names it so.
    if case.option("trailing_stop") or "custom_stoploss" in case.hooks:
        names.add("trailing stop")
    return frozenset(names | {"any"})


def _family(reason: str) -> str:
    # A tag stands in place of the reason it belongs to.
    if reason in EXIT_TAGS:
        return "exit_signal"
    return "custom_exit" if reason.startswith(CUSTOM_REASONS) else reason


def can_meet(one: str, other: str) -> bool:
    """Whether freqtrade accepts both options in one configuration."""
    both = {one, other}
    # Values of one option: an exchange, a precision mode, a margin mode.
    if one.rpartition(" ")[0] == other.rpartition(" ")[0] in VALUES:
        return False
    if "exchange kraken" in both and both & FUTURES_ONLY:
        return False
    if "trading_mode spot" in both or "hook custom_sell" in both:
        return not both & FUTURES_ONLY
    if "margin_mode cross" in both:
        return not any(name.startswith("exchange ") and name != "exchange binance" for name in both)
    if "hook adjust_order_price" in both:
        return not both & {"hook adjust_entry_price", "hook adjust_exit_price"}
    return both != {"hook custom_exit", "hook custom_sell"}


def known_reasons(outcome: Outcome) -> Counter[str]:
    """Count freqtrade's own exit reasons of the trades; partial exits are orders of a trade."""
    counts: Counter[str] = Counter(map(_family, outcome.columns.get("exit_reason", ())))
    for orders in outcome.columns.get("orders", ()):
        exits = [order for order in orders if not order["ft_is_entry"]]
        counts["partial_exit"] += any(order["ft_order_tag"] in ("less", "partial_exit") for order in exits)
    return counts
