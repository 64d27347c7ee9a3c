"""Which opening goes before the exits of its round, one reason at a time, and at which times none does.

Not here: what follows when it does (test_crossing.py, test_crossing_refused.py).
"""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.legs import Leg as WorkedLeg
from orchestrator.round import Round
from orchestrator.talk import Talk
from parley.ledger import EXTERNAL
from parley.messages import (
    Cfp,
    Fill,
    Halt,
    Intent,
    Killed,
    Leg,
    PlanLeg,
    Proposal,
    Ranking,
    Trigger,
    Unknown,
    Verdict,
    Void,
)
from tests.kit.builders import make_proposal
from tests.kit.desk_cases import BTC, StepDesk, ack, event, refused
from tests.kit.firm_kit import D
from tests.kit.opposed import LEAVER, TAKER, books_of, crossings, holding, taker

BATCHES = count(1)  # each ballot is of another one: of one batch a single opening goes first


def ballot(desk: StepDesk, *exits: Proposal, **over: Any) -> tuple[Talk, list[Proposal]]:
    """A round in which exits (of 0.1 by the leaver) go before an opening, as it is ranked."""
    desk.firm.account.touch()
    view, _ = desk.firm.account.view()
    kind, at = over.pop("kind", "bar"), over.pop("at", None)
    md_seq = next(BATCHES) if at is None else at
    trigger = Trigger(source="feed", symbol=BTC, kind=kind, payload_hash=b"", md_seq=md_seq, t=2)
    asked = over.pop("asked", (LEAVER, TAKER))
    cfp = Cfp(
        symbols=(BTC,), budget_hint=D(1), horizon_ms=1, min_edge_bps=0.0, state_version=view.version, t=2,
        reduce_only=False, md_seq=md_seq, to_agents=asked, round=b"r",
    )  # fmt: skip
    quorum = over.pop("quorum", 1.0)
    said = Ranking(round=b"r", ranked=(), margin_of_win=1.0, weights_version=0, quorum=quorum)
    talk = Talk(Round(b"r", BTC), trigger, 0, view, cfp, ranking=said)
    buyer = over.pop("buyer", TAKER)
    urgency = over.pop("urgency", "normal")
    opening = make_proposal(
        pid=b"b" * 16, agent=buyer, symbol=BTC, legs=(leg("buy", **over),), urgency=urgency
    )  # fmt: skip
    return talk, [*(exits or (exit_of(),)), opening]


def leg(side: str, **over: Any) -> Leg:
    return Leg(**{"symbol": BTC, "side": side, "qty": D("0.1"), **over})


def exit_of(agent: str = LEAVER, urgency: str = "normal", **over: Any) -> Proposal:
    legs = (leg(over.pop("side", "sell"), reduce_only=True, **over),)
    return make_proposal(pid=b"a" * 16, agent=agent, symbol=BTC, legs=legs, urgency=urgency)


def goes_first(desk: StepDesk, *exits: Proposal, **over: Any) -> bool:
    talk, order = ballot(desk, *exits, **over)
    given = desk.firm.crossing.order(talk, list(order))
    assert sorted(p.pid for p in given) == sorted(p.pid for p in order)
    if given != order:
        assert given == [order[-1], *order[:-1]]
    return given != order


def test_an_opening_that_can_meet_an_exit_goes_first() -> None:
    assert goes_first(holding())


@pytest.mark.parametrize(
    "over",
    [
        {"quorum": 0.49}, {"side": "sell"}, {"limit_px": D(49_999)}, {"qty": D("0.00009")},
        {"qty": D("0.09995")}, {"symbol": "ETH/USDT"}, {"urgency": "patient"},
        {"post_only": True, "limit_px": D(50_000), "tif": "GTC"},
    ],
    ids=str,
)  # fmt: skip
def test_such_an_opening_does_not(over: dict[str, Any]) -> None:
    side = over.pop("side", "buy")
    desk = holding(symbols=(BTC, "ETH/USDT"))
    talk, order = ballot(desk, **over)
    order[-1] = replace(order[-1], legs=(replace(order[-1].legs[0], side=side),))
    assert desk.firm.crossing.order(talk, list(order)) == order


