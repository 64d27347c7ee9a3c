"""What became of every order: in the desk's journal, in the gateway's, and on the exchange.

Not here: amounts and prices, which `tools/check_ledger.py` compares.

Invariant: an order of which nothing is recorded has no fate, and one of which two things are that exclude
each other has two.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from parley.messages import (
    Ack,
    Attempt,
    Fill,
    Intent,
    Message,
    OrderEvent,
    Unknown,
    VenueReject,
    Verdict,
    Void,
    decode,
    decode_envelope,
)
from runtime.history import kinds
from runtime.journal import JournalReader
from tools.ledger_evidence import read_truth

ORDERS = ("Intent", "Void", "VenueReject", "Unknown", "Ack", "OrderEvent", "Fill", "Verdict")


def fates(journal: Path) -> dict[str, set[str]]:
    """Say of each order of a desk's journal, by client order id, what became of it."""
    found: dict[str, set[str]] = {}
    cids: dict[bytes, str] = {}

    def note(iid: bytes, fate: str) -> None:
        if iid in cids:
            found[cids[iid]].add(fate)

    for message in messages(journal):
        match message:
            case Intent():
                assert message.cid not in found, "an order was recorded twice"
                found[message.cid] = set()
                cids[message.iid] = message.cid
            case Void():
                for iid in message.iids:
                    note(iid, "taken back")
            case VenueReject(cancel=False, definitive=True):
                note(message.iid, "refused")
            case VenueReject(cancel=False) | Unknown(cancel=False):
                note(message.iid, "unknown")
            case Ack(cancel=False) | Fill():
                note(message.iid, "placed")
            case OrderEvent():
                note(message.iid, "refused" if message.status == "rejected" else "placed")
            case _:
                pass
    return found


def attempts(journal: Path) -> Counter[str]:
    """Count how often a gateway was about to send each order, by client order id; cancels do not count."""
    found: Counter[str] = Counter()
    is_order = False
    with JournalReader(journal) as reader:
        for record in reader.records(kinds=kinds("Intent", "CancelIntent", "Attempt")):
            message = decode(record.body)
            if isinstance(message, Attempt):
                found[message.cid] += is_order
            is_order = isinstance(message, Intent)
    return found


def on_the_exchange(truth: Path, account: str) -> dict[str, int]:
    """Count the exchange's orders by client order id."""
    return {cid: len(placed) for cid, placed in read_truth(truth, account).orders.items()}


def without_verdict(journal: Path) -> list[str]:
    """Name the orders before which risk did not say yes in the same life of the desk and the same round."""
    bad = []
    said: dict[bytes, set[int]] = {}  # by round: epochs
    with JournalReader(journal) as reader:
        for record in reader.records(kinds=kinds("Intent", "Verdict")):
            envelope = decode_envelope(record.body)
            message = decode(envelope.body)
            if isinstance(message, Verdict) and message.ok:
                said.setdefault(record.round, set()).add(envelope.epoch)
            elif isinstance(message, Intent) and envelope.epoch not in said.get(record.round, set()):
                bad.append(message.cid)
    return bad


def messages(journal: Path) -> list[Message]:
    """Return what concerns orders, in the journal's order."""
    with JournalReader(journal) as reader:
        return [decode(decode_envelope(record.body).body) for record in reader.records(kinds=kinds(*ORDERS))]
