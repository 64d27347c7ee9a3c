"""Encode and decode messages; the one table of kinds.

`decode` knows the type from the tag inside the bytes; `KINDS` gives the tag of a
type, which is also the journal's ``kind`` column.
"""

from typing import Final

import msgspec

from .account import Stale, StateView
from .control import (
    AgentFaulted,
    Alarm,
    ApprovalAsked,
    Breaker,
    Halt,
    Heartbeat,
    Killed,
    LimitChange,
    LimitsSet,
    Outcome,
    Shed,
    Shutdown,
    Snapshot,
    Started,
    Strain,
    VenueFault,
    WeightUpdate,
)
from .market import Bar, Book, Mark, MarketBatch, Print, Trigger
from .negotiation import (
    Allocation,
    Cfp,
    Counter,
    CounterReply,
    Decision,
    Late,
    NotUnderstood,
    Proposal,
    Protect,
    Ranking,
    Refuse,
    Review,
    Silence,
    Verdict,
)
from .orders import (
    Ack,
    Attempt,
    Balance,
    CancelIntent,
    CancelRequest,
    Compared,
    Crossed,
    Fill,
    FundingPaid,
    Gap,
    GateRefusal,
    Intent,
    OrderEvent,
    OrderRequest,
    ScheduleDone,
    Unknown,
    VenueReject,
    Void,
)
from .signals import Analysed, AnalysisReady, Ballot, Opinion, Vote
from .wire import Envelope

Message = (
    Bar
    | Print
    | Book
    | Mark
    | MarketBatch
    | Trigger
    | Opinion
    | AnalysisReady
    | Analysed
    | Ballot
    | Vote
    | Cfp
    | Proposal
    | Protect
    | Refuse
    | NotUnderstood
    | Late
    | Silence
    | Ranking
    | Review
    | Counter
    | CounterReply
    | Allocation
    | Verdict
    | Decision
    | StateView
    | Stale
    | OrderRequest
    | CancelRequest
    | ScheduleDone
    | Intent
    | CancelIntent
    | Attempt
    | Ack
    | VenueReject
    | Unknown
    | OrderEvent
    | Fill
    | Gap
    | Compared
    | FundingPaid
    | Balance
    | Void
    | GateRefusal
    | Outcome
    | WeightUpdate
    | Halt
    | Breaker
    | AgentFaulted
    | Snapshot
    | Heartbeat
    | Started
    | Shutdown
    | Strain
    | Shed
    | Killed
    | Alarm
    | LimitChange
    | LimitsSet
    | ApprovalAsked
    | VenueFault
    | Crossed
)

TYPES: Final[tuple[type[msgspec.Struct], ...]] = Message.__args__
KINDS: Final[dict[type[msgspec.Struct], int]] = {t: int(str(t.__struct_config__.tag)) for t in TYPES}
NAMES: Final[dict[int, str]] = {k: t.__name__ for t, k in KINDS.items()}
KIND_OF: Final[dict[str, int]] = {name: kind for kind, name in NAMES.items()}

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_envelopes: msgspec.msgpack.Decoder[Envelope] = msgspec.msgpack.Decoder(Envelope)

encode = _encoder.encode


def decode(raw: bytes) -> Message:
    """Decode one message by its tag.

    Raises
    ------
    msgspec.DecodeError
        When the bytes are no message; ``msgspec.ValidationError`` when a field has the wrong type.
    """
    return _decoder.decode(raw)


def decode_envelope(raw: bytes) -> Envelope:
    """Decode an envelope; its body stays bytes."""
    return _envelopes.decode(raw)
