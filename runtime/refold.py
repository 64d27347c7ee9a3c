"""Folds a journal again: what came from outside goes through a fresh firm, with the stamps it had.

Problem: a replay proves that a journal explains itself, and a desk that starts on one must be where it left
off. Both are the same fold: the firm and its agents say everything again, and it can be laid beside the file.

Not here: what a difference means (`replay` reports it, `recovery` refuses to trade on it).

Invariant: nothing is sent and nothing is written.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator.cascade import groups_in
from orchestrator.policy import GroupOut
from parley.agent import AgentSpec, Context
from parley.bus import EMPTY_STATE, MISSED, Ask
from parley.errors import DataError
from parley.messages import KIND_OF, NAMES, Envelope, Late, Message, decode, decode_envelope

from .bootstrap import Assembly
from .journal import JournalReader, Record
from .run_config import RunConfig, run_config

# what enters a firm from outside; everything else is its own product
EXTERNAL: Final = frozenset({"supervisor", "gateway", "hub", "user", "clock", "outside"})
Said = tuple[int, bytes]
"""Kind and envelope of what the fold says at one place of the journal."""


class Refold:
    """The fold, record by record; ``message`` is what the last record brought from outside, if it did."""

    def __init__(self, assembly: Assembly) -> None:
        self.groups: list[GroupOut] = []  # what the last message from outside caused
        self.message: Message | None = None
        self._firm = assembly.firm
        self._transport = assembly.transport
        self._said: dict[int, Said] = {}

    def step(self, record: Record, envelope: Envelope) -> Said | None:
        """Say what the fold has in a record's place; one from outside is admitted first."""
        self.message = None
        if envelope.sender in EXTERNAL:
            self.message = decode(envelope.body)
            self._admit(self.message, envelope)
        return self._said.pop(record.seq, None)

    @property
    def left(self) -> dict[int, Said]:
        """What the fold said beyond the records it was shown."""
        return self._said

    def _admit(self, message: Message, envelope: Envelope) -> None:
        self._firm.table.epoch = envelope.epoch
        cascade = self._firm.admit(
            message,
            envelope.sender,
            t_event=envelope.t_event,
            t_mono=envelope.t_mono,
            t_recv=envelope.t_recv,
        )
        self.groups = [group for group in groups_in(cascade, self._transport.exchange) if group.records]
        for group in self.groups:
            for seq, kind, _, body in group.records:
                self._said[seq] = (kind, body)


def config_of(reader: JournalReader) -> RunConfig:
    """Return what a desk's journal says of its run.

    Raises
    ------
    DataError
        When the file is a gateway's journal or holds no configuration.
    """
    manifest = reader.run()
    if manifest.get("unit") != "desk" or "config" not in manifest:
        raise DataError(
            f"{str(reader.path)!r} must be a desk's journal, it is of unit {manifest.get('unit')!r}"
        )
    return run_config(manifest["config"])


class Lateness:
    """How late each answer was according to a journal's records, as `InProc` wants it."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int], int] = {}

    def note(self, record: Record) -> None:
        """Take a record of kind `Late`; others say nothing of it."""
        if record.kind != KIND_OF["Late"]:
            return
        envelope = decode_envelope(record.body)
        message = decode(envelope.body)
        if isinstance(message, Late):
            by = message.by_ns if message.msg_hash else MISSED - message.by_ns
            self._found[message.agent, envelope.cause] = by

    def __call__(self, ask: Ask) -> int:
        return self._found.get((ask.agent, ask.seq), 0)


def lateness(reader: JournalReader, after_seq: int = 0) -> Lateness:
    """Return what the records behind ``after_seq`` say of it."""
    found = Lateness()
    for record in reader.records(after_seq, kinds=[KIND_OF["Late"]]):
        found.note(record)
    return found


class Recorded:
    """An agent that repeats what it said according to a journal: one whose code a replay does not run.

    ``told``: given a list, keeps there what it is told, for a process that has to become this agent: also the
    account's states, for what it made of a message depended on the one it saw then.
    """

    def __init__(
        self, spec: AgentSpec, said: Mapping[int, Sequence[Message]], told: list[Ask] | None = None
    ) -> None:
        self.spec = spec
        self._said = said  # by the place of what it answered
        self._told = told
        self._seen = EMPTY_STATE

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        if self._told is not None:
            state = ctx.view.state
            if state is not self._seen and state is not msg:
                self._told.append(Ask(ctx.agent, ctx.seq, ctx.now, state, ctx.nth))
            self._seen = state
            self._told.append(Ask(ctx.agent, ctx.seq, ctx.now, msg, ctx.nth))
        return self._said.get(ctx.seq, ())

    def snapshot(self) -> bytes:
        return b""

    def restore(self, blob: bytes) -> None:
        return None


def recorded(reader: JournalReader, told: Mapping[str, list[Ask]] | None = None) -> dict[str, Recorded]:
    """Return the run's agents that come from outside (settled 12), as the journal has heard them.

    ``told``: by agent, a list for what it is told.
    """
    outside = outsiders(config_of(reader))
    said: dict[str, dict[int, list[Message]]] = {agent: {} for agent in outside}
    for record in reader.records() if outside else ():
        envelope = decode_envelope(record.body)
        if envelope.sender in said:
            said[envelope.sender].setdefault(envelope.cause, []).append(decode(envelope.body))
    lists = told or {}
    return {agent: Recorded(spec, said[agent], lists.get(agent)) for agent, spec in outside.items()}


def outsiders(run: RunConfig) -> dict[str, AgentSpec]:
    """Return the agents of a run whose code is not ours, by id; one of a silenced role says nothing."""
    return {spec.id: spec for spec in run.agents if spec.outside and spec.role not in run.silent}


def difference(was: bytes, again: Said | None) -> str:
    """Say in what a record and what the fold says in its place differ."""
    if again is None:
        return "nothing"
    before, after = decode_envelope(was), decode_envelope(again[1])
    if before.kind != after.kind:
        return f"{NAMES[after.kind]} instead: {decode(after.body)!r}"[:300]
    old, new = decode(before.body), decode(after.body)
    for name in old.__struct_fields__:
        if getattr(old, name) != getattr(new, name):
            return f"{name} = {getattr(new, name)!r} instead of {getattr(old, name)!r}"
    return "another envelope"
