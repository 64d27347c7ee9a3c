"""What an exchange's truth log and a desk's journal say about one account, in the same words.

Problem: the two files name the same order differently, the one as Binance does, the other as Parley does.
A venue of contracts has a wallet and positions with what they cost; the journal has the contract as an asset,
and what it cost is missing from the cash (docs/adr/0038). Both are told as the journal tells it.

Here both become `Order` and `Trade`, so that `check_ledger` only has to compare them. Nothing of Parley is
imported: of the journal are known its tables and the positions of a few fields in the message arrays, below.

Not here: whether the two agree.

Invariant: a file that cannot be read whole is `Unreadable`; nothing is skipped, rounded or guessed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec

# ---- what is relied on: table records (seq, kind, round, body), groups (gid, t_commit), and these positions.
# `body` is a MessagePack array, the envelope; its field 13 is the message, again an array that begins with
# the kind. Decimals are text.
ENVELOPE_BODY = 13
STATE_VIEW, INTENT, ACK, ORDER_EVENT, FILL, BALANCE, SHUTDOWN = 45, 53, 56, 60, 61, 63, 78
FUNDING = 83
STATE_QUOTE, STATE_EQUITY, STATE_CASH, STATE_POSITIONS = 4, 5, 9, 10  # cash: of [asset, total, reserved]
POSITION_SYMBOL, POSITION_QTY, POSITION_MARK = 0, 1, 5
INTENT_IID, INTENT_CID, INTENT_ACCOUNT, INTENT_SYMBOL, INTENT_SIDE, INTENT_QTY = 1, 2, 7, 9, 10, 11
INTENT_PX, INTENT_STYLE, INTENT_TIF, INTENT_REF_PX, INTENT_TRIGGER = 12, 13, 14, 22, 24
FACT_IID = 1  # of Ack and OrderEvent
FILL_TRADE_ID, FILL_ACCOUNT, FILL_IID, FILL_SYMBOL, FILL_SIDE = 1, 3, 4, 6, 7
FILL_QTY, FILL_PX, FILL_FEE, FILL_FEE_ASSET, FILL_LIQUIDITY = 8, 9, 10, 11, 12
BALANCE_ACCOUNT, BALANCE_ASSETS = 1, 3  # assets: of [asset, total]
PAID_SYMBOL, PAID_AMOUNT, PAID_ASSET, PAID_T, PAID_PRIOR = 2, 3, 4, 5, 7

# A style in the exchange's words. An order without a time in force of its own is shown by Binance as GTC.
_TYPES = {"market": "MARKET", "limit": "LIMIT", "post_only": "LIMIT_MAKER", "stop_limit": "STOP_LOSS_LIMIT"}
_UNTIMED = "GTC"

Amounts = dict[str, Decimal]
ZERO = Decimal(0)


class Unreadable(Exception):
    """One of the two files is not what it should be, so nothing can be said."""


@dataclass(frozen=True)
class Trade:
    """One own execution, as either side has it; ``liquidity`` maker or taker."""

    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    liquidity: str
    client_order_id: str


@dataclass(frozen=True, order=True)
class Payment:
    """Funding that was paid (negative) or received at a market time, ms; also the fee of a liquidation."""

    t_ms: int
    symbol: str
    amount: Decimal


@dataclass(frozen=True)
class Order:
    """What was asked, in the exchange's words; ``price`` 0: none. Parley never asks for the last two."""

    symbol: str
    side: str
    type: str
    time_in_force: str
    price: Decimal
    qty: Decimal
    stop_price: Decimal = ZERO
    quote_qty: Decimal = ZERO


@dataclass
class Placed:
    """An order of the exchange: when it was first seen, wall ns, and every different form it ever had."""

    wall_ns: int
    forms: list[Order] = field(default_factory=list)


