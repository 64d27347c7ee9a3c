"""The summary of a journal whose every number was worked out by hand (see tests.kit.small_journal)."""

from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest

from parley.errors import DataError, UserError
from parley.ids import show_round
from parley.messages import decode_envelope
from runtime.history import config_of, entries, find_round, kinds, newest_journal, open_journal
from runtime.journal import JournalReader
from runtime.summary import Summary, summarise
from tests.kit.small_journal import CAPITAL, ROUNDS, TREND, write_journal


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return write_journal(tmp_path / "desk.journal")


@pytest.fixture
def summary(journal: Path) -> Summary:
    return summarise(open_journal(journal))


def test_rounds_are_counted_by_outcome_with_the_word_that_ended_them(summary: Summary) -> None:
    assert summary.rounds == 4
    assert summary.decisions == {"accept": 2, "reject": 1, "hold": 1, "expired": 0, "void": 0}
    assert summary.reasons == {"hold: desk: no_bids": 1, "reject: risk/main: max_position": 1}
    assert summary.refusals["strategy/trend: no_setup"] == 1


def test_money_is_what_was_worked_out_by_hand(summary: Summary) -> None:
    assert (summary.equity_start, summary.equity_end) == (Decimal(10_000), Decimal("10193.6022"))
    assert summary.pnl == Decimal("193.6022")
    assert summary.fees == Decimal("4.1978")
    assert summary.volume == Decimal("4199.8")
    assert summary.max_drawdown == pytest.approx((10_000 - 9796.2) / 10_000)
    assert summary.equity_is_reproduced


def test_pnl_by_agent_sums_to_the_pnl(summary: Summary) -> None:
    line = summary.pnl_by_agent[TREND]

    assert (line.pnl, line.accepted, line.fills) == (Decimal("193.6022"), 2, 2)
    assert summary.attribution_is_complete


def test_orders_end_in_the_state_their_fills_say(summary: Summary) -> None:
    assert (summary.orders, summary.fills, summary.orders_by_state) == (2, 2, {"FILLED": 2})


def test_every_role_that_changed_a_round_is_counted(summary: Summary) -> None:
    assert summary.influence["signal"] == {"rounds_changed": 2, "votes_counted": 2, "votes_weighed": 2}
    assert summary.influence["strategy"] == {"rounds_changed": 3, "proposals": 3}
    assert summary.influence["capital"] == {"rounds_changed": 1, "cut": 1, "zero": 0}
    assert summary.influence["risk"] == {"rounds_changed": 1, "refused": 1, "capped": 0, "breakers": 0}
    # the proposal said GTC, execution advised IOC
    assert summary.influence["execution"] == {"rounds_changed": 1, "chose_order": 1}
    assert summary.influence["arbitrage"] == {
        "rounds_changed": 0, "cycles_asked": 0, "cycles_proposed": 0, "counters": 0,
    }  # fmt: skip
    assert summary.influence["meta"] == {
        "rounds_changed": 1,
        "ranked": 1,
        "ranked_nonuniform": 1,
        "dropped": 0,
        "resized": 1,
        "cut": 0,
        "zero": 0,
        "weight_updates": 1,
    }


def test_decision_hash_covers_the_bodies_of_all_decisions_in_order(journal: Path, summary: Summary) -> None:
    bodies = [decode_envelope(record.body).body for record in JournalReader(journal).records(kinds=[42])]

    assert len(bodies) == 4
    assert summary.decision_hash == sha256(b"".join(bodies)).hexdigest()
    assert summary.fingerprint not in ("", summary.decision_hash)


def test_progress_is_told_against_the_number_of_records(journal: Path) -> None:
    seen: list[tuple[int, int]] = []

    summarise(open_journal(journal), lambda done, total: seen.append((done, total)))

    assert seen
    assert all(0 < done <= total for done, total in seen)


def test_round_is_found_by_the_beginning_of_its_id(journal: Path) -> None:
    reader = open_journal(journal)
    decisions = [entry.round for entry in entries(reader, kinds("Decision"))]

    assert decisions == list(ROUNDS)
    assert find_round(reader, "rnd_" + _text(ROUNDS[1])[:12]) == ROUNDS[1]
    assert find_round(reader, _text(ROUNDS[1])) == ROUNDS[1]
    with pytest.raises(UserError, match="no round 'rnd_1'"):  # 1 is no base32 character
        find_round(reader, "rnd_1")
    with pytest.raises(UserError, match="4 rounds begin with ''"):
        find_round(reader, "")


def _text(round_: bytes) -> str:
    return show_round(round_).removeprefix("rnd_")


def test_configuration_of_the_run_is_in_the_journal(journal: Path) -> None:
    run = config_of(open_journal(journal))

    assert CAPITAL in [spec.id for spec in run.agents]


def test_newest_run_is_found_by_its_id(tmp_path: Path) -> None:
    for run_id in ("20260101T000000-aa", "20260102T000000-00"):
        folder = tmp_path / "runs" / run_id
        folder.mkdir(parents=True)
        write_journal(folder / "desk.journal")

    assert newest_journal(tmp_path).parent.name == "20260102T000000-00"


@pytest.mark.parametrize("content", [b"", b"# no journal", b"SQLite format 3\0" + b"\0" * 5000])
def test_file_that_is_no_journal_is_one_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.journal"
    file.write_bytes(content)

    with pytest.raises(DataError, match=r"x\.journal"):
        open_journal(file)
