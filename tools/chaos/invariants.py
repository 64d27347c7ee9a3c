"""The invariants of negotiation.md 9, one function each, over the files of one bout.

Each yields what violates it in words. What it cannot see from files is said in `NOT_CHECKED`, and is not
claimed. Nothing of Parley is imported.

Not here: reading files (`evidence`), comparing trades and balances (`tools.check_ledger`).

Invariant: an order, attempt or trigger that the files name is looked at; none is sampled.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tools.chaos import evidence as at
from tools.chaos.evidence import Course, Journal, Said
from tools.check_ledger import compare
from tools.ledger_evidence import Belief, Truth

NOT_CHECKED: Final = {
    "I5": "the account's position at the venue is compared at the end, not every minute",
    "I6": "of a dead, late or refusing risk agent only that a yes of the same life stands before each order;"
    " the desk's own limits and stale data are not recomputed, the gateway's cap and the halt flag are",
    "I7": "only the gateway's: its cap against the exchange's worst case; the desk's reservations are not",
    "I9": "the replay is Parley's own: each start of a desk folds its whole journal and refuses to differ",
    "I12": "recovery times are counted, not judged",
    "I10": "no tenants yet",
    "I13": "no mandates in this harness",
}
BOUND_NS: Final = 15_000_000_000
_HALT_SLACK_NS: Final = 100_000_000  # between looking at the flag and writing down the time of the send
_ENDS: Final = {
    "FILLED": "closed", "CANCELED": "canceled", "EXPIRED": "expired", "EXPIRED_IN_MATCH": "expired",
    "REJECTED": "rejected",
}  # fmt: skip


@dataclass
class Case:
    """Everything there is to judge."""

    truth_path: Path
    truth: Truth
    belief: Belief
    desk: Journal
    gateway: Journal
    course: Course
    intents: dict[bytes, Said] = field(default_factory=dict)  # the desk's, by iid
    states: dict[str, tuple[str, Decimal]] = field(default_factory=dict)  # at the exchange, by cid
    post_only: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.intents = {bytes(each.message[at.IID]): each for each in self.desk.of(at.INTENT)}
        for line in self.truth_path.read_bytes().splitlines():
            entry = json.loads(line)
            if entry["event"] == "order" and entry["order_id"] is not None:
                cid, status = str(entry["client_order_id"]), str(entry["status"])
                self.states[cid] = (_ENDS.get(status, "open"), Decimal(entry["cum_qty"]))
                if entry.get("type") == "LIMIT_MAKER":
                    self.post_only.add(cid)

    def cid(self, iid: bytes) -> str:
        """Name an order for people."""
        intent = self.intents.get(iid)
        return str(intent.message[at.CID]) if intent else iid.hex()


@dataclass
class _Fate:
    exists: bool = False
    refused: str = ""
    unknown: bool = False
    void: bool = False
    end: str = ""
    filled: Decimal = Decimal(0)


def _fates(journal: Journal) -> dict[bytes, _Fate]:
    """Fold what a journal says of each order."""
    found: dict[bytes, _Fate] = defaultdict(_Fate)
    trades: set[str] = set()
    for each in journal.said:
        message = each.message
        match each.kind:
            case at.ACK if not message[at.ACK_CANCEL]:
                found[bytes(message[at.IID])].exists = True
            case at.REJECT if message[at.REJECT_DEFINITIVE] and not message[at.REJECT_CANCEL]:
                found[bytes(message[at.IID])].refused = str(message[at.REJECT_CODE])
            case at.UNKNOWN if not message[at.UNKNOWN_CANCEL]:
                found[bytes(message[at.IID])].unknown = True
            case at.EVENT:
                fate = found[bytes(message[at.IID])]
                fate.exists = True
                status = str(message[at.EVENT_STATUS])
                fate.end = fate.end if status == "open" else status
            case at.FILL if str(message[1]) not in trades:
                trades.add(str(message[1]))
                fate = found[bytes(message[at.FILL_IID])]
                fate.exists = True
                fate.filled += Decimal(message[at.FILL_QTY])
            case at.VOID:
                for iid in message[at.VOID_IIDS]:
                    found[bytes(iid)].void = True
    return found


def one_cid_one_order(case: Case) -> Iterator[str]:
    """I1."""
    for cid, orders in case.truth.orders.items():
        if len(orders) > 1:
            yield f"{cid} is {len(orders)} orders at the exchange: {sorted(orders)}"
    for cid, count in Counter(str(each.message[at.CID]) for each in _sent(case)).items():
        if count > 1:
            yield f"{cid} was attempted {count} times"


def _sent(case: Case) -> Iterator[Said]:
    """Attempts of orders, without those of cancels."""
    is_order = False
    for each in case.gateway.of(at.INTENT, at.CANCEL, at.ATTEMPT):
        if each.kind == at.ATTEMPT and is_order:
            yield each
        is_order = each.kind == at.INTENT


def intent_comes_first(case: Case) -> Iterator[str]:
    """I2: durable at the desk and at the gateway before the exchange saw it."""
    attempted = {str(each.message[at.CID]): each for each in _sent(case)}
    intended = {str(each.message[at.CID]): each for each in case.intents.values()}
    for cid, orders in case.truth.orders.items():
        first = min(placed.wall_ns for placed in orders.values())
        for who, known in (("desk", intended), ("gateway", attempted)):
            said = known.get(cid)
            if said is None:
                yield f"{cid} is at the exchange, not in the {who}'s journal"
            elif said.t_commit > first:
                yield f"{cid} was at the exchange {said.t_commit - first} ns before the {who}'s commit"


def belief_is_truth(case: Case) -> Iterator[str]:
    """I3: existence, end and filled quantity, as the desk and as the gateway have it."""
    attempted = {bytes(each.message[at.IID]) for each in _sent(case)}
    for who, journal in (("desk", case.desk), ("gateway", case.gateway)):
        fates = _fates(journal)
        for iid in sorted(case.intents if who == "desk" else attempted):
            yield from _differs(case, who, iid, fates.get(iid, _Fate()))


def _differs(case: Case, who: str, iid: bytes, fate: _Fate) -> Iterator[str]:
    cid = case.cid(iid)
    state = case.states.get(cid)
    if state is None:
        if fate.exists:
            yield f"{cid}: the {who} says it exists, the exchange never had it"
        elif not (fate.refused or fate.void):
            yield f"{cid}: the {who} does not know that it does not exist, unknown={fate.unknown}"
        return
    if fate.refused or fate.void:
        yield f"{cid}: the {who} says {fate.refused or 'taken back'}, the exchange has it {state[0]}"
    elif not fate.exists:
        yield f"{cid}: the {who} does not know of it, the exchange has it {state[0]}"
    if fate.exists:
        intent = case.intents.get(iid)
        qty = Decimal(intent.message[at.INTENT_QTY]) if intent else Decimal(-1)
        end = fate.end or ("closed" if fate.filled == qty else "open")
        if end == "expired" and state[0] == "canceled" and cid in case.post_only:
            end = "canceled"  # Bybit and OKX take one that would trade at once, and end it by themselves
        if (end, fate.filled) != state:
            yield f"{cid}: {end} {fate.filled} for the {who}, {state[0]} {state[1]} at the exchange"


def trigger_has_one_end(case: Case) -> Iterator[str]:
    """I4: every round exactly one decision; orders only of the decision that was accepted.

    One without orders was accepted only if what it decided changed hands inside.
    """
    triggers = Counter(each.round for each in case.desk.of(at.TRIGGER))
    decisions: dict[bytes, list[Said]] = defaultdict(list)
    for each in case.desk.of(at.DECISION):
        decisions[each.round].append(each)
    for round_, count in triggers.items():
        if (count, decided := len(decisions.get(round_, ()))) != (1, 1):
            yield f"round {round_.hex()} has {count} triggers and {decided} decisions"
    met = {each.round for each in case.desk.of(at.CROSSED)}
    ordered: dict[bytes, list[Said]] = defaultdict(list)
    for each in case.intents.values():
        ordered[each.round].append(each)
    for round_, (decision, *_) in decisions.items():
        if round_ not in triggers:
            yield f"round {round_.hex()} was decided without a trigger"
        accepted = decision.message[at.DECISION_ACTION] == "accept"
        orders = ordered.pop(round_, [])
        if accepted != (bool(orders) or round_ in met):
            yield f"round {round_.hex()} ended with {decision.message[5]} and {len(orders)} orders"
        for each in orders:
            if each.message[at.INTENT_PID] != decision.message[at.DECISION_PID]:
                yield f"{each.message[at.CID]} is of another proposal than its decision"
    for round_ in ordered:
        yield f"round {round_.hex()} has orders and no decision"


def ledger_is_the_exchanges(case: Case) -> Iterator[str]:
    """I5: every trade, fee and balance, to the last digit."""
    yield from compare(case.truth, case.belief)


def nothing_opens_that_must_not(case: Case) -> Iterator[str]:
    """I6: a yes of risk in the same life and round; nothing sent while halted; the gateway's cap kept."""
    yes: set[tuple[bytes, int]] = set()
    rounds: set[bytes] = set()
    for each in case.desk.of(at.VERDICT, at.INTENT):
        if each.kind == at.VERDICT and each.message[at.VERDICT_OK]:
            yes.add((each.round, each.epoch))
            rounds.add(each.round)
        elif each.kind == at.INTENT:
            is_first = not each.message[at.INTENT_CHILD]
            if (each.round, each.epoch) not in yes and (is_first or each.round not in rounds):
                yield f"{each.message[at.CID]} has no yes of risk before it"
    for each in _sent(case):
        t_send = int(each.message[at.ATTEMPT_T_SEND])
        if any(since + _HALT_SLACK_NS < t_send < to for since, to in case.course.halts):
            yield f"{each.message[at.CID]} was sent while the halt flag was set"