@dataclass
class Truth:
    """What the exchange did for one account.

    ``held`` are (quantity, cost) of contracts; ``purse`` is what all entries of its money sum to, None: the
    exchange has no entries; ``shown`` the sum of its balances. ``forced`` are its own orders in the account,
    by which it liquidated: nobody intended them, and they are in no other field.
    """

    opening: Amounts = field(default_factory=dict)
    final: Amounts = field(default_factory=dict)
    trades: dict[str, Trade] = field(default_factory=dict)
    orders: dict[str, dict[str, Placed]] = field(default_factory=dict)  # by client order id, then venue's id
    refused: list[tuple[str, Order]] = field(default_factory=list)  # at the door: there is no order
    complete: bool = False
    payments: list[Payment] = field(default_factory=list)
    held: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    purse: Decimal | None = None
    shown: Decimal = ZERO
    forced: set[str] = field(default_factory=set)
    protocol: str = ""


@dataclass(frozen=True)
class Intended:
    """An order the journal holds, ``committed`` at this wall time, ns."""

    seq: int
    committed: int
    iid: bytes
    order: Order
    ref_px: Decimal | None = None


@dataclass
class Belief:
    """What the journal says; ``ended``: the desk closed it in order."""

    account: str = ""
    opening: Amounts = field(default_factory=dict)
    cash: Amounts | None = None  # None: the desk never told its state
    trades: dict[str, Trade] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    intents: dict[str, Intended] = field(default_factory=dict)  # by client order id
    first_fact: dict[bytes, int] = field(default_factory=dict)
    ended: bool = False
    payments: list[Payment] = field(default_factory=list)


def read_journal(path: Path) -> Belief:
    """Read what a journal says about orders and money; `Unreadable` when it is none."""
    if not path.is_file():
        raise Unreadable(f"no journal {str(path)!r}")
    belief = Belief()
    fills: list[list[Any]] = []
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            for seq, t_commit, message in _messages(connection):
                match message[0]:
                    case 63 if not belief.account:
                        belief.account = str(message[BALANCE_ACCOUNT])
                        belief.opening = {asset: Decimal(total) for asset, total in message[BALANCE_ASSETS]}
                    case 53:
                        iid, cid = bytes(message[INTENT_IID]), str(message[INTENT_CID])
                        belief.intents[cid] = Intended(
                            seq, t_commit, iid, _intended(message), _ref_px(message)
                        )
                    case 56 | 60:
                        belief.first_fact.setdefault(bytes(message[FACT_IID]), seq)
                    case 61:
                        belief.first_fact.setdefault(bytes(message[FILL_IID]), seq)
                        fills.append(message)
                    case 45:
                        belief.cash = _cash(message)
                    case 83 if not message[PAID_PRIOR]:
                        t_ms, amount = message[PAID_T] // 1_000_000, Decimal(message[PAID_AMOUNT])
                        belief.payments.append(Payment(t_ms, str(message[PAID_SYMBOL]), amount))
                    case 78:
                        belief.ended = True
    except (
        sqlite3.Error, msgspec.DecodeError, InvalidOperation, ValueError, TypeError, IndexError, KeyError
    ) as error:  # fmt: skip
        raise Unreadable(f"{str(path)!r} is no readable journal: {error!r}") from error
    if not belief.account:
        raise Unreadable(f"{str(path)!r} holds no opening balance")
    cids = {intent.iid: cid for cid, intent in belief.intents.items()}
    for fill in fills:
        # exchanges count for themselves
        key = str(fill[FILL_TRADE_ID]) + "".join(str(fill[FILL_SYMBOL]).partition("@")[1:])
        if key in belief.trades:
            belief.repeated.append(key)
        belief.trades[key] = Trade(
            str(fill[FILL_SYMBOL]), str(fill[FILL_SIDE]), Decimal(fill[FILL_QTY]), Decimal(fill[FILL_PX]),
            Decimal(fill[FILL_FEE]), str(fill[FILL_FEE_ASSET]), str(fill[FILL_LIQUIDITY]),
            cids.get(bytes(fill[FILL_IID]), ""),
        )  # fmt: skip
    return belief


