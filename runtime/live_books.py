"""Whether a run with real money ended with the books the exchange has.

Problem: a real exchange has no truth log. What there is, is the account's balances before and after, as the
gateway asked for them, the fills the gateway heard of, and those the desk wrote down. All three must agree,
and whatever else moved in the account is said, for it may be a deposit or a fill that nobody heard of.

Not here: asking the exchange (`real_money`). Invariant: what could not be compared counts as different.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from parley.instruments import ZERO
from parley.messages import Fill, FundingPaid, decode, decode_envelope
from runtime.child import Line
from runtime.history import kinds, open_journal
from runtime.journal import JournalReader
from runtime.lastlook import Counters
from runtime.real_money import Audit

GATEWAY_JOURNAL: Final = "gateway.journal"  # beside the desk's
_SHOWN: Final = 20


def audited(line: Line | None, journal: Path) -> dict[str, Any]:
    """Compare what the gateway said last with the desk's journal; as `runtime.book_check.check_books`."""
    said = (line or {}).get("audit")
    try:
        audit = msgspec.convert(said, Audit, strict=False)
    except msgspec.ValidationError:
        why = said["error"] if isinstance(said, Mapping) and "error" in said else "the gateway said nothing"
        return _report([f"the exchange's balances at the end are not known: {why}"], None)
    late = late_payments(journal)
    desk = fills_of(journal, late)
    found = [
        f"{asset}: fills brought {audit.own.get(asset, ZERO):f} by the gateway's journal,"
        f" {desk.get(asset, ZERO):f} by the desk's"
        for asset in sorted({*audit.own, *desk})
        if audit.own.get(asset, ZERO) != desk.get(asset, ZERO)
    ]
    found += [
        f"{asset}: {amount:+f} moved in the account that no fill of this desk explains"
        for asset, amount in sorted(audit.other.items())
    ]
    found += [
        f"order {cid} may still trade: go on with --resume, or cancel it with 'parley kill'"
        for cid in audit.unconfirmed
    ]
    return _report(found, audit, len(late))


def late_payments(journal: Path) -> list[FundingPaid]:
    """Return what the gateway beside a desk's journal told when the desk had ended: it hears it going on."""
    told, of = journal.with_name(GATEWAY_JOURNAL), kinds("FundingPaid")
    if not told.exists():
        return []
    heard = {decode(decode_envelope(each.body).body) for each in open_journal(journal).records(kinds=of)}
    known = {each.ref for each in heard if isinstance(each, FundingPaid)}
    said = [decode(each.body) for each in JournalReader(told).records(kinds=of)]
    return [each for each in said if isinstance(each, FundingPaid) and each.ref not in known]


def fills_of(journal: Path, late: Iterable[FundingPaid] = ()) -> dict[str, Decimal]:
    """Return by asset what a desk's journal says its fills and payments brought, less fees; without zeros.

    ``late`` are payments that the desk was not there to hear of.
    """
    counters = Counters()
    for payment in late:
        counters.paid(payment)
    for record in open_journal(journal).records(kinds=kinds("Fill", "FundingPaid")):
        said = decode(decode_envelope(record.body).body)
        if isinstance(said, Fill):
            counters.filled(said)
        elif isinstance(said, FundingPaid):
            counters.paid(said)
    return {asset: amount for asset, amount in counters.positions.items() if amount}


def _report(differences: list[str], audit: Audit | None, late: int = 0) -> dict[str, Any]:
    check: dict[str, Any] = {"differences": len(differences), "first": differences[:_SHOWN]}
    if late:
        check["payments_after_the_end"] = late
    if audit is not None:
        check["moved"] = {asset: f"{amount:f}" for asset, amount in audit.own.items()}
    return {"ledger_equals_exchange": not differences, "ledger_check": check}
