"""Attribution against the ledger: at every level the parts are the whole, at any time."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.attribution import Attribution, AttributionReport
from parley.ledger import OPENING, Ledger
from tests.kit.builders import make_decision, make_opinion, make_proposal
from tests.kit.ledger_runs import AGENTS, Event, balances, events, opened, play

SIGNALS = ("signal/x", "signal/y", "signal/z")
PIDS = (b"1", b"2", b"3", b"4")

_unit = st.floats(0, 1)
_votes = st.lists(st.tuples(st.sampled_from((*SIGNALS, *AGENTS)), st.floats(-1, 1), _unit), max_size=4)
_evidence = st.lists(st.sampled_from(("x1", "x2", "y1", "z1", "unknown")), max_size=4)
decisions = st.lists(st.tuples(st.sampled_from(PIDS), _votes, _evidence, _unit), max_size=6)

Decided = list[tuple[bytes, list[tuple[str, float, float]], list[str], float]]


def decided(ballots: Decided) -> Attribution:
    """An attribution that has heard four opinions and these decisions."""
    attribution = Attribution()
    for name in ("x1", "x2", "y1", "z1"):
        attribution.on_opinion(make_opinion(oid=name.encode(), agent=f"signal/{name[0]}"))
    for pid, votes, evidence, conf in ballots:
        attribution.on_decision(
            make_decision(pid=pid, votes=tuple((agent, pid, score, c) for agent, score, c in votes)),
            make_proposal(pid=pid, evidence=tuple(e.encode() for e in evidence), conf=conf, agent=AGENTS[0]),
        )
    return attribution


def follow(attribution: Attribution, ledger: Ledger, life: list[Event]) -> None:
    for _, new in play(ledger, life):
        if new and ledger.last is not None:
            attribution.on_transaction(ledger.last)


def assert_whole(report: AttributionReport, ledger: Ledger) -> None:
    total = Fraction(ledger.realised) + Fraction(ledger.unrealised())
    assert Fraction(report.total) == total
    rest = total - Fraction(report.opening)
    assert sum(Fraction(pnl) for _, pnl in report.by_round) == rest
    assert sum(Fraction(pnl) for _, pnl in report.by_proposal) == rest
    assert sum(Fraction(pnl) for _, pnl in report.by_agent) == rest
    assert sum(Fraction(part.pnl) for part in report.by_opinion) == rest


@given(balances, events(), decisions)
def test_parts_are_the_whole_at_every_level_after_every_event(
    opening: dict[str, Decimal], life: list[Event], ballots: Decided
) -> None:
    ledger, attribution = opened(opening), decided(ballots)
    for event in life:
        follow(attribution, ledger, [event])
        assert_whole(attribution.report(ledger), ledger)


@given(balances, events(), decisions)
def test_an_agents_part_is_what_the_ledger_says_of_its_sub_ledger(
    opening: dict[str, Decimal], life: list[Event], ballots: Decided
) -> None:
    ledger, attribution = opened(opening), decided(ballots)
    follow(attribution, ledger, life)
    report = attribution.report(ledger)
    booked = {a: Fraction(ledger.realised_of(a)) + Fraction(ledger.unrealised(a)) for a, _ in report.by_agent}
    assert {a: Fraction(pnl) for a, pnl in report.by_agent} == booked
    assert Fraction(report.opening) == Fraction(ledger.realised_of(OPENING)) + Fraction(
        ledger.unrealised(OPENING)
    )


@given(balances, events(), decisions, st.integers(0, 25))
def test_a_restored_attribution_goes_on_as_if_nothing_happened(
    opening: dict[str, Decimal], life: list[Event], ballots: Decided, cut: int
) -> None:
    ledger, straight = opened(opening), decided(ballots)
    follow(straight, ledger, life[:cut])
    restored = Attribution()
    restored.restore(straight.snapshot())
    assert restored.snapshot() == straight.snapshot()
    for event in life[cut:]:
        for _, new in play(ledger, [event]):
            if new and ledger.last is not None:
                straight.on_transaction(ledger.last)
                restored.on_transaction(ledger.last)
    assert restored.report(ledger) == straight.report(ledger)
    assert restored.snapshot() == straight.snapshot()