def parts_of(belief: Belief, exchanges: Iterable[str]) -> tuple[dict[str, Belief], list[str]]:
    """Divide what a journal says among exchanges, each in its own names; and name what is of none of them.

    The first exchange, whose names are plain, is called ``""``. The desk's last state is not divided.
    """
    parts = {name: Belief(account=belief.account, ended=belief.ended) for name in exchanges}
    unknown: list[str] = []

    def part(name: str, what: str) -> Belief:
        if name not in parts:
            unknown.append(what)
        return parts.get(name) or Belief()

    for asset, total in belief.opening.items():
        plain, _, name = asset.partition("@")
        part(name, f"balance of {asset}").opening[plain] = total
    for key, trade in belief.trades.items():
        symbol, _, name = trade.symbol.partition("@")
        charged, _, where = trade.fee_asset.partition("@")
        fee_asset = charged if where == name else trade.fee_asset or "@"  # out of another's purse
        its = part(name, f"trade {key}")
        its.trades[key.partition("@")[0]] = replace(trade, symbol=symbol, fee_asset=fee_asset)
    for key in belief.repeated:
        part(key.partition("@")[2], f"trade {key}").repeated.append(key.partition("@")[0])
    for cid, intent in belief.intents.items():
        symbol, _, name = intent.order.symbol.partition("@")
        its = part(name, f"order {cid}")
        its.intents[cid] = replace(intent, order=replace(intent.order, symbol=symbol))
        if intent.iid in belief.first_fact:
            its.first_fact[intent.iid] = belief.first_fact[intent.iid]
    for paid in belief.payments:
        symbol, _, name = paid.symbol.partition("@")
        part(name, f"funding {paid}").payments.append(replace(paid, symbol=symbol))
    return parts, unknown


def pooled(accounts: Iterable[Amounts]) -> Amounts:
    """Sum balances over exchanges, under plain names."""
    found: Amounts = {}
    for amounts in accounts:
        for asset, amount in amounts.items():
            plain = asset.partition("@")[0]
            found[plain] = found.get(plain, ZERO) + amount
    return found


def _messages(connection: sqlite3.Connection) -> Iterator[tuple[int, int, list[Any]]]:
    """Yield (seq, commit time, message) of what matters; of the many states only the last."""
    last = f"SELECT max(seq) FROM records WHERE kind = {STATE_VIEW}"
    rows = connection.execute(
        "SELECT r.seq, g.t_commit, r.body FROM records r JOIN groups g ON g.gid = r.gid"
        f" WHERE r.kind IN ({INTENT}, {ACK}, {ORDER_EVENT}, {FILL}, {BALANCE}, {SHUTDOWN}, {FUNDING})"
        f" OR r.seq = ({last}) ORDER BY r.seq"
    )
    for seq, t_commit, body in rows:
        yield seq, t_commit, msgspec.msgpack.decode(msgspec.msgpack.decode(body)[ENVELOPE_BODY])


def _cash(message: list[Any]) -> Amounts:
    cash = {each[0]: Decimal(each[1]) for each in message[STATE_CASH]}
    # with contracts the state tells what may be spent; what is booked is equity less what they are worth
    held = [each for each in message[STATE_POSITIONS] if ":" in each[POSITION_SYMBOL]]
    if held:
        worth = (Decimal(each[POSITION_QTY]) * Decimal(each[POSITION_MARK]) for each in held)
        cash[message[STATE_QUOTE]] = Decimal(message[STATE_EQUITY]) - sum(worth, ZERO)
    return cash


def _intended(message: list[Any]) -> Order:
    style, px = str(message[INTENT_STYLE]), message[INTENT_PX]
    trigger = message[INTENT_TRIGGER] if len(message) > INTENT_TRIGGER else None
    return Order(
        symbol=str(message[INTENT_SYMBOL]), side=str(message[INTENT_SIDE]), type=_TYPES[style],
        time_in_force=str(message[INTENT_TIF]) if style in ("limit", "stop_limit") else _UNTIMED,
        price=ZERO if px is None else Decimal(px), qty=Decimal(message[INTENT_QTY]),
        stop_price=ZERO if trigger is None else Decimal(trigger),
    )  # fmt: skip


def _ref_px(message: list[Any]) -> Decimal | None:
    ref_px = message[INTENT_REF_PX] if len(message) > INTENT_REF_PX else None
    return None if ref_px is None else Decimal(ref_px)


