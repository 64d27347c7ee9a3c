"""What an account of contracts owns, worked out apart from the exchange, in decimals.

Written from Binance's description of its contracts, with nothing of the sandbox in it. Not here: which trades
there were. Invariant: whatever is booked is cut to eight decimals, as the exchange does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Any

_CENT = Decimal("0.00000001")
# Notional up to, maintenance rate: the first brackets of BTC and ETH.
RATES = ((50_000, "0.004"), (600_000, "0.005"), (3_000_000, "0.0065"), (12_000_000, "0.01"))


def cut(amount: Decimal) -> Decimal:
    """Eight decimals, towards zero."""
    return amount.quantize(_CENT, ROUND_DOWN)


def maintenance(notional: Decimal) -> Decimal:
    """Each bracket's rate on the part of the notional that lies in it: what the venue's table comes to."""
    total = floor = Decimal(0)
    for cap, rate in RATES:
        part = min(notional, Decimal(cap)) - floor
        if part <= 0:
            break
        total += part * Decimal(rate)
        floor = Decimal(cap)
    return total


@dataclass
class Books:
    """One account with one position."""

    wallet: Decimal
    fee_rate: Decimal
    qty: Decimal = Decimal(0)
    entry: Decimal = Decimal(0)
    realised: list[Decimal] = field(default_factory=list)

    def trade(self, told: dict[str, Any], is_charged: bool = True) -> None:
        """Book a row of userTrades, of which only side, price and quantity are believed."""
        qty, price = Decimal(told["qty"]), Decimal(told["price"])
        change = qty if told["side"] == "BUY" else -qty
        earned = Decimal(0)
        if self.qty * change < 0:
            closed = min(abs(change), abs(self.qty))
            earned = (price - self.entry) * closed * (1 if self.qty > 0 else -1)
            left = self.qty + change
            if left * self.qty < 0:
                self.entry = price
            self.qty = left
        else:
            self.entry = (self.entry * self.qty + price * change) / (self.qty + change)
            self.qty += change
        self.realised.append(earned)
        self.wallet += earned - (cut(qty * price * self.fee_rate) if is_charged else 0)

    def fund(self, rate: str, mark: str) -> Decimal:
        """Pay or get funding."""
        value = self.qty * Decimal(mark)
        paid = cut(abs(value) * abs(Decimal(rate))).copy_sign(value * Decimal(rate))
        self.wallet -= paid
        return -paid

    def unrealised(self, mark: str | Decimal) -> Decimal:
        """What closing at the mark would earn."""
        return self.qty * (Decimal(mark) - self.entry)
