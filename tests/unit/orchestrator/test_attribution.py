"""Attribution on small accounts whose figures were worked out by hand."""

# A Decimal equals the int of its value, also in a tuple.
# mypy: disable-error-code=comparison-overlap

from decimal import Decimal

import pytest

from orchestrator.attribution import Attribution, OpinionShare
from parley.errors import StateError
from parley.ledger import Ledger
from tests.kit.builders import make_decision, make_fill, make_instrument, make_opinion, make_proposal

E1, E2, X = b"entry1", b"entry2", b"exit"


class Desk:
    """A ledger of 1,000 USDT whose transactions are folded as they come."""

    def __init__(self) -> None:
        self.ledger = Ledger("main", "USDT", {"BTC/USDT": make_instrument()})
        self.attribution = Attribution()
        self.ledger.open([("USDT", Decimal(1_000))], 0)
        self._fills = 0

    def trade(
        self, pid: bytes, side: str, qty: str, px: str, fee: str = "0", agent: str = "strategy/a"
    ) -> None:
        self._fills += 1
        fill = make_fill(trade_id=str(self._fills), side=side, qty=qty, px=px, fee=fee)
        assert self.ledger.apply(fill, agent=agent, pid=pid, round=b"r-" + pid)
        assert self.ledger.last is not None
        self.attribution.on_transaction(self.ledger.last)

    def by_proposal(self) -> dict[bytes, Decimal]:
        return dict(self.attribution.report(self.ledger).by_proposal)


def test_an_exit_is_credited_to_the_entry_and_pays_its_own_fee() -> None:
    desk = Desk()
    desk.trade(E1, "buy", "1", "100", fee="0.1")
    desk.trade(X, "sell", "1", "110", fee="0.11")
    desk.ledger.mark("BTC/USDT", Decimal(500), 9)  # nothing is held: changes nothing
    assert desk.by_proposal() == {E1: Decimal("9.9"), X: Decimal("-0.11")}


def test_the_oldest_entry_is_closed_first() -> None:
    desk = Desk()
    desk.trade(E1, "buy", "1", "100")
    desk.trade(E2, "buy", "1", "104")
    desk.trade(X, "sell", "1.5", "110")
    desk.ledger.mark("BTC/USDT", Decimal(120), 9)
    assert desk.by_proposal() == {E1: Decimal(10), E2: Decimal(11)}  # 3 sold, 8 still open


def test_a_proposal_that_trades_both_ways_closes_itself() -> None:
    desk = Desk()
    desk.trade(E1, "buy", "1", "100")
    desk.trade(E2, "buy", "1", "104")
    desk.trade(E2, "sell", "1", "105")
    desk.ledger.mark("BTC/USDT", Decimal(100), 9)
    assert desk.by_proposal() == {E1: Decimal(0), E2: Decimal(1)}


def test_opinions_carry_in_proportion_to_score_times_confidence() -> None:
    desk = Desk()
    for name in ("x1", "x2", "y1", "z1"):
        desk.attribution.on_opinion(make_opinion(oid=name.encode(), agent=f"signal/{name[0]}"))
    votes = (
        ("strategy/a", E1, 1.0, 0.5),
        ("signal/x", E1, 0.5, 0.8),  # 0.4, over two opinions
        ("signal/y", E1, 0.5, 0.2),  # 0.1
        ("signal/z", E1, -1.0, 1.0),  # voted against: carries nothing
    )
    desk.attribution.on_decision(
        make_decision(pid=E1, votes=votes),
        make_proposal(pid=E1, agent="strategy/a", conf=0.5, evidence=(b"x1", b"x2", b"y1", b"z1", b"?")),
    )
    desk.trade(E1, "buy", "1", "100")
    desk.ledger.mark("BTC/USDT", Decimal(110), 9)
    assert desk.attribution.report(desk.ledger).by_opinion == (
        OpinionShare(b"", "strategy/a", Decimal(5)),
        OpinionShare(b"x1", "signal/x", Decimal(2)),
        OpinionShare(b"x2", "signal/x", Decimal(2)),
        OpinionShare(b"y1", "signal/y", Decimal(1)),
    )


def test_votes_for_the_proposal_that_was_revised_count() -> None:
    desk = Desk()
    desk.attribution.on_opinion(make_opinion(oid=b"x1", agent="signal/x"))
    desk.attribution.on_decision(
        make_decision(pid=E2, votes=(("signal/x", E1, 1.0, 0.5),)),
        make_proposal(pid=E2, parent_pid=E1, conf=0.5, evidence=(b"x1",)),
    )
    desk.trade(E2, "buy", "1", "100")
    desk.ledger.mark("BTC/USDT", Decimal(110), 9)
    assert [s.pnl for s in desk.attribution.report(desk.ledger).by_opinion] == [5, 5]


def test_a_rejected_proposal_shares_nothing() -> None:
    attribution = Attribution()
    before = attribution.snapshot()
    attribution.on_decision(make_decision(action="reject"), make_proposal())
    assert attribution.snapshot() == before


def test_rounds_and_agents_are_told_apart() -> None:
    desk = Desk()
    desk.trade(E1, "buy", "1", "100", agent="strategy/a")
    desk.trade(E2, "buy", "2", "100", agent="strategy/b")
    desk.ledger.mark("BTC/USDT", Decimal(101), 9)
    report = desk.attribution.report(desk.ledger)
    assert report.by_round == ((b"r-" + E1, Decimal(1)), (b"r-" + E2, Decimal(2)))
    assert report.by_agent == (("strategy/a", Decimal(1)), ("strategy/b", Decimal(2)))
    assert (report.opening, report.total) == (0, 3)


def test_a_transaction_that_was_not_folded_is_found() -> None:
    desk = Desk()
    desk.trade(E1, "buy", "1", "100")
    desk.ledger.apply(make_fill(trade_id="missed", fee="1"), agent="strategy/a", pid=E2, round=b"")
    with pytest.raises(StateError, match="attributed"):
        desk.attribution.report(desk.ledger)


def test_only_the_newest_opinions_are_remembered() -> None:
    attribution = Attribution()
    for n in range(5_000):
        attribution.on_opinion(make_opinion(oid=n.to_bytes(4, "big")))
    assert len(attribution.snapshot()) < 5_000 * 18
