"""The orders of closed trades as Python's lists and dictionaries, made by compiled code.

Problem: freqtrade's frame has a list of dictionaries per trade. Written in Python they took a quarter of the
whole loop; here, at half that, a dictionary is the copy of a complete one in which what differs is set.

Not here: trades that are more than one entry and one exit (`trade_frame`).

Invariant: what comes out are plain lists and dictionaries of plain values, as Python would have made them.
"""

import numpy as np

from backtest.python_objects import copy_dict, fill_place, new_float, new_int, new_list, release, set_value
from parley.kernels.ports import load_float, load_int
from parley.kernels.records import BLOCK, FILED, TRADE

KEYS = (
    "amount", "safe_price", "ft_order_side", "order_filled_timestamp", "ft_is_entry", "ft_order_tag", "cost",
)  # fmt: skip
"""The keys of an order, in freqtrade's order."""
SET = ("amount", "safe_price", "order_filled_timestamp", "ft_order_tag", "cost")
"""Those whose values differ."""
_AMOUNT, _PRICE, _TIME, _TAG, _COST = range(5)
_PATTERNS = len(SET)
"""Where the four patterns follow: entry and exit of a long trade, of a short one."""
_FIELDS = (TRADE.names or ())[:FILED]
_PLAIN = BLOCK * _FIELDS.index("plain")
_SHORT = BLOCK * _FIELDS.index("is_short")
_ENTRY = BLOCK * _FIELDS.index("entry_amount")
_EXIT = BLOCK * _FIELDS.index("exit_amount")


def list_orders(desk: np.void) -> int:
    """Put the list of each plain trade's two orders into its place; not 0 if memory ran out."""
    parts = desk["order_parts"]
    for k in range(desk["closed_count"]):
        trade = desk["closed"] + 8 * (k // BLOCK * BLOCK * FILED + k % BLOCK)
        if load_int(trade, _PLAIN) == 0:
            continue
        tag = load_int(desk["tag_words"], load_int(desk["tag_places"], k))
        reason = load_int(desk["reason_words"], load_int(desk["reason_places"], k))
        pattern = _PATTERNS + 2 * load_int(trade, _SHORT)
        entry = _order(parts, load_int(parts, pattern), trade, _ENTRY, tag)
        leaving = _order(parts, load_int(parts, pattern + 1), trade, _EXIT, reason)
        both = new_list(2)
        if entry == 0 or leaving == 0 or both == 0:
            return 1
        if fill_place(both, 0, entry) or fill_place(both, 1, leaving):
            return 1
        if fill_place(desk["order_lists"], k, both):
            return 1
    return 0


def _order(parts: int, pattern: int, trade: int, first: int, tag: int) -> int:
    """An order's dictionary, 0 if memory ran out; ``first`` is the first of its four columns."""
    order = copy_dict(pattern)
    if order == 0:
        return 0
    failed = _set(order, load_int(parts, _AMOUNT), new_float(load_float(trade, first)))
    failed |= _set(order, load_int(parts, _PRICE), new_float(load_float(trade, first + BLOCK)))
    failed |= _set(order, load_int(parts, _TIME), new_int(load_int(trade, first + 2 * BLOCK)))
    failed |= set_value(order, load_int(parts, _TAG), tag)
    failed |= _set(order, load_int(parts, _COST), new_float(load_float(trade, first + 3 * BLOCK)))
    return 0 if failed else order


def _set(order: int, key: int, value: int) -> int:
    """Set what was made for this; not 0 if that failed."""
    if value == 0:
        return 1
    failed = set_value(order, key, value)
    release(value)
    return failed