@pytest.mark.parametrize(
    "wish",
    [
        exit_of(urgency="urgent"), exit_of(limit_px=D(50_001)), exit_of(qty=D("0.2")),
        exit_of(symbol="ETH/USDT"), exit_of(agent="signal/a"), exit_of(side="buy"),
        replace(exit_of(), coupled=True), replace(exit_of(), legs=2 * exit_of().legs),
    ],
    ids=lambda wish: f"{wish.agent} {wish.urgency} {len(wish.legs)} {wish.legs[0].side} {wish.legs[0].qty}",
)  # fmt: skip
def test_before_such_an_exit_nothing_does(wish: Proposal) -> None:
    assert not goes_first(holding(symbols=(BTC, "ETH/USDT")), wish)


def test_nobody_meets_itself() -> None:
    assert not goes_first(holding(), buyer=LEAVER)


def test_an_urgent_exit_beside_another_one_lets_nothing_go_before_either() -> None:
    assert not goes_first(holding(), exit_of(), replace(exit_of(urgency="urgent"), pid=b"c" * 16))


def kill(scope: str, mode: str = "block") -> Callable[[StepDesk], object]:
    return lambda desk: desk.admit(Killed(standing=((scope, mode, ""),), t=1), "gateway")


def strike(agent: str) -> Callable[[StepDesk], object]:
    return lambda desk: [desk.firm.table.strike(agent, 1, "test") for _ in range(3)]


def see(**over: Any) -> Callable[[StepDesk], object]:
    return lambda desk: desk.firm.market.books.update(books_of(**over))


def rest(desk: StepDesk) -> Intent:
    """Let the leaver work an order of another round there."""
    leaves = desk.firm.account.legs
    (order,) = [o for o in desk.sent if isinstance(o, Intent)]
    found = desk.firm.account.orders.open(replace(order, iid=b"i" * 16, cid="other"), LEAVER, 1)
    assert leaves.all() == ()
    return found.intent


def doubted(desk: StepDesk) -> None:
    (order,) = [o for o in desk.sent if isinstance(o, Intent)]
    again = replace(order, iid=b"u" * 16, cid="doubted")
    desk.firm.account.orders.open(again, "signal/a", 1)
    desk.firm.account.orders.apply(Unknown(iid=again.iid, cause="timeout"))


def worked(desk: StepDesk, agent: str = LEAVER, symbol: str = BTC) -> None:
    """Let somebody have decided on a leg there of which nothing is sent at the moment."""
    found = exit_of(symbol=symbol)
    plan = PlanLeg(
        symbol=symbol, side="sell", qty=D("0.1"), style="twap", px=None, tif="IOC", reduce_only=True
    )
    verdict = Verdict(
        pid=found.pid, agent="risk/a", ok=True, max_qty=D(1), breached=(), state_version=1, risk_epoch=1,
        valid_until=1,
    )  # fmt: skip
    desk.firm.account.legs.open(
        WorkedLeg(
            round=b"o", proposal=found, agent=agent, index=0, plan=plan, worst_px=D(1), reservation_id=b"o",
            verdict=verdict, last_word=1,
        )
    )  # fmt: skip


def rest_elsewhere(desk: StepDesk) -> None:
    """Let the leaver work an order in another pair, in which the same asset may go."""
    order = replace(rest(desk), iid=b"e" * 16, cid="elsewhere", symbol="ETH/BTC")
    desk.firm.account.orders = type(desk.firm.account.orders)()
    desk.firm.account.orders.open(order, LEAVER, 1)


def worked_elsewhere(desk: StepDesk) -> None:
    worked(desk, symbol="ETH/BTC")


def all_is_reserved(desk: StepDesk) -> None:
    worked(desk, agent="signal/a")


