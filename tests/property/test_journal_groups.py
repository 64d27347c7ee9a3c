"""Whatever groups are appended, the same rows come back and the chain holds."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.journal import DuplicateIntent, Group, IntentRow, JournalReader, JournalWriter, Record, verify

KEYS = st.binary(max_size=3)
BODIES = st.tuples(
    st.integers(0, 2**63 - 1) | st.integers(0, 5),
    st.sampled_from([b"", bytes(16), b"\xff" * 16]),
    st.binary(),
)
GROUPS = st.lists(
    st.tuples(
        st.integers(0, 2),  # step of the epoch
        st.lists(BODIES, max_size=70),
        st.lists(st.tuples(KEYS, KEYS), max_size=3),
        st.booleans(),  # lazy
        st.booleans(),  # wait for it, so that it is a transaction of its own
        st.booleans(),  # resume the journal behind it
    ),
    max_size=8,
)


@settings(deadline=None)
@given(plans=GROUPS)
def test_appended_groups_come_back_whole_and_verify(
    plans: list[tuple[int, list[tuple[int, bytes, bytes]], list[tuple[bytes, bytes]], bool, bool, bool]],
) -> None:
    records: list[Record] = []
    intents: list[IntentRow] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j.db"
        writer = JournalWriter.create(path, {"run_id": "x"}, prezero_mb=0, durable=False)
        answers = []
        epoch, gid = 0, 0
        for step, bodies, keys, lazy, wait, resume in plans:
            epoch += step
            seq = writer.next_seq
            rows = [Record(seq + at, *body) for at, body in enumerate(bodies)]
            asked = [IntentRow(cid, iid, seq) for cid, iid in keys] if rows else []
            cids, iids = [row.cid for row in intents + asked], [row.iid for row in intents + asked]
            fresh = len(set(cids)) == len(cids) and len(set(iids)) == len(iids)
            future = writer.append(Group(epoch, rows, asked), lazy=lazy)
            gid += fresh
            answers.append((future, gid if fresh else None))
            if fresh:
                records += rows
                intents += asked
            if wait and not lazy:
                future.exception()
            if resume:
                writer.close()
                writer = JournalWriter.resume(path, prezero_mb=0, durable=False, check_groups=2)
        head, final = writer.head, writer
        final.close()
        head = final.head

        for future, expected in answers:
            if expected is None:
                assert isinstance(future.exception(), DuplicateIntent)
            else:
                assert future.result() == expected
        reader = JournalReader(path)
        assert list(reader.records()) == records
        assert list(reader.intents()) == intents
        report = verify(path)
        assert report.ok, report.faults
        assert (report.groups, report.records, report.head) == (gid, len(records), head.hex())
