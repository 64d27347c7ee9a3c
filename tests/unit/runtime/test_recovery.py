"""A firm folded from its journal is the firm that wrote it, wherever the file ends; or there is none."""

from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from orchestrator.cascade import groups_in
from orchestrator.policy import GroupOut
from parley.bus import InProc
from parley.errors import DataError, UserError
from parley.messages import KIND_OF, Fill, Gap, Intent, decode, decode_envelope, encode
from runtime.journal import JournalWriter, Record
from runtime.recovered import CUT, Recovered
from runtime.recovery import DoesNotReplay, recover
from runtime.refold import EXTERNAL
from runtime.run_config import Origin
from tests.kit.desk_journal import run_of, traded, write, write_records
from tests.kit.firm_kit import TestDesk

FEW = 3


@pytest.fixture(scope="module")
def desk() -> TestDesk:
    return traded(FEW)


def records_of(groups: list[GroupOut]) -> list[tuple[int, int, bytes, bytes]]:
    return [record for out in groups for record in out.records]


class Cut(NamedTuple):
    """A place to end a journal: after some groups; what its last cascade still had to say."""

    kept: list[GroupOut]
    rest: list[GroupOut]
    later: list[GroupOut]


def cuts(desk: TestDesk) -> list[Cut]:
    """Cut a journal behind every group."""
    groups = [out for out in desk.groups if out.records]
    starts = [n for n, out in enumerate(groups) if decode_envelope(out.records[0][3]).sender in EXTERNAL] + [
        len(groups)
    ]
    found = []
    for n in range(1, len(groups) + 1):
        end = next(start for start in starts if start >= n)
        found.append(Cut(groups[:n], groups[n:end], groups[end:]))
    return found


def test_whole_journal_gives_the_whole_firm(tmp_path: Path, desk: TestDesk) -> None:
    past = recover(write(tmp_path / "j", desk), run_of(desk))

    assert (past.tail, past.taken_back()) == ([], [])
    assert past.firm.account.view()[0].state == desk.firm.account.view()[0].state
    assert past.firm.table.seq == desk.firm.table.seq
    assert (past.have.step, past.have.steps, past.have.candles) == (FEW, FEW, 2 * FEW)
    assert past.started is not None
    assert past.is_open
    fills = [fill for fill in desk.said(Fill) if isinstance(fill, Fill)]
    assert past.fills == {(fill.symbol, fill.trade_id) for fill in fills} != set()
    orders = [order.iid for order in desk.sent if isinstance(order, Intent)]
    assert past.placed == {iid: n for n, iid in enumerate(orders)}


def test_wherever_it_ends_the_fold_says_what_was_still_to_say_and_nothing_else(
    tmp_path: Path, desk: TestDesk
) -> None:
    inside = 0
    for n, cut in enumerate(cuts(desk)):
        past = recover(write(tmp_path / f"{n}", desk, cut.kept), run_of(desk))

        assert records_of(past.tail) == records_of(cut.rest)
        lost = [order.iid for out in cut.rest for order in out.orders if isinstance(order, Intent)]
        assert [iid for void in past.taken_back() for iid in void.iids] == lost
        assert {void.why for void in past.taken_back()} <= {CUT}
        inside += bool(lost)
    assert inside > 0, "no cut took an order away: nothing was shown"


def test_firm_that_goes_on_from_any_cut_says_the_same_as_one_that_never_ended(
    tmp_path: Path, desk: TestDesk
) -> None:
    for n, cut in enumerate(cuts(desk)):
        past = recover(write(tmp_path / f"{n}", desk, cut.kept), run_of(desk))

        assert go_on(past, cut.later) == records_of(cut.later)


def go_on(past: Recovered, later: list[GroupOut]) -> list[tuple[int, int, bytes, bytes]]:
    """Admit what came from outside with the stamps it had, and return what the firm says."""
    transport, said = InProc(past.hosts), []
    for *_, body in records_of(later):
        envelope = decode_envelope(body)
        if envelope.sender not in EXTERNAL:
            continue
        cascade = past.firm.admit(
            decode(envelope.body), envelope.sender,
            t_event=envelope.t_event, t_mono=envelope.t_mono, t_recv=envelope.t_recv,
        )  # fmt: skip
        for group in groups_in(cascade, transport.exchange):
            said.extend(group.records)
    return said


