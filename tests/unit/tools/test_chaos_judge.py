"""The judge of the chaos campaign finds each invariant broken, and knows nothing of Parley."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.differential.record import ROOT, sources_of
from tools.chaos import evidence as at
from tools.chaos.evidence import Course, Journal, Said
from tools.chaos.invariants import INVARIANTS, Case
from tools.ledger_evidence import Belief, Placed, Truth

IID, CID, ROUND, PID = b"i" * 16, "cid", b"r" * 16, b"p" * 16
SECOND = 1_000_000_000
INTENT = [
    at.INTENT, IID, CID, ROUND, PID, 0, 0, "main", "binance", "BTC/USDT", "buy", "1", "100", "limit", "IOC",
    False, 0, 1, b"", b"", 1, b"", "100",
]  # fmt: skip
ATTEMPT = [at.ATTEMPT, IID, CID, 1, 3 * SECOND, 0, b"", b""]
UNKNOWN = [at.UNKNOWN, IID, "timeout", False]
FILL = [
    at.FILL, "t", "binance", "main", IID, "1", "BTC/USDT", "buy", "1", "100", "0", "USDT", "taker", 0
]  # fmt: skip
NO = [at.REJECT, IID, "not_accepted", True, "", False]


def said(seq: int, message: list[Any], *, t: int = 2 * SECOND, epoch: int = 1) -> Said:
    return Said(seq, ROUND, epoch, t, epoch, repr(message).encode(), message)


def order(status: str, cum: str = "1") -> dict[str, Any]:
    return {
        "event": "order", "order_id": 1, "client_order_id": CID, "status": status, "cum_qty": cum, "qty": "1",
        "symbol": "BTC/USDT", "side": "BUY",
    }  # fmt: skip


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """An order that was decided, sent, filled and told, with nothing wrong about it."""
    path = tmp_path / "truth.jsonl"
    path.write_text("\n".join(json.dumps(each) for each in (order("NEW", "0"), order("FILLED"))))
    decision = [at.DECISION, ROUND, "BTC/USDT", PID, "strategy/a", "accept"]
    verdict = [at.VERDICT, PID, "risk/main", True]
    desk = [[at.STARTED, "run", 1], [at.TRIGGER], verdict, decision, INTENT, FILL]
    return Case(
        path, Truth(orders={CID: {"1": Placed(4 * SECOND)}}), Belief(),
        Journal([said(n, each) for n, each in enumerate(desk)]),
        Journal([said(n, each) for n, each in enumerate([INTENT, ATTEMPT, UNKNOWN, FILL])]),
        Course(trades_from={1: SECOND}, gateway_ready=[0], position_cap=Decimal(1000)),
    )  # fmt: skip


def found(case: Case) -> set[str]:
    """Which invariants are broken; money is compared by `tools.check_ledger`, which has tests of its own."""
    return {name for name, check in INVARIANTS.items() if name != "I5" and list(check(case))}


def test_order_that_went_well_breaks_nothing(case: Case) -> None:
    assert found(case) == set()


def two_orders(case: Case) -> None:
    case.truth.orders[CID]["2"] = Placed(5 * SECOND)


def sent_before_its_record(case: Case) -> None:
    case.truth.orders[CID]["1"].wall_ns = SECOND


def given_up_but_there(case: Case) -> None:
    case.desk.said.append(said(9, NO))


def half_of_it_told(case: Case) -> None:
    case.gateway.said[-1].message[at.FILL_QTY] = "0.5"


def never_decided(case: Case) -> None:
    del case.desk.said[3]


def accepted_for_nothing(case: Case) -> None:
    decision = [at.DECISION, b"q" * 16, "BTC/USDT", PID, "strategy/a", "accept"]
    case.desk.said += [of_another(7, [at.TRIGGER]), of_another(8, decision)]


def test_what_changed_hands_inside_needs_no_order(case: Case) -> None:
    accepted_for_nothing(case)
    assert found(case) == {"I4"}
    case.desk.said.append(of_another(9, [at.CROSSED, b"q" * 16, "BTC/USDT"]))
    assert found(case) == set()


def of_another(seq: int, message: list[Any]) -> Said:
    return Said(seq, b"q" * 16, 1, 2 * SECOND, 1, repr(message).encode(), message)


def decided_twice(case: Case) -> None:
    case.desk.said.append(case.desk.said[3])


def without_a_yes(case: Case) -> None:
    case.desk.said[2].message[at.VERDICT_OK] = False


def sent_while_halted(case: Case) -> None:
    case.course.halts.append((2 * SECOND, 4 * SECOND))


def above_the_cap(case: Case) -> None:
    case.course.position_cap = Decimal(99)


def of_an_epoch_that_is_over(case: Case) -> None:
    later = [*INTENT[:1], b"j" * 16, "other", *INTENT[3:17], 2, *INTENT[18:]]
    case.gateway.said.insert(0, said(0, later, epoch=2))


def changed_on_the_way(case: Case) -> None:
    other = said(0, [*INTENT[:12], "101", *INTENT[13:]])
    case.gateway.said[0] = other


def chain_is_broken(case: Case) -> None:
    case.desk.faults.append("group 3 does not match its hash")


def in_doubt_for_ever(case: Case) -> None:
    del case.gateway.said[-1]


def in_doubt_for_long(case: Case) -> None:
    case.gateway.said[-1] = said(3, FILL, t=60 * SECOND)


def sent_before_its_desk_had_recovered(case: Case) -> None:
    case.course.trades_from[1] = 4 * SECOND


@pytest.mark.parametrize(
    ("breaks", "name"),
    [
        (two_orders, "I1"),
        (sent_before_its_record, "I2"),
        (given_up_but_there, "I3"),
        (half_of_it_told, "I3"),
        (never_decided, "I4"),
        (accepted_for_nothing, "I4"),
        (decided_twice, "I4"),
        (without_a_yes, "I6"),
        (sent_while_halted, "I6"),
        (above_the_cap, "I7"),
        (of_an_epoch_that_is_over, "I8"),
        (changed_on_the_way, "I9"),
        (chain_is_broken, "I9"),
        (in_doubt_for_ever, "I11"),
        (in_doubt_for_long, "I11"),
        (sent_before_its_desk_had_recovered, "I12"),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_each_invariant_can_be_broken(case: Case, breaks: Any, name: str) -> None:
    # messages are shared lists of this module: a case may change its own
    for journal in (case.desk, case.gateway):
        journal.said = [
            Said(e.seq, e.round, e.group_epoch, e.t_commit, e.epoch, e.body, list(e.message))
            for e in journal.said
        ]
    case.__post_init__()

    breaks(case)

    assert name in found(case)


@pytest.mark.parametrize(("kind", "wrong"), [("LIMIT_MAKER", set()), ("LIMIT", {"I3"})])
def test_only_a_post_only_order_that_its_venue_ended_may_be_called_expired(
    case: Case, kind: str, wrong: set[str]
) -> None:
    lines = [order("NEW", "0"), order("CANCELED", "0")]
    case.truth_path.write_text("\n".join(json.dumps({**each, "type": kind}) for each in lines))
    case.__post_init__()
    expired = [at.EVENT, IID, "1", "BTC/USDT", "expired", "0", "0", 0, 0]
    for journal in (case.desk, case.gateway):
        journal.said[-1] = said(9, expired)

    assert found(case) == wrong


def test_judge_imports_nothing_of_parley() -> None:
    read = {path.relative_to(ROOT).parts[0] for path in sources_of(("tools/chaos/judge.py",), ROOT)}

    assert read == {"tools"}