WHEN: dict[str, Callable[[StepDesk], object]] = {
    "buyer killed": kill(f"bot:{TAKER}"),
    "leaver killed": kill(f"bot:{LEAVER}"),
    "leaver flattened": kill(f"bot:{LEAVER}", "flatten"),
    "symbol killed": kill(f"symbol:{BTC}"),
    "account killed": kill("*"),
    "buyer in quarantine": strike(TAKER),
    "leaver in quarantine": strike(LEAVER),
    "only reducing": lambda desk: desk.admit(Halt(scope="*", mode="REDUCE_ONLY", by="me", why=""), "user"),
    "an order in doubt there": doubted,
    "an order of the leaver there": rest,
    "a leg of the leaver there": worked,
    "an order of the leaver in the asset": rest_elsewhere,
    "a leg of the leaver in the asset": worked_elsewhere,
    "what the account has is reserved": all_is_reserved,
    "no book": lambda desk: desk.firm.market.books.clear(),
    "no bids": see(bids=()),
    "crossed book": see(asks=((49_998.0, 5.0),)),
}


@pytest.mark.parametrize("why", WHEN)
def test_at_such_a_time_nothing_does(why: str) -> None:
    desk = holding(symbols=(BTC, "ETH/BTC"))
    assert goes_first(desk)
    WHEN[why](desk)
    assert not goes_first(desk)


def test_no_contract_and_nothing_priced_in_another_currency_does() -> None:
    desk = holding()
    for over in ({"margin": D("0.1")}, {"quote": "EUR"}):
        env = desk.firm.table.env
        other = {**env.instruments, BTC: replace(env.instruments[BTC], **over)}
        desk.firm.table.env = replace(env, instruments=other)
        assert not goes_first(desk)
        desk.firm.table.env = env
    assert goes_first(desk)


# what an exit behind it would wait for


def test_one_opening_of_a_batch_goes_first() -> None:
    desk = holding()
    assert goes_first(desk, at=900)
    assert not goes_first(desk, at=900)
    assert goes_first(desk, at=901)


def held_elsewhere(qty: str, *, before: bool = False, agent: str = TAKER) -> StepDesk:
    """A desk at which somebody holds ETH too, whose round is behind BTC's, or before it."""
    symbols = ("ETH/USDT", BTC) if before else (BTC, "ETH/USDT")
    desk = holding(symbols=symbols)
    assert desk.firm.config.symbols == symbols
    bought = Fill(
        trade_id="e", venue="sim", account="main", iid=b"", venue_id="e", symbol="ETH/USDT", side="buy",
        qty=D(qty), px=D(2_500), fee=D(0), fee_asset="USDT", liquidity="taker", t=3,
    )  # fmt: skip
    assert desk.firm.account.fill(bought, agent, b"p" * 16, b"r")
    return desk


def test_while_somebody_may_leave_behind_it_in_the_same_batch_none_does() -> None:
    assert not goes_first(held_elsewhere("1"))
    assert not goes_first(held_elsewhere("1", before=True), kind="analysis")
    assert not goes_first(holding(), asked=(TAKER,))  # who holds has rounds of its own


def test_what_was_decided_before_or_cannot_leave_is_waited_for_by_nobody() -> None:
    assert goes_first(held_elsewhere("1", before=True))
    assert goes_first(held_elsewhere("0.0000001"))
    assert goes_first(held_elsewhere("1", agent=EXTERNAL))


@pytest.mark.parametrize("by", ["desk", "gateway"])
def test_an_exit_that_was_too_late_once_waits_for_nobody_until_it_was_sent(by: str) -> None:
    desk = holding(b=taker(at=3))
    (late,) = desk.close()
    assert isinstance(late, Intent)
    if by == "desk":
        desk.admit(Void(round=late.round, iids=(late.iid,), why="late"), "journal")
    else:
        desk.tell(refused(late, code="last_look:too_late"))

    (again,) = desk.close()

    assert isinstance(again, Intent)
    assert (again.agent, again.side, again.qty, crossings(desk)) == (LEAVER, "sell", D("0.1"), [])
    desk.tell(refused(again))
    assert not goes_first(desk)
    (sent,) = desk.close()
    assert isinstance(sent, Intent)
    desk.tell(ack(sent), event(sent, "canceled", D(0)))
    assert goes_first(desk)
