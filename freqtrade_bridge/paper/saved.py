"""Trades, locks and notes as plain JSON values and back.

Problem: freqtrade keeps these in a database, whose columns say what belongs to them. A strategy that is
started again has to find them as they were, to the last bit of a stop.

Closed trades become more and more. Those that nobody changes any more are packed, by `PACK`, and only once.

Not here: where they live while it runs (`register`). Invariant: what was made of a register and read again
is equal in every column, custom data included.
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from freqtrade.enums import TradingMode
from freqtrade.persistence import LocalTrade, Order
from freqtrade.persistence.custom_data import _CustomData
from freqtrade.persistence.models import PairLock

from freqtrade_bridge.paper.register import CHANGING, PaperTrade, Register

Saved = dict[str, Any]
PACK: Final = 64
_TIME: Final = "utc"
_MODE: Final = "trading_mode"
_ORDER: Final = tuple(Order.__table__.columns.keys())
_LOCK: Final = ("pair", "side", "reason", "lock_time", "lock_end_time", "active")
_NOTE: Final = ("ft_trade_id", "cd_key", "cd_type", "cd_value", "created_at", "updated_at")


def save_register(register: Register, now: datetime) -> Saved:
    """Return everything a register holds; locks that are over are left out."""
    register.locks = [lock for lock in register.locks if lock.lock_end_time > now]
    packed = max(0, len(register.closed) - CHANGING) // PACK
    for first in range(len(register.packs) * PACK, packed * PACK, PACK):
        register.packs.append(_pack(register.closed[first : first + PACK]))
    return {
        "open": [save_trade(trade) for trade in register.open],
        "packed": list(register.packs),
        "closed": [save_trade(trade) for trade in register.closed[packed * PACK :]],
        "locks": [_columns(lock, _LOCK) for lock in register.locks],
        "notes": [_columns(note, _NOTE) for note in register.notes],
        "last_id": register.last_id,
    }


def load_register(register: Register, saved: Mapping[str, Any]) -> None:
    """Fill an empty register with what `save_register` returned."""
    register.open = [load_trade(each) for each in saved["open"]]
    register.packs = list(saved["packed"])
    closed = [*(each for pack in register.packs for each in _unpack(pack)), *saved["closed"]]
    register.closed = [load_trade(each) for each in closed]
    register.locks = [PairLock(**_read(each)) for each in saved["locks"]]
    register.notes = [_CustomData(**_read(each)) for each in saved["notes"]]
    register.last_id = saved["last_id"]


def save_trade(trade: LocalTrade) -> Saved:
    """Return one trade with its orders."""
    values = {name: _plain(value) for name, value in vars(trade).items() if name != "orders"}
    return values | {"orders": [_columns(order, _ORDER) for order in trade.orders]}


def _pack(trades: Sequence[LocalTrade]) -> str:
    text = json.dumps([save_trade(trade) for trade in trades])
    return base64.b85encode(zlib.compress(text.encode())).decode()


def _unpack(pack: str) -> list[Saved]:
    found: list[Saved] = json.loads(zlib.decompress(base64.b85decode(pack)))
    return found


def _columns(row: Any, names: Sequence[str]) -> Saved:
    return {name: _plain(getattr(row, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return {_TIME: value.astimezone(UTC).isoformat()}
    if isinstance(value, TradingMode):
        return {_MODE: value.value}
    if isinstance(value, np.generic):  # callbacks return what numpy gave them
        return value.item()
    return value


def _read(saved: Mapping[str, Any]) -> Saved:
    found: Saved = {}
    for name, value in saved.items():
        if isinstance(value, dict) and _TIME in value:
            found[name] = datetime.fromisoformat(value[_TIME])
        elif isinstance(value, dict) and _MODE in value:
            found[name] = TradingMode(value[_MODE])
        else:
            found[name] = value
    return found


def load_trade(saved: Mapping[str, Any]) -> LocalTrade:
    """Make a trade of what `save_trade` returned."""
    values = _read({name: value for name, value in saved.items() if name != "orders"})
    trade = PaperTrade(**values)
    # Its constructor works some of these out anew.
    trade.__dict__.update(values)
    for each in saved["orders"]:
        order = Order(**_read(each))
        order._trade_bt = trade
        trade.orders.append(order)
    return trade
