"""A journal in which two agents met inside replays bit for bit, and its readers tell what came of it.

Not here: what meets and what does not (tests/unit/orchestrator/test_crossing.py).
"""

from io import StringIO
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from orchestrator.policy import DeskConfig, GroupOut
from parley.agent import AgentSpec
from parley.messages import KIND_OF, Crossed, Decision, Intent, Void, decode, decode_envelope, encode
from runtime.commands.explain import show
from runtime.explain import Teller, explain
from runtime.history import Entry, open_journal
from runtime.recovery import recover
from runtime.replay import replay
from runtime.run_config import RunConfig
from runtime.story import Story
from runtime.summary import summarise
from tests.kit.desk_cases import BTC, StepDesk
from tests.kit.desk_journal import run_of, write
from tests.kit.firm_kit import SUBSCRIPTIONS, TEAM, D
from tests.kit.opposed import LEAVER, TAKER, crossings, fill, holding, taker

FACTORY = "tests.kit.opposed:make"
AGENTS = tuple(AgentSpec(id=i, role=r, factory=FACTORY, subscriptions=SUBSCRIPTIONS) for i, r in TEAM)
NEXT = ({BTC: 51_000.0}, {BTC: 51_500.0}, {BTC: 50_500.0})


def lived() -> StepDesk:
    """A desk whose leaver gives 0.04 of its 0.1 to the taker, and sells the rest outside."""
    desk = holding(b=taker("0.04"))
    for prices in NEXT:
        fill(desk, desk.close(prices))
    return desk


@pytest.fixture(scope="module")
def desk() -> StepDesk:
    return lived()


@pytest.fixture(scope="module")
def journal(desk: StepDesk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("crossed") / "desk.journal", desk, agents=AGENTS)


def decided(desk: StepDesk, agent: str) -> Decision:
    found = [d for d in desk.said(Decision) if isinstance(d, Decision)]
    return [d for d in found if d.agent == agent and d.action == "accept"][-1]


def run(desk: StepDesk) -> RunConfig:
    return run_of(desk, agents=AGENTS)


@pytest.fixture(scope="module")
def late() -> StepDesk:
    """A desk at which 0.1 changed hands, and the order for 0.05 more was too late to be sent."""
    desk = holding(b=taker("0.15"))
    (order,) = [o for o in desk.close(NEXT[0]) if isinstance(o, Intent)]
    desk.admit(Void(round=order.round, iids=(order.iid,), why="late"), "journal")
    fill(desk, desk.close(NEXT[1]))
    return desk


def test_two_lives_under_the_same_messages_say_the_same(desk: StepDesk) -> None:
    assert lived().records == desk.records


def test_the_journal_replays_bit_for_bit(journal: Path, desk: StepDesk) -> None:
    assert len(crossings(desk)) == 1
    report = replay(journal)
    assert report.mismatches == []
    assert report.identical == report.envelopes == len(desk.records)
    assert report.intents == report.intents_identical == 2


def test_a_crossing_that_was_changed_in_the_journal_is_found(tmp_path: Path, desk: StepDesk) -> None:
    groups = [altered(group, qty=D("0.05")) for group in desk.groups]
    path = write(tmp_path / "j", desk, groups, agents=AGENTS)
    (said,) = replay(path).mismatches
    assert "Crossed" in said


def altered(group: GroupOut, **over: object) -> GroupOut:
    """Write other fields into what changed hands."""
    records = []
    for seq, kind, round_, body in group.records:
        if kind == KIND_OF["Crossed"]:
            envelope = decode_envelope(body)
            message = decode(envelope.body)
            assert isinstance(message, Crossed)
            changed = encode(replace(message, **over))  # type: ignore[arg-type]
            body = encode(replace(envelope, body=changed))
        records.append((seq, kind, round_, body))
    return replace(group, records=tuple(records))


