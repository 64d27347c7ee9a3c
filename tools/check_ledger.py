"""Compare what the exchange says happened with what Parley's journal says, to the last digit.

Problem: a platform that checks its own books with its own code confirms its own mistakes. This script reads
two files written by two programs, the exchange's truth log and the desk's journal, and imports nothing of
Parley: it knows the journal's tables and the positions of a few fields in the message arrays, listed below.

Not here: why something differs. Every difference is named; nothing is repaired, rounded or tolerated.

Invariant: `ledger_equals_exchange` is true only if every own trade, every order's intent and every balance
was compared and agreed, and none was left over on either side.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec

# ---- what is relied on: table records (seq, kind, round, body), groups (gid, t_commit), and these positions.
# `body` is a MessagePack array, the envelope; its field 13 is the message, again an array that begins with
# the kind. Decimals are text.
ENVELOPE_BODY = 13
STATE_VIEW, INTENT, ACK, ORDER_EVENT, FILL, BALANCE = 45, 53, 56, 60, 61, 63
STATE_CASH = 9  # of [asset, total, reserved]
INTENT_IID, INTENT_CID, INTENT_ACCOUNT, INTENT_SYMBOL, INTENT_SIDE, INTENT_QTY = 1, 2, 7, 9, 10, 11
FACT_IID = 1  # of Ack and OrderEvent
FILL_TRADE_ID, FILL_ACCOUNT, FILL_IID, FILL_SYMBOL, FILL_SIDE = 1, 3, 4, 6, 7
FILL_QTY, FILL_PX, FILL_FEE, FILL_FEE_ASSET = 8, 9, 10, 11
BALANCE_ACCOUNT, BALANCE_ASSETS = 1, 3  # assets: of [asset, total]

SHOWN = 50  # differences printed; the count is always complete
Amounts = dict[str, Decimal]


class Unreadable(Exception):
    """One of the two files is not what it should be, so nothing can be said."""


@dataclass(frozen=True)
class Trade:
    """One own execution, as either side has it."""

    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    client_order_id: str


@dataclass
class Truth:
    """What the exchange did for one account."""

    opening: Amounts = field(default_factory=dict)
    final: Amounts = field(default_factory=dict)
    trades: dict[str, Trade] = field(default_factory=dict)
    # client order id -> venue order id -> (first seen, wall ns; symbol; side; quantity)
    orders: dict[str, dict[str, tuple[int, str, str, Decimal]]] = field(default_factory=dict)
    complete: bool = False


@dataclass
class Belief:
    """What the journal says."""

    account: str = ""
    opening: Amounts = field(default_factory=dict)
    cash: Amounts = field(default_factory=dict)
    trades: dict[str, Trade] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    # client order id -> (seq, commit time in wall ns, iid, symbol, side, quantity)
    intents: dict[str, tuple[int, int, bytes, str, str, Decimal]] = field(default_factory=dict)
    first_fact: dict[bytes, int] = field(default_factory=dict)


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
                        belief.intents[str(message[INTENT_CID])] = (
                            seq, t_commit, bytes(message[INTENT_IID]), str(message[INTENT_SYMBOL]),
                            str(message[INTENT_SIDE]), Decimal(message[INTENT_QTY]),
                        )  # fmt: skip
                    case 56 | 60:
                        belief.first_fact.setdefault(bytes(message[FACT_IID]), seq)
                    case 61:
                        belief.first_fact.setdefault(bytes(message[FILL_IID]), seq)
                        fills.append(message)
                    case 45:
                        belief.cash = {each[0]: Decimal(each[1]) for each in message[STATE_CASH]}
    except (sqlite3.Error, msgspec.DecodeError, InvalidOperation, ValueError, TypeError, IndexError) as error:
        raise Unreadable(f"{str(path)!r} is no readable journal: {error!r}") from error
    if not belief.account:
        raise Unreadable(f"{str(path)!r} holds no opening balance")
    cids = {intent[2]: cid for cid, intent in belief.intents.items()}
    for fill in fills:
        key = str(fill[FILL_TRADE_ID])
        if key in belief.trades:
            belief.repeated.append(key)
        belief.trades[key] = Trade(
            str(fill[FILL_SYMBOL]), str(fill[FILL_SIDE]), Decimal(fill[FILL_QTY]), Decimal(fill[FILL_PX]),
            Decimal(fill[FILL_FEE]), str(fill[FILL_FEE_ASSET]), cids.get(bytes(fill[FILL_IID]), ""),
        )  # fmt: skip
    return belief


def _messages(connection: sqlite3.Connection) -> Iterator[tuple[int, int, list[Any]]]:
    """Yield (seq, commit time, message) of what matters; of the many states only the last."""
    last = f"SELECT max(seq) FROM records WHERE kind = {STATE_VIEW}"
    rows = connection.execute(
        "SELECT r.seq, g.t_commit, r.body FROM records r JOIN groups g ON g.gid = r.gid"
        f" WHERE r.kind IN ({INTENT}, {ACK}, {ORDER_EVENT}, {FILL}, {BALANCE}) OR r.seq = ({last})"
        " ORDER BY r.seq"
    )
    for seq, t_commit, body in rows:
        yield seq, t_commit, msgspec.msgpack.decode(msgspec.msgpack.decode(body)[ENVELOPE_BODY])


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
    return truth


def _take(truth: Truth, entry: dict[str, Any], account: str) -> None:
    match entry["event"]:
        case "start":
            truth.opening = truth.final = _totals(entry["accounts"].get(account, {}))
        case "end":
            truth.final = _totals(entry["accounts"].get(account, {}))
            truth.complete = True
        case "balances" if entry["account"] == account:
            truth.final = {**truth.final, **_totals(entry["balances"])}
        case "order" if entry["account"] == account:
            orders = truth.orders.setdefault(entry["client_order_id"], {})
            seen = (entry["wall_ns"], entry["symbol"], entry["side"].lower(), Decimal(entry["qty"]))
            if entry["order_id"] is not None:  # None: refused at the door, there is no order
                orders.setdefault(str(entry["order_id"]), seen)
        case "trade" if entry["account"] == account:
            truth.trades[str(entry["trade_id"])] = Trade(
                entry["symbol"], entry["side"].lower(), Decimal(entry["qty"]), Decimal(entry["price"]),
                Decimal(entry["fee"]), entry["fee_asset"], entry["client_order_id"],
            )  # fmt: skip


def _totals(balances: dict[str, Any]) -> Amounts:
    return {asset: Decimal(both["free"]) + Decimal(both["locked"]) for asset, both in balances.items()}


def compare(truth: Truth, belief: Belief) -> list[str]:
    """Name every difference between the exchange and the journal; an empty list when there is none."""
    found = [f"trade {key}: twice in the journal" for key in belief.repeated]
    found += _compare_trades(truth.trades, belief.trades)
    found += _compare_orders(truth, belief)
    moved = dict(belief.opening)
    for trade in belief.trades.values():
        base, _, quote = trade.symbol.partition("/")
        sign = 1 if trade.side == "buy" else -1
        for asset, change in (
            (base, sign * trade.qty),
            (quote, -sign * trade.qty * trade.price),
            (trade.fee_asset, -trade.fee),
        ):
            moved[asset] = moved.get(asset, Decimal(0)) + change
    found += _compare_amounts("opening balance", ("exchange", truth.opening), ("journal", belief.opening))
    found += _compare_amounts("final balance", ("exchange", truth.final), ("opening + fills", moved))
    found += _compare_amounts("final balance", ("exchange", truth.final), ("last state", belief.cash))
    return found


def _compare_trades(there: dict[str, Trade], here: dict[str, Trade]) -> Iterator[str]:
    for key in sorted(there.keys() - here.keys()):
        yield f"trade {key}: on the exchange, not in the journal: {there[key]}"
    for key in sorted(here.keys() - there.keys()):
        yield f"trade {key}: in the journal, not on the exchange: {here[key]}"
    for key in sorted(here.keys() & there.keys()):
        for name in Trade.__dataclass_fields__:
            theirs, ours = getattr(there[key], name), getattr(here[key], name)
            if theirs != ours:
                yield f"trade {key}: {name} is {theirs} on the exchange, {ours} in the journal"


def _compare_orders(truth: Truth, belief: Belief) -> Iterator[str]:
    for cid, orders in sorted(truth.orders.items()):
        if len(orders) > 1:
            yield f"order {cid}: one client order id, but on the exchange the orders {sorted(orders)}"
        intent = belief.intents.get(cid)
        if intent is None:
            yield f"order {cid}: on the exchange without an intent in the journal"
            continue
        seq, t_commit, iid, symbol, side, qty = intent
        for order_id, (wall_ns, *asked) in orders.items():
            if asked != [symbol, side, qty]:
                yield f"order {cid}: {order_id} is {asked} on the exchange, intent {[symbol, side, qty]}"
            if wall_ns < t_commit:
                early = t_commit - wall_ns
                yield f"order {cid}: {order_id} was on the exchange {early} ns before its intent's commit"
        fact = belief.first_fact.get(iid)
        if fact is not None and fact < seq:
            yield f"order {cid}: the journal has a fact about it at {fact}, before its intent at {seq}"


def _compare_amounts(what: str, left: tuple[str, Amounts], right: tuple[str, Amounts]) -> Iterator[str]:
    for asset in sorted(left[1].keys() | right[1].keys()):
        one, other = left[1].get(asset, Decimal(0)), right[1].get(asset, Decimal(0))
        if one != other:
            yield f"{what} of {asset}: {left[0]} {one:f}, {right[0]} {other:f}"


def report(truth_log: Path, journal: Path) -> dict[str, object]:
    """Compare the two files and describe the result."""
    belief = read_journal(journal)
    truth = read_truth(truth_log, belief.account)
    differences = compare(truth, belief)
    return {
        "ledger_equals_exchange": not differences,
        "account": belief.account,
        "trades": len(truth.trades),
        "orders": sum(len(orders) for orders in truth.orders.values()),
        "intents": len(belief.intents),
        "assets": len(truth.final),
        "truth_complete": truth.complete,
        "differences": len(differences),
        "first": differences[:SHOWN],
    }


def main(arguments: list[str] | None = None) -> int:
    """Compare and return the exit code: 0 equal, 1 different, 2 a file cannot be read."""
    parser = argparse.ArgumentParser(prog="check_ledger", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--truth", type=Path, required=True, help="the exchange's truth log, JSON lines")
    parser.add_argument("--journal", type=Path, required=True, help="the desk's journal")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    options = parser.parse_args(arguments)
    try:
        result = report(options.truth, options.journal)
    except Unreadable as error:
        print(f"check_ledger: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(result))
    else:
        for line in differences_of(result):
            print(line)
        verdict = "equal" if result["ledger_equals_exchange"] else "DIFFERENT"
        print(f"{verdict}: {result['trades']} trades, {result['orders']} orders, {result['assets']} assets")
    return 0 if result["ledger_equals_exchange"] else 1


def differences_of(result: dict[str, object]) -> list[str]:
    """The differences shown in a report."""
    shown = result["first"]
    return [str(line) for line in shown] if isinstance(shown, list) else []


if __name__ == "__main__":
    raise SystemExit(main())
