"""What leaves the desk, in which order, and what is taken back instead."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from orchestrator.policy import GroupOut
from parley.messages import KINDS, Envelope, Intent, LimitsSet, MarketBatch, Message, Void, encode
from runtime.frames import CONTROL, FrameDecoder
from runtime.journal import JournalReader, JournalWriter
from runtime.limit_word import Confirmed, read_word
from runtime.outbox import Outbox, voids
from tests.kit.units import make_cancel, make_intent

Scenario = Callable[["Stage"], Awaitable[None]]


class Stage:
    """An outbox between a real journal and a line that keeps what is sent."""

    def __init__(self, path: Path) -> None:
        self.sent: list[str] = []  # "order", "cancel" or the control text
        self.durable_at: list[int] = []  # how many records were durable when it was sent
        self.voids: list[Void] = []
        self.failed: list[BaseException] = []
        self.path = path
        self.journal = JournalWriter.create(path, {"unit": "desk"}, prezero_mb=0)
        self.box = Outbox(
            self.journal, self, on_fatal=self.failed.append, on_void=self.voids.append  # type: ignore[arg-type]
        )  # fmt: skip

    def send_now(self, frame: bytes) -> None:
        (envelope,) = FrameDecoder().feed(frame)
        with JournalReader(self.path) as reader:
            self.durable_at.append(reader.count)
        self.sent.append(
            envelope.body.decode() if envelope.kind == CONTROL
            else "order" if envelope.kind == KINDS[Intent] else "cancel"
        )  # fmt: skip

    async def commit(self, *messages: Message, epoch: int = 1) -> list[int]:
        """Commit messages as one group; return their numbers."""
        out = self.group(*messages)
        left = self.box.commit(out, epoch)
        if left is not None:
            await left
        return [record[0] for record in out.records]

    def group(self, *messages: Message) -> GroupOut:
        records, seq = [], self.journal.next_seq
        for n, message in enumerate(messages):
            kind, round_ = KINDS[type(message)], getattr(message, "round", b"")
            envelope = Envelope(
                kind=kind, tenant="local", desk=1, epoch=1, seq=seq + n, round=round_, sender="desk",
                to="gateway", cause=0, body=encode(message),
            )  # fmt: skip
            records.append((seq + n, kind, round_, encode(envelope)))
        orders = tuple(m for m in messages if not isinstance(m, MarketBatch | LimitsSet))
        return GroupOut(records=tuple(records), orders=orders)  # type: ignore[arg-type]


def play(path: Path, scenario: Scenario) -> Stage:
    async def run() -> Stage:
        stage = Stage(path / "desk.journal")
        try:
            await scenario(stage)
            await asyncio.sleep(0)
        finally:
            stage.journal.close()
        return stage

    return asyncio.run(run())


def test_order_is_handed_over_first_and_released_when_it_is_durable(tmp_path: Path) -> None:
    order, cancel = make_intent(0), make_cancel(make_intent(1))

    async def scenario(stage: Stage) -> None:
        one, two = await stage.commit(order, cancel)
        assert stage.sent == ["order", "cancel", f"release:{one},{two}"]
        assert stage.durable_at == [0, 0, 2]
        assert stage.box.outstanding == {(order.iid, False), (cancel.iid, True)}
        assert stage.box.placed == {order.iid: 0}

    assert play(tmp_path, scenario).voids == []


def test_what_orders_nothing_is_written_and_nothing_is_sent(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        assert stage.box.commit(stage.group(MarketBatch(step=1, t=1)), 1) is None
        assert stage.box.commit(GroupOut(records=(), orders=()), 1) is None

    stage = play(tmp_path, scenario)

    assert stage.sent == []
    with JournalReader(stage.path) as reader:
        assert reader.count == 1


def test_before_the_desk_knows_what_became_of_its_orders_none_leaves(tmp_path: Path) -> None:
    """A cancel does: it can only make less of what may be."""
    order, cancel = make_intent(0), make_cancel(make_intent(1))

    async def scenario(stage: Stage) -> None:
        stage.box.is_open = False
        _, two = await stage.commit(order, cancel)
        assert stage.sent == ["cancel", f"release:{two}"]
        assert stage.box.outstanding == {(cancel.iid, True)}
        stage.box.is_open = True
        (three,) = await stage.commit(make_intent(2))
        assert stage.sent[2:] == ["order", f"release:{three}"]

    stage = play(tmp_path, scenario)

    assert [(void.round, void.iids) for void in stage.voids] == [(order.round, (order.iid,))]
    with JournalReader(stage.path) as reader:
        assert reader.count == 3, "what was decided is recorded all the same"


def test_order_whose_commit_came_too_late_is_dropped_and_taken_back(tmp_path: Path) -> None:
    late, good = make_intent(0, send_by=time.monotonic_ns() - 1), make_intent(1)

    async def scenario(stage: Stage) -> None:
        one, two = await stage.commit(late, good)
        assert stage.sent == ["order", "order", f"drop:{one}", f"release:{two}"]
        assert stage.box.outstanding == {(good.iid, False)}

    stage = play(tmp_path, scenario)

    assert [void.iids for void in stage.voids] == [(late.iid,)]
    assert stage.voids[0].why.startswith("commit after send_by, head ")


def test_orders_of_an_earlier_life_are_kept_and_never_sent(tmp_path: Path) -> None:
    order = make_intent()

    async def scenario(stage: Stage) -> None:
        stage.box.keep(stage.group(order), 2)
        stage.journal.flush()
        assert stage.journal.epoch == 2

    stage = play(tmp_path, scenario)

    assert (stage.sent, stage.box.outstanding) == ([], set())
    with JournalReader(stage.path) as reader:
        assert reader.count == 1


def test_order_that_could_not_be_written_is_never_released(tmp_path: Path) -> None:
    """The same client order id twice: the database refuses, and the desk ends."""
    order = make_intent()

    async def scenario(stage: Stage) -> None:
        await stage.commit(order)
        await stage.commit(order)

    stage = play(tmp_path, scenario)

    assert stage.sent == ["order", "release:1", "order"]
    assert [str(error)[:41] for error in stage.failed] == ["a group with orders could not be committed"[:41]]


def test_orders_are_taken_back_round_by_round() -> None:
    ours, theirs = make_intent(0), make_intent(1, round=b"r" * 16)

    found = voids([ours, theirs, make_intent(2)], "why")

    assert [(void.round, len(void.iids), void.why) for void in found] == [
        (ours.round, 2, "why"), (theirs.round, 1, "why"),
    ]  # fmt: skip


def test_change_of_limits_is_confirmed_when_it_is_durable(tmp_path: Path) -> None:
    done = LimitsSet(n=1, version=1, key="max_gross", before="0.80", value="0.5")
    refused = LimitsSet(n=2, version=1, key="max_net", before="0.80", value="0.80", refused="why")

    async def scenario(stage: Stage) -> None:
        await stage.commit(done)
        await stage.commit(refused, make_intent(0))
        await asyncio.to_thread(stage.journal.flush)
        await asyncio.sleep(0)

    stage = play(tmp_path, scenario)
    said = [(text, durable) for text, durable in zip(stage.sent, stage.durable_at, strict=True)
            if text.startswith("limits:")]  # fmt: skip
    words = [read_word(text.encode()) for text, _ in said]
    assert words == [
        Confirmed(n=1, values={"max_gross": "0.5"}),
        Confirmed(n=2, values={"max_net": "0.80"}, refused=True),
    ]
    assert [durable >= least for (_, durable), least in zip(said, (1, 3), strict=True)] == [True, True]