def worst_case_stays_below_the_cap(case: Case) -> Iterator[str]:
    """I7, and I6 for the gateway's cap: what is held and what is open, whenever an order came to exist."""
    cap = case.course.position_cap
    if not cap:
        return
    prices = {str(each.message[at.CID]): each.message for each in case.intents.values()}
    held: dict[str, Decimal] = defaultdict(Decimal)
    left: dict[int, tuple[str, str, Decimal]] = {}
    for line in case.truth_path.read_bytes().splitlines():
        entry = json.loads(line)
        symbol, side = str(entry.get("symbol", "")), str(entry.get("side", "")).lower()
        base = symbol.partition("/")[0]
        if entry["event"] == "order" and entry["order_id"] is not None:
            number, is_new = int(entry["order_id"]), int(entry["order_id"]) not in left
            done = entry["status"] in _ENDS
            rest = Decimal(0) if done else Decimal(entry["qty"]) - Decimal(entry["cum_qty"])
            left[number] = (base, side, rest)
            message = prices.get(str(entry["client_order_id"]))
            if is_new and message is not None and side == "buy":
                yield from _over(cap, base, held, left, message)
        elif entry["event"] == "trade":
            qty = Decimal(entry["qty"])
            held[base] += qty if side == "buy" else -qty
            if entry["fee_asset"] == base:
                held[base] -= Decimal(entry["fee"])
            before = left[int(entry["order_id"])]
            left[int(entry["order_id"])] = (*before[:2], max(Decimal(0), before[2] - qty))


