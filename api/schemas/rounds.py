"""Rounds on the wire: a line of the list, and one told in full, as `parley explain --json` tells it."""

from typing import Any, Literal

from pydantic import Field

from api.pages import ListQuery
from api.schemas.orders import Fill, Order
from api.wire import Amount, MaybeTime, Moment, Name, Number, OpinionId, ProposalId, RoundId, Wire

Outcome = Literal["open", "accept", "reject", "hold", "expired", "void"]


class RoundQuery(ListQuery):
    """Which rounds; times are market time."""

    symbol: Name | None = None
    outcome: Outcome | None = None
    agent: Name | None = Field(default=None, description="Who made the proposal that was decided on.")
    has_proposals: bool | None = Field(default=None, description="Whether anybody bid.")
    created_at_gte: Moment | None = Field(default=None, alias="created_at.gte")
    created_at_lt: Moment | None = Field(default=None, alias="created_at.lt")
    sort: Literal["created_at", "-created_at"] = "-created_at"


class Said(Wire):
    """An agent's word with its code: a refusal, a silence, a fault, a reason of the decision."""

    agent: str
    code: str
    detail: str = ""


class Round(Wire):
    """A round in a line. ``created_at`` is market time; ``version`` grows when the round changes."""

    id: RoundId
    run: str
    symbol: str
    created_at: MaybeTime
    trigger: str
    asked: list[str]
    outcome: str = Field(description="`open` until decided; clients accept values they do not know.")
    agent: str | None = Field(description="Who made the proposal that was decided on.")
    proposals: int
    reason: Said | None = Field(description="Why nothing was traded: the first reason of the decision.")
    version: int


class Leg(Wire):
    """One order a proposal wants; amounts in the base asset, prices in the quote asset."""

    symbol: str
    side: str
    qty: Amount
    limit_px: Amount | None
    tif: str
    post_only: bool
    reduce_only: bool


class Evidence(Wire):
    """An opinion a proposal rests on."""

    oid: OpinionId
    agent: str
    symbol: str
    direction: Number
    conf: Number
    regime: str
    why: str


class Proposal(Wire):
    """What an agent wanted, on which evidence; ``score``, ``size`` and ``dropped`` are the meta agent's."""

    pid: ProposalId
    agent: str
    why: str
    urgency: str
    edge_bps: Number
    conf: Number
    stop: Amount | None
    take: Amount | None
    legs: list[Leg]
    coupled: bool
    reduce_only: bool
    evidence: list[Evidence]
    revises: ProposalId | None
    chosen: bool
    score: Number
    size: Number
    dropped: str


class Vote(Wire):
    """What counted for or against a proposal; ``weight`` null when none was told shortly before."""

    agent: str
    pid: ProposalId
    score: Number
    conf: Number
    weight: Number
    abstain: bool
    why: str


class Dissent(Wire):
    """A vote against what was decided."""

    agent: str
    pid: ProposalId
    score: Number
    conf: Number
    weight: Number


class Bound(Wire):
    """A quantity an agent allowed at most; the smallest one binds and stands first."""

    agent: str
    code: str
    qty_max: Amount


class Part(Wire):
    """A part of a split order."""

    qty: Amount
    delay_ms: int


class Counter(Wire):
    """What a reviewer wanted changed; null is what it said nothing about."""

    agent: str
    code: str
    binding: bool
    reject: bool
    qty_max: Amount | None
    px_limit: Amount | None
    style: str | None
    tif: str | None
    split: list[Part]
    detail: str


class Reply(Wire):
    """The proposer's answer to a counter."""

    agent: str
    action: str
    pid: str
    code: str
    detail: str


class Breach(Wire):
    """A limit that was broken."""

    limit: str
    value: str
    cap: str


class Verdict(Wire):
    """Risk's word on a quantity."""

    agent: str
    ok: bool
    max_qty: Amount
    breached: list[Breach]


class PlanLeg(Wire):
    """How a decided leg was to be executed."""

    symbol: str
    side: str
    qty: Amount
    style: str
    px: Amount | None
    tif: str
    reduce_only: bool
    children: list[Part]


class Worth(Wire):
    """What a proposal or opinion turned out to be worth after its horizon."""

    agent: str
    kind: str
    symbol: str
    horizon_ms: int
    score: Number
    conf: Number
    markout_bps_net: Number
    realised_bps: Number


class Met(Wire):
    """What changed hands inside, of no order and at no fee; ``saved`` is about, of fees and spread."""

    seller: str
    buyer: str
    symbol: str
    qty: Amount
    px: Amount
    saved: Amount


class RoundOrder(Order):
    """An order of the round with its fills."""

    fills: list[Fill]


class RoundDetail(Round):
    """Why it did or did not trade: everything that was said, the binding bound first, and what came of it."""

    quote_asset: str
    reduce_only: bool
    bids: list[Proposal] = Field(description="Every proposal and revision.")
    refusals: list[Said]
    votes: list[Vote]
    weights_version: int
    quorum: Number
    margin_of_win: Number
    bounds: list[Bound]
    counters: list[Counter]
    replies: list[Reply]
    verdicts: list[Verdict]
    gate: list[Said]
    faults: list[Said]
    reasons: list[Said]
    dissent: list[Dissent]
    qty_wanted: Amount
    qty: Amount
    plan: list[PlanLeg]
    orders: list[RoundOrder]
    outcomes: list[Worth]
    crossed: list[Met] = Field(description="What exits of the round gave its opening inside the firm.")


def round_of(row: dict[str, Any], run: str) -> dict[str, Any]:
    """Return the fields of a `Round` from a row of the table."""
    reason = None
    if row["outcome"] not in ("", "accept") and row["reason_code"]:
        reason = {"agent": row["reason_by"], "code": row["reason_code"], "detail": row["reason_detail"]}
    return {
        "id": row["round"], "run": run, "symbol": row["symbol"], "created_at": row["t"],
        "trigger": row["trigger"], "asked": row["asked"], "outcome": row["outcome"] or "open",
        "agent": row["agent"] or None, "proposals": row["proposals"], "reason": reason,
        "version": max(row["opened_seq"], row["decided_seq"] or 0),
    }  # fmt: skip
