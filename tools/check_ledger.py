"""Compare what the exchange says happened with what Parley's journal says, to the last digit.

Problem: a platform that checks its own books with its own code confirms its own mistakes. This script reads
two files written by two programs, the exchange's truth log and the desk's journal, and imports nothing of
Parley but its neighbours `ledger_evidence` and `ledger_wire`, which do not either.

Not here: why something differs. Every difference is named; nothing is repaired, rounded or tolerated.

Invariant: `ledger_equals_exchange` is true only if every own trade, every field of every order and every
balance was compared and agreed, and none was left over on either side.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

if not __package__:  # run as a file by an isolated Python, which does not look beside it
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.ledger_evidence import (
    Amounts,
    Belief,
    Order,
    Payment,
    Trade,
    Truth,
    Unreadable,
    assets_of,
    parts_of,
    pooled,
    read_journal,
    read_truth,
)
from tools.ledger_wire import in_own_words

SHOWN = 50  # differences printed; the count is always complete


def compare(truth: Truth, belief: Belief) -> list[str]:
    """Name every difference between the exchange and the journal; an empty list when there is none."""
    # a run too short for a single state is as it was opened
    last = belief.opening if belief.cash is None else belief.cash
    found = compare_account(truth, belief)
    found += _compare_amounts("final balance", ("exchange", truth.final), ("last state", last))
    return found


def compare_all(truths: Mapping[str, Truth], belief: Belief) -> list[str]:
    """Name every difference between several exchanges, by name, and the journal of their one desk.

    What the desk told of its state is told over all exchanges together.
    """
    parts, unknown = parts_of(belief, truths)
    found = [f"{what}: of an exchange without a truth log" for what in unknown]
    for name, truth in truths.items():
        in_own_words(truth, parts[name])
        found += [f"{name or 'first exchange'}: {each}" for each in compare_account(truth, parts[name])]
    last = pooled([belief.opening if belief.cash is None else belief.cash])
    there = pooled([truth.final for truth in truths.values()])
    found += _compare_amounts("final balance", ("exchanges", there), ("last state", last))
    return found


def compare_account(truth: Truth, belief: Belief) -> list[str]:
    """Name every difference but those of the state that the desk told last."""
    found = [f"trade {key}: twice in the journal" for key in belief.repeated]
    if belief.ended and not truth.complete:
        found.append("the truth log is incomplete: it has no end, but the desk closed its journal in order")
    found += _compare_trades(truth.trades, belief.trades)
    found += _compare_orders(truth, belief)
    moved = dict(belief.opening)
    for trade in belief.trades.values():
        base, quote = assets_of(trade.symbol)
        sign = 1 if trade.side == "buy" else -1
        for asset, change in (
            (base, sign * trade.qty),
            (quote, -sign * trade.qty * trade.price),
            (trade.fee_asset, -trade.fee),
        ):
            moved[asset] = moved.get(asset, Decimal(0)) + change
    for paid in belief.payments:
        quote = assets_of(paid.symbol)[1]
        moved[quote] = moved.get(quote, Decimal(0)) + paid.amount
    found += _compare_payments(truth.payments, belief.payments)
    if truth.purse is not None and truth.purse != truth.shown:
        found.append(f"wallet: the exchange says {truth.shown:f}, its entries sum to {truth.purse:f}")
    found += _compare_amounts("opening balance", ("exchange", truth.opening), ("journal", belief.opening))
    found += _compare_amounts("final balance", ("exchange", truth.final), ("opening + fills", moved))
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


def _compare_payments(there: list[Payment], here: list[Payment]) -> Iterator[str]:
    paid, booked = Counter(there), Counter(here)
    for payment in sorted((paid - booked).elements()):
        yield f"funding {payment}: on the exchange, not in the journal"
    for payment in sorted((booked - paid).elements()):
        yield f"funding {payment}: in the journal, not on the exchange"


def _compare_orders(truth: Truth, belief: Belief) -> Iterator[str]:
    for cid, orders in sorted(truth.orders.items()):
        if len(orders) > 1:
            yield f"order {cid}: one client order id, but on the exchange the orders {sorted(orders)}"
        intent = belief.intents.get(cid)
        if intent is None:
            yield f"order {cid}: on the exchange without an intent in the journal"
            continue
        for order_id, placed in orders.items():
            for form in placed.forms:
                yield from _compare_order(f"order {cid}: {order_id}", form, intent.order)
            if placed.wall_ns < intent.committed:
                early = intent.committed - placed.wall_ns
                yield f"order {cid}: {order_id} was on the exchange {early} ns before its intent's commit"
        fact = belief.first_fact.get(intent.iid)
        if fact is not None and fact < intent.seq:
            yield f"order {cid}: the journal has a fact about it at {fact}, before its intent at {intent.seq}"
    for cid, order in truth.refused:
        intent = belief.intents.get(cid)
        if intent is None:
            yield f"request {cid}: refused by the exchange, without an intent in the journal"
        else:
            yield from _compare_order(f"request {cid}: refused", order, intent.order)


def _compare_order(what: str, there: Order, here: Order) -> Iterator[str]:
    for name in Order.__dataclass_fields__:
        theirs, ours = getattr(there, name), getattr(here, name)
        if theirs != ours:
            yield f"{what}: {name} is {theirs} on the exchange, {ours} in the intent"


def _compare_amounts(what: str, left: tuple[str, Amounts], right: tuple[str, Amounts]) -> Iterator[str]:
    for asset in sorted(left[1].keys() | right[1].keys()):
        one, other = left[1].get(asset, Decimal(0)), right[1].get(asset, Decimal(0))
        if one != other:
            yield f"{what} of {asset}: {left[0]} {one:f}, {right[0]} {other:f}"


def report(truth_log: Path, journal: Path, also: Mapping[str, Path] | None = None) -> dict[str, object]:
    """Compare the files and describe the result; ``also``: truth logs of further exchanges, by name."""
    belief = read_journal(journal)
    logs = {"": truth_log, **(also or {})}
    truths = {name: read_truth(path, belief.account) for name, path in logs.items()}
    if also:
        differences = compare_all(truths, belief)
    else:
        in_own_words(truths[""], belief)
        differences = compare(truths[""], belief)
    every = truths.values()
    return {
        "ledger_equals_exchange": not differences,
        "account": belief.account,
        "exchanges": len(truths),
        "trades": sum(len(truth.trades) for truth in every),
        "orders": sum(len(orders) for truth in every for orders in truth.orders.values()),
        "intents": len(belief.intents),
        "assets": sum(len(truth.final) for truth in every),
        "payments": sum(len(truth.payments) for truth in every),
        "truth_complete": all(truth.complete for truth in every),
        "differences": len(differences),
        "first": differences[:SHOWN],
    }


def main(arguments: list[str] | None = None) -> int:
    """Compare and return the exit code: 0 equal, 1 different, 2 a file cannot be read."""
    parser = argparse.ArgumentParser(prog="check_ledger", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--truth", type=Path, required=True, help="the exchange's truth log, JSON lines")
    parser.add_argument(
        "--also", type=_named, action="append", default=[], metavar="NAME=FILE",
        help="the truth log of a further exchange that the same desk traded at",
    )  # fmt: skip
    parser.add_argument("--journal", type=Path, required=True, help="the desk's journal")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    options = parser.parse_args(arguments)
    try:
        result = report(options.truth, options.journal, dict(options.also))
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


def _named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"expected NAME=FILE, was {text!r}")
    return name, Path(path)


def differences_of(result: dict[str, object]) -> list[str]:
    """The differences shown in a report."""
    shown = result["first"]
    return [str(line) for line in shown] if isinstance(shown, list) else []


if __name__ == "__main__":
    raise SystemExit(main())
