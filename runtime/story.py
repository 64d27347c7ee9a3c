"""What a told round consists of: the structs that `parley explain --json` prints, field by field.

Not here: where it comes from (`explain`), how it looks on a terminal (`commands.explain`).

Invariant: names and meanings here are what programs rely on; they are only added to.
"""

from decimal import Decimal

import msgspec

from parley.messages import Bound, Breach, Child, Dissent, Fill, Leg, Outcome, PlanLeg
from runtime.shortfall import OrderCost


class Evidence(msgspec.Struct, kw_only=True):
    """An opinion a proposal rests on."""

    oid: str
    agent: str
    symbol: str
    direction: float
    conf: float
    regime: str
    why: str


class Bid(msgspec.Struct, kw_only=True):
    """A proposal; ``revises`` names the one it replaces, ``score``, ``size`` and ``dropped`` are meta's."""

    pid: str
    agent: str
    why: str
    urgency: str
    edge_bps: float
    conf: float
    stop: Decimal | None
    take: Decimal | None
    legs: tuple[Leg, ...]
    coupled: bool
    reduce_only: bool
    evidence: list[Evidence] = []
    revises: str = ""
    chosen: bool = False
    score: float | None = None
    size: float | None = None
    dropped: str = ""


class Said(msgspec.Struct, kw_only=True):
    """An agent's word with its code: a refusal, a silence, a fault, a reason of the decision."""

    agent: str
    code: str
    detail: str = ""


class VoteCast(msgspec.Struct, kw_only=True):
    """What counted for or against a proposal, and the weight of who said it."""

    agent: str
    pid: str
    score: float
    conf: float
    weight: float | None = None
    abstain: bool = False
    why: str = ""


class Advice(msgspec.Struct, kw_only=True):
    """A counter of a reviewer, or of the desk to the proposer; only what is set was said."""

    agent: str
    code: str
    binding: bool
    reject: bool
    qty_max: Decimal | None
    px_limit: Decimal | None
    style: str | None
    tif: str | None
    split: tuple[Child, ...]
    detail: str


class Reply(msgspec.Struct, kw_only=True):
    """The proposer's answer to a counter."""

    agent: str
    action: str
    pid: str = ""
    code: str = ""
    detail: str = ""


class Judgement(msgspec.Struct, kw_only=True):
    """Risk's verdict on a quantity."""

    agent: str
    ok: bool
    max_qty: Decimal
    breached: tuple[Breach, ...]


class OrderStory(msgspec.Struct, kw_only=True):
    """An order of the round and what became of it; amounts in the symbol's quote, fees by asset."""

    cid: str
    leg: int
    child: int
    symbol: str
    side: str
    style: str
    tif: str
    qty: Decimal
    px: Decimal | None
    ref_px: Decimal | None
    state: str
    venue_id: str
    cause: str
    filled: Decimal
    avg_px: Decimal | None
    fees: dict[str, Decimal]
    fills: list[Fill] = []
    trigger: Decimal | None = None


class Part(msgspec.Struct, kw_only=True):
    """A decided leg at its exchange, of a desk at several; ``qty`` zero: the gate let none of it pass.

    ``px`` is the decided price, ``avg_px`` what was paid or got; ``fees`` by coin.
    """

    leg: int
    exchange: str
    symbol: str
    side: str
    qty: Decimal
    px: Decimal | None
    orders: int = 0
    fills: int = 0
    filled: Decimal = Decimal(0)
    avg_px: Decimal | None = None
    fees: dict[str, Decimal] = {}


class Met(msgspec.Struct, kw_only=True):
    """What an exit gave the round's opening inside; ``saved``: about, of fees and spread, in quote."""

    seller: str
    buyer: str
    symbol: str
    qty: Decimal
    px: Decimal
    saved: Decimal


class Story(msgspec.Struct, kw_only=True):
    """A round; ``t`` market ns, money in ``quote``."""

    round: str
    symbol: str
    t: int = 0
    trigger: str = ""
    outcome: str = ""
    reason: str = ""
    quote: str = ""
    asked: tuple[str, ...] = ()
    not_asked: list[Said] = []  # strategies that a candle's round passed over
    reduce_only: bool = False
    regime: str = ""
    bids: list[Bid] = []
    refusals: list[Said] = []
    votes: list[VoteCast] = []
    weights_version: int = 0
    quorum: float = 0.0
    margin_of_win: float = 0.0
    bounds: list[Bound] = []
    counters: list[Advice] = []
    replies: list[Reply] = []
    verdicts: list[Judgement] = []
    gate: list[Said] = []
    faults: list[Said] = []
    reasons: list[Said] = []
    open_trades: str = ""  # the setting that binds, if the round met the number of open trades
    dissent: list[Dissent] = []
    qty_wanted: Decimal = Decimal(0)
    qty: Decimal = Decimal(0)
    plan: list[PlanLeg] = []
    orders: list[OrderStory] = []
    requests: list[Said] = []
    outcomes: list[Outcome] = []
    fees: dict[str, Decimal] = {}
    pnl: Decimal | None = None
    costs: list[OrderCost] = []  # what each decided leg cost against its decision
    crossed: list[Met] = []
    parts: list[Part] = []  # what went to which exchange, where there are several