def _over(
    cap: Decimal,
    base: str,
    held: dict[str, Decimal],
    left: dict[int, tuple[str, str, Decimal]],
    message: list[Any],
) -> Iterator[str]:
    price = max(Decimal(each) for each in (message[at.INTENT_PX], message[at.INTENT_REF_PX]) if each)
    coming = sum((rest for asset, side, rest in left.values() if (asset, side) == (base, "buy")), Decimal(0))
    worst = (held[base] + coming) * price
    if worst > cap:
        yield f"{message[at.CID]} may bring {base} to {worst:f}, above the gateway's cap {cap}"


def epochs_only_grow(case: Case) -> Iterator[str]:
    """I8: nothing is taken from a lower epoch after a higher one."""
    highest = 0
    for each in case.gateway.of(at.INTENT, at.CANCEL):
        epoch = int(each.message[at.INTENT_EPOCH if each.kind == at.INTENT else at.CANCEL_EPOCH])
        if epoch < highest:
            yield f"{each.message[at.CID]} of epoch {epoch} was taken after one of epoch {highest}"
        highest = max(highest, epoch)
    for said in case.intents.values():
        if (named := said.message[at.INTENT_EPOCH]) != said.epoch:
            yield f"{said.message[at.CID]} names epoch {named}, its life is {said.epoch}"


