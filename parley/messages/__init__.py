"""The wire contracts: everything two agents, or two processes, must agree on."""

from .account import Cash, Holding, Position, Reservation, Stale, StateView, WorkingOrder
from .codec import KIND_OF, KINDS, NAMES, TYPES, Message, decode, decode_envelope, encode
from .control import (
    AgentFaulted, Breaker, Halt, Heartbeat, Outcome, Shutdown, Snapshot, Started, WeightUpdate,
)
from .market import Bar, Book, MarketBatch, Print, Trigger
from .negotiation import (
    Allocation, Bound, Breach, Cfp, Child, Counter, CounterReply, Decision, Dissent, Late, Leg,
    NotUnderstood, PlanLeg, Proposal, Ranked, Ranking, Refuse, Review, Silence, Verdict,
)
from .orders import (
    Ack, Attempt, Balance, CancelIntent, CancelRequest, Fill, Gap, GateRefusal, Intent, OrderEvent,
    OrderRequest, ScheduleDone, Unknown, VenueReject, Void,
)
from .signals import AnalysisReady, Ballot, Opinion, Vote
from .wire import Envelope, Wire

__all__ = [
    "KINDS", "KIND_OF", "NAMES", "TYPES",
    "Ack", "AgentFaulted", "Allocation", "AnalysisReady", "Attempt", "Balance", "Ballot", "Bar", "Book",
    "Bound", "Breach", "Breaker", "CancelIntent", "CancelRequest", "Cash", "Cfp", "Child", "Counter",
    "CounterReply", "Decision", "Dissent", "Envelope", "Fill", "Gap", "GateRefusal", "Halt", "Heartbeat",
    "Holding", "Intent", "Late", "Leg", "MarketBatch", "Message", "NotUnderstood", "Opinion", "OrderEvent",
    "OrderRequest", "Outcome", "PlanLeg", "Position", "Print", "Proposal", "Ranked", "Ranking", "Refuse",
    "Reservation", "Review", "ScheduleDone", "Shutdown", "Silence", "Snapshot", "Stale", "Started",
    "StateView", "Trigger", "Unknown", "VenueReject", "Verdict", "Void", "Vote", "WeightUpdate", "Wire",
    "WorkingOrder", "decode", "decode_envelope", "encode",
]