def read_truth(path: Path, account: str) -> Truth:
    """Read the account's trades, orders and balances from a truth log; `Unreadable` when it is none."""
    truth = Truth()
    try:
        lines = path.read_bytes().splitlines()
        for number, line in enumerate(lines):
            entry = json.loads(line)
            if entry["n"] != number:
                raise Unreadable(
                    f"{str(path)!r} line {number + 1}: expected entry {number}, was {entry['n']!r}"
                )
            _take(truth, entry, account)
    except OSError as error:
        raise Unreadable(f"no truth log {str(path)!r}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise Unreadable(f"{str(path)!r} is no readable truth log: {error!r}") from error
    if not truth.opening and not truth.final:
        raise Unreadable(f"{str(path)!r} knows no account {account!r}")
    _set_apart(truth)
    truth.shown = sum(truth.final.values(), ZERO)  # with contracts the wallet is all there is
    truth.final = dict(truth.final)
    for symbol, (qty, cost) in truth.held.items():
        asset, quote = assets_of(symbol)
        truth.final[asset] = qty
        truth.final[quote] = truth.final.get(quote, ZERO) - cost
    return truth


def _set_apart(truth: Truth) -> None:
    """Take the exchange's own orders from those that somebody has to have intended."""
    own = {cid for cid, orders in truth.orders.items() if orders.keys() & truth.forced}
    for cid in own:
        for order_id in truth.orders[cid].keys() & truth.forced:
            del truth.orders[cid][order_id]
        if not truth.orders[cid]:
            del truth.orders[cid]
    for key, trade in truth.trades.items():
        if trade.client_order_id in own:
            truth.trades[key] = replace(trade, client_order_id="")


def assets_of(symbol: str) -> tuple[str, str]:
    """Base and quote of a pair; the base of a contract carries what it settles in, as in the journal."""
    base, _, quote = symbol.partition("/")
    quote, colon, settled = quote.partition(":")
    return f"{base}{colon}{settled}", quote


def _take(truth: Truth, entry: dict[str, Any], account: str) -> None:
    match entry["event"]:
        case "start":
            truth.opening = truth.final = _totals(entry["accounts"].get(account, {}))
            truth.protocol = str(entry.get("config", {}).get("protocol", ""))
        case "end":
            truth.final = _totals(entry["accounts"].get(account, {}))
            truth.complete = True
        case "balances" if entry["account"] == account:
            truth.final = {**truth.final, **_totals(entry["balances"])}
        case "position" if entry["account"] == account:
            truth.held[entry["symbol"]] = Decimal(entry["qty"]), Decimal(entry["cost"])
        case "funding" if entry["account"] == account:
            if amount := Decimal(entry["amount"]):
                truth.payments.append(Payment(entry["t"], entry["symbol"], amount))
        case "liquidation" if entry["account"] == account:
            truth.forced.add(str(entry["order_id"]))
            if fee := Decimal(entry["fee"]):
                truth.payments.append(Payment(entry["t"], entry["symbol"], -fee))
        case "entry":
            for purse, sign in ((entry["from"], -1), (entry["to"], 1)):
                if purse.split(":")[1:2] == [account]:
                    truth.purse = (truth.purse or ZERO) + sign * Decimal(entry["amount"])
        case "order" if entry["account"] == account:
            order = Order(
                entry["symbol"], entry["side"].lower(), entry["type"], entry["time_in_force"],
                *(Decimal(entry[name]) for name in ("price", "qty", "stop_price", "quote_qty")),
            )  # fmt: skip
            if entry["order_id"] is None:
                truth.refused.append((entry["client_order_id"], order))
                return
            placed = truth.orders.setdefault(entry["client_order_id"], {}).setdefault(
                str(entry["order_id"]), Placed(entry["wall_ns"])
            )
            if order not in placed.forms:
                placed.forms.append(order)
        case "trade" if entry["account"] == account:
            truth.trades[str(entry["trade_id"])] = Trade(
                entry["symbol"], entry["side"].lower(), Decimal(entry["qty"]), Decimal(entry["price"]),
                Decimal(entry["fee"]), entry["fee_asset"], entry["liquidity"], entry["client_order_id"],
            )  # fmt: skip


def _totals(balances: dict[str, Any]) -> Amounts:
    return {asset: Decimal(both["free"]) + Decimal(both["locked"]) for asset, both in balances.items()}
