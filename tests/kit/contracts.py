"""Contracts, orders and fills for tests of what a gateway lets out, and the look itself.

What an order names no price for it names the one that it is judged by, and the venue's mark is that one too,
unless a test says otherwise. Not here: a venue. Invariant: prices and quantities are on the grid of every
contract.
"""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

from parley.instruments import Instrument, Tier, assets_of
from parley.messages import Fill, FundingPaid, Intent, OrderEvent
from runtime.lastlook import Counters, Limits, refusal
from venues.capabilities import CAPABILITIES

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
PX = {BTC: D(100), ETH: D(10)}
TIERS = (
    Tier(D(1_000), D("0.01"), D(0), D("0.05")), Tier(D(10_000), D("0.02"), D(10), D("0.1")),
    Tier(D(50_000), D("0.1"), D(810), D("0.5")),
)  # fmt: skip
FEE = D("0.0005")


def contract(symbol: str, leverage: int = 5, **over: Any) -> Instrument:
    base, quote = assets_of(symbol)
    fields: dict[str, Any] = {
        "symbol": symbol, "venue": "x", "base": base, "quote": quote, "tick": D("0.01"), "lot": D("0.001"),
        "min_qty": D(0), "max_qty": D(10**6), "min_notional": D(0), "maker_fee": D(0), "taker_fee": FEE,
        "margin": D(1) / leverage, "tiers": TIERS,
    }  # fmt: skip
    return Instrument(**fields | over)


def limits(capital: int = 1000, **over: Any) -> Limits:
    fields: dict[str, Any] = {
        "max_notional": {"USDT": D(10**6)}, "max_position": {"USDT": D(10**6)}, "cash": ("USDT",),
        "capital": {"USDT": D(capital)}, "max_orders_per_s": 10**6, "collar_bps": 10**6,
    }  # fmt: skip
    return Limits(**fields | over)


def order(
    n: int, side: str, qty: Any, symbol: str = BTC, px: Any = None, ref: Any = None, *,
    priced: bool = True, **over: Any,
) -> Intent:  # fmt: skip
    ref_px = PX[symbol] if ref is None else D(ref)
    fields: dict[str, Any] = {
        "iid": b"iid%d" % n, "cid": f"cid{n}", "round": b"", "pid": b"", "leg": 0, "child": 0, "account": "a",
        "venue": "x", "symbol": symbol, "side": side, "qty": D(qty),
        "px": (ref_px if px is None else D(px)) if priced else None,
        "style": "limit" if priced else "market", "tif": "GTC", "reduce_only": False, "send_by": 10,
        "epoch": 1, "reservation_id": b"", "risk_hash": b"", "ref_px": ref_px,
    }  # fmt: skip
    return Intent(**fields | over)


def fill(intent: Intent, qty: Any = None, px: Any = None, n: int = 0, fee: D | None = None) -> Fill:
    amount = intent.qty if qty is None else D(qty)
    price = D(px) if px is not None else intent.px or intent.ref_px or D(1)
    return Fill(
        trade_id=f"{intent.cid}-{n}", venue="x", account="a", iid=intent.iid, venue_id="1",
        symbol=intent.symbol, side=intent.side, qty=amount, px=price,
        fee=amount * price * FEE if fee is None else fee, fee_asset="USDT", liquidity="taker", t=0,
    )  # fmt: skip


def end(intent: Intent, cum_qty: D) -> OrderEvent:
    return OrderEvent(
        iid=intent.iid, venue_id="1", symbol=intent.symbol, status="canceled", cum_qty=cum_qty,
        avg_px=D(1), t=0,
    )  # fmt: skip


def paid(ref: str, amount: Any, *, prior: bool = False) -> FundingPaid:
    return FundingPaid(account="a", symbol=BTC, amount=D(amount), asset="USDT", t=0, ref=ref, prior=prior)


def mark(counters: Counters, symbol: str, px: Any, t: int = 0) -> None:
    """Have the venue say what a contract is worth."""
    counters.contracts.marks.say(assets_of(symbol)[0], D(px), t)


def done(counters: Counters, intent: Intent, **over: Any) -> None:
    """Send an order and let all of it trade."""
    if intent.ref_px is not None:
        mark(counters, intent.symbol, intent.ref_px)
    counters.sent(intent, 0)
    counters.filled(fill(intent, **over))
    counters.moved(end(intent, intent.qty))


def look(
    intent: Intent, counters: Counters, caps: Limits, instruments: dict[str, Instrument] | None = None, *,
    at: Any = None, now: int = 0,
) -> tuple[str, str]:  # fmt: skip
    """Return code and detail of a refusal, both empty when the order may leave; ``at`` is the venue's mark.

    ``at`` zero: it said none since.
    """
    listed = instruments or {symbol: contract(symbol) for symbol in PX}
    row = CAPABILITIES["binanceusdm"]
    said = intent.ref_px if at is None else at
    if said:
        mark(counters, intent.symbol, said, now)
    return refusal(intent, counters, caps, listed, row=row, now_mono=now) or ("", "")
