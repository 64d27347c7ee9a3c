"""From groups of a journal to rows of the read model: what a batch adds and what it changes.

Problem: however a journal is cut into batches, and wherever a shipper was killed, the tables must come out
the same. So a batch is folded into rows that either stand for themselves (record, decision, fill, equity) or
merge by a rule that does not see the cut: the first wins (how a round opened), the last wins (how it ended,
what the account holds), or counts add up.

Not here: orders, whose fold needs what was stored before (`orders`); SQL (`write`).

Invariant: no state outlives a batch.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from parley.messages import (
    KIND_OF,
    Ack,
    AgentFaulted,
    CancelIntent,
    Cfp,
    Crossed,
    Decision,
    Fill,
    Intent,
    Late,
    Message,
    OrderEvent,
    Silence,
    StateView,
    Trigger,
    Unknown,
    VenueReject,
    Void,
    WeightUpdate,
    decode,
    decode_envelope,
)
from runtime.journal.tail import TailGroup
from runtime.shipper.follow import Place, Refused, Stream
from runtime.shipper.values import as_json, clean, list_json, moment, texts_json

OrderMessage = Decision | Intent | CancelIntent | Ack | VenueReject | Unknown | OrderEvent | Fill | Void
Row = tuple[Any, ...]

# Counted by who sent them, without looking inside.
_COUNTED: Final = {
    KIND_OF["Opinion"]: "opinions",
    KIND_OF["Proposal"]: "proposals",
    KIND_OF["Refuse"]: "refusals",
}
_DECODED: Final = frozenset(
    KIND_OF[name]
    for name in (
        "Trigger", "Cfp", "Decision", "Crossed", "Void", "StateView", "Intent", "CancelIntent", "Ack",
        "VenueReject", "Unknown", "OrderEvent", "Fill", "WeightUpdate", "Silence", "Late", "AgentFaulted",
    )
)  # fmt: skip


class RoundRow(msgspec.Struct):
    """What a batch knows of a round; None where another batch does."""

    opened_seq: int
    t: int
    symbol: str
    trigger: str = ""
    asked: str = "[]"
    outcome: str = ""
    agent: str = ""
    proposals: int = 0
    reason: tuple[str, str, str] = ("", "", "")
    decided_seq: int | None = None


class AgentRow(msgspec.Struct):
    """What a batch adds to an agent's counts, and its newest weight and standing."""

    words: int = 0
    opinions: int = 0
    proposals: int = 0
    refusals: int = 0
    silences: int = 0
    lates: int = 0
    faults: int = 0
    strikes: int | None = None
    quarantined: bool | None = None
    weight: float | None = None
    last_seq: int = 0
    last_at: datetime | None = None


