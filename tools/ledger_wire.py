"""What an exchange wrote down of orders that are called and shaped otherwise there, in the journal's words.

Hyperliquid and Kraken take 128 bits of hex as a client order id: there the hash within our id names an order.
Hyperliquid has no market orders either: one is a limit that ends at once, at most 5 % off the price it was
decided at. Both are worked out here from the journal alone.

Not here: comparing. Invariant: what is not exactly such an order stays as the exchange wrote it, and differs.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from decimal import Decimal

from tools.ledger_evidence import ZERO, Belief, Intended, Order, Truth

_BEFORE_HEX = {"hyperliquid": "0x", "kraken": ""}
_HASH = slice(5, 31)  # behind the tenant's five characters
_BOUND = Decimal("0.05")
_ROUNDING = Decimal("0.0001")  # of a price of five digits


def in_own_words(truth: Truth, belief: Belief) -> None:
    """Rename and reshape the orders of a truth log whose protocol needs it."""
    before = _BEFORE_HEX.get(truth.protocol)
    if before is None:
        return
    cids = {_hex_of(cid, before): cid for cid in belief.intents}
    truth.orders = {cids.get(name, name): orders for name, orders in truth.orders.items()}
    truth.refused = [(cids.get(name, name), form) for name, form in truth.refused]
    for key, trade in truth.trades.items():
        name = trade.client_order_id
        truth.trades[key] = replace(trade, client_order_id=cids.get(name, name))
    if truth.protocol == "hyperliquid":
        _reshape(truth, belief)


def _reshape(truth: Truth, belief: Belief) -> None:
    for cid, orders in truth.orders.items():
        for placed in orders.values():
            placed.forms = [_shaped(form, belief.intents.get(cid)) for form in placed.forms]
    truth.refused = [(cid, _shaped(form, belief.intents.get(cid))) for cid, form in truth.refused]


def _hex_of(cid: str, before: str) -> str:
    try:
        return before + base64.b32decode(cid[_HASH].upper() + "======").hex()
    except binascii.Error:
        return cid


def _shaped(form: Order, intent: Intended | None) -> Order:
    if intent is None or intent.order.type != "MARKET" or not intent.ref_px:
        return form
    off = form.price / intent.ref_px - 1
    beyond = off if form.side == "buy" else -off
    if (form.type, form.time_in_force) != ("LIMIT", "IOC") or abs(beyond - _BOUND) > _ROUNDING:
        return form
    return replace(form, type="MARKET", time_in_force=intent.order.time_in_force, price=ZERO)