def test_a_desk_that_comes_back_has_what_changed_hands(journal: Path, desk: StepDesk) -> None:
    past = recover(journal, run(desk))
    assert past.firm.account.view()[0].state == desk.firm.account.view()[0].state
    assert past.firm.account.ledger.snapshot() == desk.firm.account.ledger.snapshot()
    assert {h.agent: h.qty for h in past.firm.account.view()[0].state.holdings} == {TAKER: D("0.04")}


def test_a_run_from_before_there_was_such_a_thing_has_it_off() -> None:
    assert DeskConfig().crossing is False


# what readers tell


def printed(story: Story) -> str:
    out = StringIO()
    show(story, Console(file=out, width=200))
    return out.getvalue()


def test_the_round_tells_who_gave_what_and_what_it_saved(journal: Path, desk: StepDesk) -> None:
    (met,) = crossings(desk)
    story = explain(open_journal(journal), met.round)

    assert story.outcome == "accept"
    (told,) = story.crossed
    assert (told.seller, told.buyer, told.qty, told.px) == (LEAVER, TAKER, D("0.04"), D(51_000))
    assert (story.orders, story.plan, story.qty) == ([], [], D("0.04"))
    assert story.pnl == D("0.04") * -500  # bought at 51,000, marked at 50,500
    said = printed(story)
    assert f"crossed 0.04 {BTC} with {LEAVER} at 51000, saved about 4.1616 USDT in fees and spread" in said
    assert "PnL of this round's proposal so far -20" in said


def test_the_round_of_the_rest_tells_the_wish_it_decided(journal: Path, desk: StepDesk) -> None:
    story = explain(open_journal(journal), decided(desk, LEAVER).round)
    (bid,) = story.bids
    assert (bid.agent, bid.legs[0].qty, bid.chosen) == (LEAVER, D("0.06"), True)
    (order,) = story.orders
    assert (order.side, order.filled, story.crossed) == ("sell", D("0.06"), [])


def test_the_summary_counts_it_and_each_agents_part_is_its_own(journal: Path, desk: StepDesk) -> None:
    summary = summarise(open_journal(journal))
    (met,) = crossings(desk)
    assert (summary.crossings, summary.crossed, summary.saved) == (1, D("0.04") * 51_000, met.saved)
    assert (summary.orders, summary.fills) == (2, 2)
    assert summary.equity_is_reproduced
    assert summary.attribution_is_complete
    assert {who: line.pnl for who, line in summary.pnl_by_agent.items()} == {LEAVER: D(100), TAKER: D(-20)}
    assert summary.pnl == D(80)


def test_a_round_that_traded_inside_is_not_told_as_void(late: StepDesk, tmp_path: Path) -> None:
    path = write(tmp_path / "j", late, agents=AGENTS)
    summary = summarise(open_journal(path))
    assert (summary.decisions["accept"], summary.decisions["void"]) == (2, 0)


def test_a_void_behind_what_changed_hands_is_told_as_a_fault_only() -> None:
    said = Void(round=b"r", iids=(), why="late")
    met = Crossed(
        round=b"r", symbol=BTC, seller=LEAVER, buyer=TAKER, qty=D(1), px=D(1), saved=D(0), pid=b"p",
        seller_pid=b"s", t=1,
    )  # fmt: skip
    for told, outcome in (((met, said), "accept"), ((said,), "void")):
        teller = Teller(b"r", "USDT")
        teller.story.outcome = "accept"
        for seq, message in enumerate(told):
            teller.take(Entry(seq, b"r", "desk", 0, 0, encode(message), message))
        assert (teller.story.outcome, [each.code for each in teller.story.faults]) == (outcome, ["void"])


def test_what_changed_hands_is_part_of_a_runs_fingerprint(
    journal: Path, desk: StepDesk, tmp_path: Path
) -> None:
    """No figure of the account moves by it, and yet it is another run."""
    said = summarise(open_journal(journal))
    groups = [altered(group, saved=D(1)) for group in desk.groups]
    other = summarise(open_journal(write(tmp_path / "j", desk, groups, agents=AGENTS)))
    assert other.decision_hash == said.decision_hash
    assert other.fingerprint != said.fingerprint