class Batch:
    """The rows of some groups, in journal order."""

    def __init__(self, stream: Stream, place: Place, groups: Sequence[TailGroup]) -> None:
        """Fold the groups.

        Raises
        ------
        Refused
            When a record cannot be read.
        """
        self.stream = stream
        self.journal: list[Row] = []
        self.groups: list[Row] = []
        self.rounds: dict[bytes, RoundRow] = {}
        self.decisions: list[Row] = []
        self.fills: list[Row] = []
        self.equity: list[Row] = []
        self.agents: dict[str, AgentRow] = {}
        self.accounts: dict[str, tuple[int, StateView]] = {}  # account -> seq and newest state
        self.order_messages: list[tuple[int, OrderMessage]] = []
        self._traded: set[bytes] = set()  # rounds of this batch in which something changed hands inside
        self._size = 0
        for group in groups:
            self._take_group(group, place.file_first_seq)
        last = groups[-1].row
        self.end = Place(
            place.file_first_seq, last.gid, last.last_seq, last.hash, last.t_commit, place.t_market,
            place.bytes + self._size,
        )  # fmt: skip

    def _take_group(self, group: TailGroup, file_first_seq: int) -> None:
        row = group.row
        key = (self.stream.tenant, self.stream.run_id, self.stream.name)
        self.groups.append(
            (
                *key,
                file_first_seq,
                row.gid,
                row.epoch,
                row.first_seq,
                row.last_seq,
                row.t_commit,
                row.prev_hash,
                row.hash,
            )
        )
        seq = row.first_seq
        is_desk = self.stream.name == "desk"
        try:
            at = moment(row.t_commit)
            for record in group.records:
                seq = record.seq
                sender = self._take(seq, record.kind, record.body, at) if is_desk else None
                self._size += len(record.body)
                self.journal.append((*key, seq, at, row.gid, record.kind, record.round, sender, record.body))
        except (msgspec.MsgspecError, OverflowError) as error:
            raise Refused(f"record {seq} of run {self.stream.run_id!r} cannot be read: {error}") from error

    def _take(self, seq: int, kind: int, body: bytes, at: datetime) -> str:
        envelope = decode_envelope(body)
        sender = clean(envelope.sender)
        if "/" in sender:  # role/name: an agent
            agent = self._agent(sender)
            agent.words += 1
            agent.last_seq, agent.last_at = seq, at
            if kind in _COUNTED:
                counter = _COUNTED[kind]
                setattr(agent, counter, getattr(agent, counter) + 1)
        if kind in _DECODED:
            self._fold(seq, envelope.round, decode(envelope.body))
        return sender

    def _fold(self, seq: int, round_: bytes, message: Message) -> None:
        match message:
            case Trigger():
                self._round(round_, seq, message.t, message.symbol).trigger = clean(message.kind)
            case Cfp():
                row = self._round(round_, seq, message.t, message.symbols[0] if message.symbols else "")
                row.asked = texts_json(message.to_agents)
            case Decision():
                self._decision(seq, message)
                self.order_messages.append((seq, message))
            case Crossed():
                self._traded.add(message.round)
            case Void():
                if message.round not in self._traded:  # of another batch: as the row meets the one there
                    self._round(message.round, seq, 0, "").outcome = "void"
                self.order_messages.append((seq, message))
            case StateView():
                self._state(seq, message)
            case Fill():
                self._fill(seq, message)
                self.order_messages.append((seq, message))
            case Intent() | CancelIntent() | Ack() | VenueReject() | Unknown() | OrderEvent():
                self.order_messages.append((seq, message))
            case WeightUpdate():
                for name, weight in message.weights:
                    self._agent(clean(name)).weight = weight
            case Silence():
                self._agent(clean(message.agent)).silences += 1
            case Late():
                self._agent(clean(message.agent)).lates += 1
            case AgentFaulted():
                agent = self._agent(clean(message.agent))
                agent.faults += 1
                agent.strikes, agent.quarantined = message.strikes, message.quarantined
            case _:
                pass

    def _round(self, round_: bytes, seq: int, t: int, symbol: str) -> RoundRow:
        row = self.rounds.get(round_)
        if row is None:
            row = self.rounds[round_] = RoundRow(opened_seq=seq, t=t, symbol=clean(symbol))
        return row

    def _agent(self, name: str) -> AgentRow:
        row = self.agents.get(name)
        if row is None:
            row = self.agents[name] = AgentRow()
        return row

    def _decision(self, seq: int, d: Decision) -> None:
        row = self._round(d.round, seq, d.t, d.symbol)
        who, code, detail = d.reasons[0] if d.reasons else ("", "", "")
        row.outcome, row.agent, row.proposals = clean(d.action), clean(d.agent), d.proposals
        row.reason, row.decided_seq = (clean(who), clean(code), clean(detail)), seq
        self.decisions.append(
            (
                self.stream.tenant,
                self.stream.run_id,
                seq,
                d.round,
                d.t,
                clean(d.symbol),
                d.pid,
                clean(d.agent),
                clean(d.action),
                d.qty,
                d.qty_wanted,
                d.px,
                d.score,
                d.margin_of_win,
                d.weights_version,
                d.quorum,
                d.proposals,
                texts_json(d.reasons),
                list_json(d.bounds),
                list_json(d.votes),
                list_json(d.dissent),
                list_json(d.plan),
            )
        )

    def _fill(self, seq: int, f: Fill) -> None:
        self.fills.append(
            (
                self.stream.tenant,
                self.stream.run_id,
                clean(f.venue),
                clean(f.account),
                clean(f.symbol),
                clean(f.trade_id),
                seq,
                f.iid,
                clean(f.venue_id),
                clean(f.side),
                f.qty,
                f.px,
                f.fee,
                clean(f.fee_asset),
                clean(f.liquidity),
                f.t,
            )
        )

    def _state(self, seq: int, s: StateView) -> None:
        account = clean(s.account)
        self.accounts[account] = (seq, s)
        self.equity.append(
            (
                self.stream.tenant,
                self.stream.run_id,
                account,
                seq,
                s.t,
                s.equity,
                s.peak,
                s.day_open,
                s.realised,
                s.fees,
                clean(s.trading),
            )
        )


def account_row(stream: Stream, account: str, seq: int, s: StateView) -> Row:
    """Return the row of an account's newest state."""
    return (
        stream.tenant, stream.run_id, account, seq, s.t, s.state_version, clean(s.quote), clean(s.trading),
        s.equity, list_json(s.cash), list_json(s.holdings), list_json(s.reservations), list_json(s.blocked),
    )  # fmt: skip


def position_rows(stream: Stream, account: str, seq: int, s: StateView) -> list[Row]:
    """Return the rows of an account's positions."""
    return [
        (stream.tenant, stream.run_id, account, clean(p.symbol), seq, s.t, p.qty, p.avg_px, p.realised,
         p.unrealised, p.mark)
        for p in s.positions
    ]  # fmt: skip


def config_json(text: str) -> str | None:
    """Return a run's configuration as JSON that a database takes; None when there is none."""
    if not text:
        return None
    try:
        return as_json(msgspec.json.decode(text))
    except msgspec.DecodeError:
        return None
