"""The state machine of a round: one table, no I/O, no clock.

Everything that can happen to a round stands in `TRANSITIONS`; what is not in the
table is a bug and raises. The protocol's questions and answers are in
`negotiation`; this file only knows which step may follow which. Termination:
every path ends in a terminal state, and `COUNTER` can be re-entered at most twice
because each pass may only shrink the risk (negotiation 3.2).
"""

from enum import StrEnum

from parley.errors import StateError


class State(StrEnum):
    """Where a round stands."""

    OPEN = "open"
    BIDDING = "bidding"
    SCORED = "scored"
    COUNTER = "counter"
    RISK = "risk"
    DECIDED = "decided"
    COMMITTED = "committed"
    DISPATCHED = "dispatched"
    ACKED = "acked"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    WORKING = "working"
    DONE = "done"
    HOLD = "hold"
    REFUSED = "refused"
    EXPIRED = "expired"
    VOID = "void"


class Event(StrEnum):
    """What can happen to a round."""

    CALLED = "called"
    BIDS_IN = "bids_in"
    NO_BIDS = "no_bids"
    RANKED = "ranked"
    NONE_RANKED = "none_ranked"
    META_SILENT = "meta_silent"
    NO_QUORUM = "no_quorum"
    COUNTERED = "countered"
    SETTLED = "settled"
    WITHDRAWN = "withdrawn"
    BOUND_TO_ZERO = "bound_to_zero"
    CAPITAL_SILENT = "capital_silent"
    COUPLING_REFUSED = "coupling_refused"
    APPROVED = "approved"
    RISK_REFUSED = "risk_refused"
    RISK_SILENT = "risk_silent"
    STATE_MOVED = "state_moved"
    GATE_REFUSED = "gate_refused"
    COMMITTED = "committed"
    COMMIT_LATE = "commit_late"
    DISPATCHED = "dispatched"
    ACK = "ack"
    REJECT = "reject"
    UNKNOWN = "unknown"
    FILL = "fill"
    ALL_FINAL = "all_final"


S, E = State, Event

TRANSITIONS: dict[tuple[State, Event], State] = {
    (S.OPEN, E.CALLED): S.BIDDING,
    (S.BIDDING, E.NO_BIDS): S.HOLD,
    (S.BIDDING, E.BIDS_IN): S.SCORED,
    # meta's silence refuses every opening; a protective exit goes on without a ranking
    (S.SCORED, E.META_SILENT): S.REFUSED,
    (S.SCORED, E.NO_QUORUM): S.HOLD,
    (S.SCORED, E.NONE_RANKED): S.HOLD,
    (S.SCORED, E.RANKED): S.COUNTER,
    (S.COUNTER, E.COUNTERED): S.COUNTER,
    (S.COUNTER, E.SETTLED): S.RISK,
    (S.COUNTER, E.WITHDRAWN): S.REFUSED,
    (S.COUNTER, E.BOUND_TO_ZERO): S.REFUSED,
    (S.COUNTER, E.CAPITAL_SILENT): S.REFUSED,
    (S.COUNTER, E.COUPLING_REFUSED): S.REFUSED,
    (S.RISK, E.APPROVED): S.DECIDED,
    (S.RISK, E.RISK_REFUSED): S.REFUSED,
    (S.RISK, E.RISK_SILENT): S.REFUSED,
    (S.RISK, E.STATE_MOVED): S.EXPIRED,
    # the gate stands between DECIDED and COMMITTED
    (S.DECIDED, E.GATE_REFUSED): S.REFUSED,
    (S.DECIDED, E.COMMITTED): S.COMMITTED,
    (S.COMMITTED, E.COMMIT_LATE): S.VOID,
    (S.COMMITTED, E.DISPATCHED): S.DISPATCHED,
    (S.DISPATCHED, E.ACK): S.ACKED,
    (S.DISPATCHED, E.REJECT): S.REJECTED,
    (S.DISPATCHED, E.UNKNOWN): S.UNKNOWN,
    (S.DISPATCHED, E.FILL): S.WORKING,
    (S.DISPATCHED, E.COMMIT_LATE): S.VOID,
    (S.DISPATCHED, E.ALL_FINAL): S.DONE,
    (S.ACKED, E.FILL): S.WORKING,
    (S.ACKED, E.REJECT): S.ACKED,
    (S.ACKED, E.UNKNOWN): S.UNKNOWN,
    (S.ACKED, E.ACK): S.ACKED,
    (S.ACKED, E.ALL_FINAL): S.DONE,
    (S.REJECTED, E.ACK): S.ACKED,
    (S.REJECTED, E.REJECT): S.REJECTED,
    (S.REJECTED, E.FILL): S.WORKING,
    (S.REJECTED, E.UNKNOWN): S.UNKNOWN,
    (S.REJECTED, E.ALL_FINAL): S.DONE,
    (S.UNKNOWN, E.ACK): S.ACKED,
    (S.UNKNOWN, E.REJECT): S.REJECTED,
    (S.UNKNOWN, E.FILL): S.WORKING,
    (S.UNKNOWN, E.UNKNOWN): S.UNKNOWN,
    (S.UNKNOWN, E.ALL_FINAL): S.DONE,
    (S.WORKING, E.ACK): S.WORKING,
    (S.WORKING, E.REJECT): S.WORKING,
    (S.WORKING, E.UNKNOWN): S.UNKNOWN,
    (S.WORKING, E.FILL): S.WORKING,
    (S.WORKING, E.ALL_FINAL): S.DONE,
}

TERMINAL = frozenset({S.DONE, S.HOLD, S.REFUSED, S.EXPIRED, S.VOID})
MAX_COUNTERS = 2
MAX_RECHECKS = 2


class Round:
    """One round: its id, its symbol and where it stands; mutable, moved by `on` only."""

    __slots__ = ("counters", "id", "rechecks", "state", "symbol")

    def __init__(self, id_: bytes, symbol: str) -> None:
        self.id = id_
        self.symbol = symbol
        self.state = State.OPEN
        self.counters = 0
        self.rechecks = 0

    def on(self, event: Event) -> State:
        """Move by an event.

        Raises
        ------
        StateError
            When the table has no such step, or a third counter iteration is tried.
        """
        following = TRANSITIONS.get((self.state, event))
        if following is None:
            raise StateError(
                f"round {self.id.hex()} has no step from {self.state.value!r} on {event.value!r}"
            )
        if event is Event.COUNTERED:
            self.counters += 1
            if self.counters > MAX_COUNTERS:
                raise StateError(
                    f"round {self.id.hex()} allows {MAX_COUNTERS} counter iterations, was {self.counters}"
                )
        self.state = following
        return following

    def is_at(self, state: State) -> bool:
        """Whether the round stands there now; a question, because asking an agent may move it."""
        return self.state is state

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL
