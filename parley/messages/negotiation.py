"""The messages of a round, from the call to the decision (negotiation 2.2 and 3).

Every price, quantity and amount of money is a Decimal; edges, confidences and
scores are floats. Reasons are codes (`"no_signal"`, `"risk_silent"`) so that
"why did it not trade?" is a query, never a parse of prose.
"""

from decimal import Decimal

from .wire import Wire


class Cfp(Wire, frozen=True, kw_only=True, tag=30):
    """Call for proposals. ``regime``: what signal agents see; ``reply_by``: monotonic ns (0: the cascade)."""

    symbols: tuple[str, ...]
    budget_hint: Decimal
    horizon_ms: int
    min_edge_bps: float
    state_version: int
    t: int
    reduce_only: bool = False
    reply_by: int = 0
    md_seq: int = 0
    to_agents: tuple[str, ...] = ()  # empty: every bidder awake
    round: bytes = b""  # names the proposals: the same round after a crash gives the same intents


class Leg(Wire, frozen=True, kw_only=True):
    """One order wanted. ``side`` buy, sell; ``qty`` base; ``tif`` GTC, IOC, FOK.

    No ``limit_px``: what reduces goes at market, what opens at the worst price that its slippage allows.
    """

    symbol: str
    side: str
    qty: Decimal
    limit_px: Decimal | None = None
    tif: str = "GTC"
    post_only: bool = False
    reduce_only: bool = False


class Proposal(Wire, frozen=True, kw_only=True, tag=31):
    """What an agent wants to trade and what it expects of it.

    ``edge_bps`` is the expected move in its favour before costs, ``conf`` a
    calibrated probability in [0, 1], ``stop`` and ``take`` prices, ``evidence``
    the opinion ids it rests on, ``why`` a code and at most 256 bytes.
    ``coupled`` legs are all or none.
    """

    pid: bytes
    agent: str
    agent_version: str
    symbol: str
    legs: tuple[Leg, ...]
    edge_bps: float
    conf: float
    horizon_ms: int
    stop: Decimal | None
    take: Decimal | None
    max_slippage_bps: float
    ttl_ns: int
    why: str
    features_hash: bytes = b""
    evidence: tuple[bytes, ...] = ()
    parent_pid: bytes = b""
    coupled: bool = False
    urgency: str = "normal"  # patient: may rest; normal; urgent: must cross now (a stop)

    @property
    def reduce_only(self) -> bool:
        return all(leg.reduce_only for leg in self.legs)


class Refuse(Wire, frozen=True, kw_only=True, tag=32):
    """An agent was asked and does not bid; ``code`` says why, ``detail`` with which numbers."""

    agent: str
    code: str
    detail: str = ""


class Protect(Wire, frozen=True, kw_only=True, tag=84):
    """A holder's stop moved nearer to the price: the desk has the venue's order follow.

    ``opened`` (market ns) says of which holding; what would loosen the stop changes nothing.
    """

    agent: str
    symbol: str
    opened: int
    stop: Decimal


class NotUnderstood(Wire, frozen=True, kw_only=True, tag=33):
    """An answer broke the protocol: the agent gets a strike."""

    agent: str
    code: str
    detail: str = ""


class Late(Wire, frozen=True, kw_only=True, tag=34):
    """An answer came after its stage closed: journaled, ignored, counted against the agent."""

    agent: str
    stage: str
    msg_hash: bytes
    by_ns: int


class Silence(Wire, frozen=True, kw_only=True, tag=35):
    """An agent that was asked had not answered when the stage closed."""

    agent: str
    stage: str


class Ranked(Wire, frozen=True, kw_only=True):
    """A proposal's place: ``score`` by the weights less cost, ``size`` in [0, 1] of what the bounds allow."""

    pid: bytes
    score: float
    size: float


class Dissent(Wire, frozen=True, kw_only=True):
    """A vote against what was decided."""

    agent: str
    pid: bytes
    score: float
    conf: float
    weight: float


class Ranking(Wire, frozen=True, kw_only=True, tag=36):
    """The meta-decision agent's answer to a rank `Ballot`; best first; below-threshold proposals stay out."""

    round: bytes
    ranked: tuple[Ranked, ...]
    margin_of_win: float
    weights_version: int
    quorum: float
    dissent: tuple[Dissent, ...] = ()
    dropped: tuple[tuple[bytes, str], ...] = ()  # (pid, code) of those not ranked


class Review(Wire, frozen=True, kw_only=True, tag=37):
    """Asks a reviewer about a proposal's current numbers. ``stage``: capital, execution, arbitrage, risk."""

    round: bytes
    pid: bytes
    stage: str
    proposal: Proposal
    size: float
    state_version: int
    t: int
    reply_by: int = 0


class Child(Wire, frozen=True, kw_only=True):
    """A slice of a leg: ``qty`` in base, due ``delay_ms`` of market time after the decision."""

    qty: Decimal
    delay_ms: int


class Counter(Wire, frozen=True, kw_only=True, tag=38):
    """A reviewer's change: only the fields that are set. Binding from capital and risk, otherwise advice.

    ``style``: a name of `parley.execution.styles`. ``reject`` refuses outright with
    ``code`` (a coupled cycle the arbitrage agent no longer sees, say).
    """

    pid: bytes
    agent: str
    code: str
    binding: bool
    qty_max: Decimal | None = None
    px_limit: Decimal | None = None
    tif: str | None = None
    venue: str | None = None
    style: str | None = None
    split: tuple[Child, ...] = ()
    delay_ms: int = 0
    reject: bool = False
    detail: str = ""


class CounterReply(Wire, frozen=True, kw_only=True, tag=39):
    """The proposer's answer to counters: accept, revise (with ``proposal``) or withdraw."""

    pid: bytes
    agent: str
    action: str
    proposal: Proposal | None = None
    code: str = ""  # why it was revised or withdrawn
    detail: str = ""


class Bound(Wire, frozen=True, kw_only=True):
    """A number that limits a quantity: who set it, which rule, and how much base it leaves."""

    agent: str
    code: str
    qty_max: Decimal


class Allocation(Wire, frozen=True, kw_only=True, tag=40):
    """Capital's binding answer: at most ``max_qty`` of leg 0, and every bound it looked at."""

    pid: bytes
    agent: str
    max_qty: Decimal
    margin_reserved: Decimal
    reservation_id: bytes
    version: int
    bounds: tuple[Bound, ...]
    code: str


class Breach(Wire, frozen=True, kw_only=True):
    """A limit, the value found and its cap, as decimal text."""

    limit: str
    value: str
    cap: str


class Verdict(Wire, frozen=True, kw_only=True, tag=41):
    """Risk's last word on the final numbers, good for one state version until ``valid_until`` (market ns)."""

    pid: bytes
    agent: str
    ok: bool
    max_qty: Decimal
    breached: tuple[Breach, ...]
    state_version: int
    risk_epoch: int
    valid_until: int


class PlanLeg(Wire, frozen=True, kw_only=True):
    """How a decided leg is worked: the first child's order and the children that follow it."""

    symbol: str
    side: str
    qty: Decimal
    style: str
    px: Decimal | None
    tif: str
    reduce_only: bool
    children: tuple[Child, ...] = ()


class Decision(Wire, frozen=True, kw_only=True, tag=42):
    """The terminal word of a round: ``action`` accept, reject or hold (also expired, void).

    ``reasons`` are (agent or stage, code, detail); ``bounds`` every limit that was
    looked at, the binding one first; ``votes`` what counted, ``dissent`` what
    counted against.
    """

    round: bytes
    symbol: str
    pid: bytes
    agent: str
    action: str
    qty: Decimal
    px: Decimal | None
    score: float
    margin_of_win: float
    weights_version: int
    quorum: float
    reasons: tuple[tuple[str, str, str], ...]
    dissent: tuple[Dissent, ...] = ()
    votes: tuple[tuple[str, bytes, float, float], ...] = ()  # agent, pid, score, conf
    bounds: tuple[Bound, ...] = ()
    plan: tuple[PlanLeg, ...] = ()
    proposals: int = 0
    t: int = 0
    qty_wanted: Decimal = Decimal(0)