def journals_hold(case: Case) -> Iterator[str]:
    """I9: both chains verify, and the gateway sent what the desk had written, to the byte."""
    for who, journal in (("desk", case.desk), ("gateway", case.gateway)):
        for fault in journal.faults:
            yield f"the {who}'s journal: {fault}"
    for each in case.gateway.of(at.INTENT):
        # One that was handed over and never released may be decided anew; the second is refused for ever.
        intent = case.intents.get(bytes(each.message[at.IID]))
        was_sent = str(each.message[at.CID]) in case.states
        if was_sent and intent is not None and intent.body != each.body:
            yield f"{each.message[at.CID]} is not what the desk wrote"


def _is_certain(said: Said) -> bool:
    """Whether a message says that its order exists, or that it never will."""
    message = said.message
    match said.kind:
        case at.ACK:
            return not message[at.ACK_CANCEL]
        case at.REJECT:
            return bool(message[at.REJECT_DEFINITIVE] and not message[at.REJECT_CANCEL])
        case kind:
            return kind in (at.EVENT, at.FILL)


def doubt_ends_or_alarms(case: Case) -> Iterator[str]:
    """I11: every order in doubt has its fate within the bound, or somebody was told."""
    since: dict[bytes, int] = {}
    alarms = {str(each.message[at.GAP_STREAM]).partition(":")[2] for each in case.gateway.of(at.GAP)}
    late: dict[bytes, int] = {}
    for each in case.gateway.of(at.UNKNOWN, at.ACK, at.REJECT, at.EVENT, at.FILL):
        iid = bytes(each.message[at.FILL_IID if each.kind == at.FILL else at.IID])
        if each.kind == at.UNKNOWN and not each.message[at.UNKNOWN_CANCEL]:
            since.setdefault(iid, each.t_commit)
        elif iid in since and _is_certain(each):
            asked = since.pop(iid)
            # a gateway that is dead or restarts looks for nothing; each life has the whole bound
            lives = [t for t in case.course.gateway_ready if t <= each.t_commit]
            late[iid] = each.t_commit - max([asked, *lives])
    for iid in since:
        yield f"{case.cid(iid)} is in doubt for ever"
    for iid, took in late.items():
        if took > BOUND_NS and case.cid(iid) not in alarms:
            yield f"{case.cid(iid)} was in doubt for {took / 1e9:.1f} s without an alarm"


def nothing_opens_before_recovery(case: Case) -> Iterator[str]:
    """I12: no attempt for a desk that had not yet heard what it missed."""
    order_epoch = {
        bytes(each.message[at.IID]): int(each.message[at.INTENT_EPOCH]) for each in case.gateway.of(at.INTENT)
    }
    for each in _sent(case):
        epoch = order_epoch[bytes(each.message[at.IID])]
        if int(each.message[at.ATTEMPT_T_SEND]) < case.course.trades_from.get(epoch, 1 << 63):
            yield f"{each.message[at.CID]} was sent before the desk of epoch {epoch} had recovered"


INVARIANTS: Final[dict[str, Callable[[Case], Iterator[str]]]] = {
    "I1": one_cid_one_order,
    "I2": intent_comes_first,
    "I3": belief_is_truth,
    "I4": trigger_has_one_end,
    "I5": ledger_is_the_exchanges,
    "I6": nothing_opens_that_must_not,
    "I7": worst_case_stays_below_the_cap,
    "I8": epochs_only_grow,
    "I9": journals_hold,
    "I11": doubt_ends_or_alarms,
    "I12": nothing_opens_before_recovery,
}