def test_cascade_of_which_only_a_part_of_a_group_is_there_is_refused(tmp_path: Path, desk: TestDesk) -> None:
    """No commit leaves such a file; whoever does, nothing is traded on it."""
    groups = [out for out in desk.groups if out.records]
    at = next(n for n, out in enumerate(groups) if len(out.records) > 2 and n > 2)
    records = [Record(*r) for r in records_of(groups[:at])] + [Record(*groups[at].records[0])]

    with pytest.raises(DoesNotReplay, match=f"ends inside a group, at seq {records[-1].seq}"):
        recover(write_records(tmp_path / "j", desk, records), run_of(desk))


@pytest.mark.parametrize("name", ["Decision", "Intent", "StateView", "Verdict"])
def test_record_that_does_not_come_out_again_is_named(tmp_path: Path, desk: TestDesk, name: str) -> None:
    records = [Record(*r) for r in records_of(desk.groups)]
    at = next(n for n, record in enumerate(records) if record.kind == KIND_OF[name])
    envelope = decode_envelope(records[at].body)
    message = decode(envelope.body)
    field = {"Decision": "t", "Intent": "qty", "StateView": "state_version", "Verdict": "max_qty"}[name]
    altered = replace(message, **{field: getattr(message, field) * 2})
    seq, kind, round_ = envelope.seq, envelope.kind, envelope.round
    records[at] = Record(seq, kind, round_, encode(replace(envelope, body=encode(altered))))

    with pytest.raises(
        DoesNotReplay, match=f"seq {records[at].seq} {name} of .*: the replay said {field} = "
    ):
        recover(write_records(tmp_path / "j", desk, records), run_of(desk))


def test_missing_record_in_the_middle_is_refused(tmp_path: Path, desk: TestDesk) -> None:
    """As if a whole group had been lost: the next one cannot follow from what is there."""
    groups = [out for out in desk.groups if out.records]
    at = next(n for n, out in enumerate(groups) if out.orders)
    kept, gone = groups[:at], len(groups[at].records)
    rest = [
        (seq - gone, kind, round_, encode(replace(decode_envelope(body), seq=seq - gone)))
        for seq, kind, round_, body in records_of(groups[at + 1 :])
    ]
    records = [Record(*r) for r in [*records_of(kept), *rest]]

    with pytest.raises(DoesNotReplay, match=f"seq {rest[0][0]} "):
        recover(write_records(tmp_path / "j", desk, records), run_of(desk))


def test_journal_of_another_run_is_the_users_mistake(tmp_path: Path, desk: TestDesk) -> None:
    path = write(tmp_path / "j", desk)

    with pytest.raises(UserError, match="is of run 't', not of 'mine'"):
        recover(path, run_of(desk, run_id="mine"))
    other = replace(run_of(desk).desk, seed=99)
    with pytest.raises(UserError, match="another configuration of run 't'"):
        recover(path, run_of(desk, desk=other))


def test_what_the_venue_lists_and_who_made_the_run_may_differ(tmp_path: Path, desk: TestDesk) -> None:
    """The desk's file holds no instruments yet, and a fixed commit may go on with the run of a broken one."""
    asked = run_of(desk, instruments={}, origin=Origin(commit="other"))

    past = recover(write(tmp_path / "j", desk), asked)

    assert past.run.instruments == run_of(desk).instruments


def test_gateways_journal_is_no_desks(tmp_path: Path, desk: TestDesk) -> None:
    path = tmp_path / "gateway.journal"
    JournalWriter.create(path, {"unit": "gateway"}, durable=False, prezero_mb=0).close()

    with pytest.raises(DataError, match="must be a desk's journal, it is of unit 'gateway'"):
        recover(path, run_of(desk))


def test_journal_without_a_record_is_a_desk_that_has_not_begun(tmp_path: Path, desk: TestDesk) -> None:
    past = recover(write(tmp_path / "j", desk, []), run_of(desk))

    assert (past.tail, past.started, past.is_open, past.have.step) == ([], None, False, 0)


def test_only_gaps_of_the_account_are_told_again_by_a_gateway(tmp_path: Path, desk: TestDesk) -> None:
    past = recover(write(tmp_path / "j", desk), run_of(desk))
    before = past.gaps
    past.note(Gap(stream="market", from_seq=3, to_seq=-1))
    assert past.gaps == before
    past.note(Gap(stream="user", from_seq=3, to_seq=-1))
    assert past.gaps == before + 1
