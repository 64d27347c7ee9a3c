"""A round from the database, told as `parley explain` tells it from the journal.

Problem: two programs that each put together why something was traded will sooner or later tell two stories.
So the words of a round go through the same teller as the command's; only orders and fills come from tables.

Not here: the query (`queries.rounds`), the wire types (`schemas.rounds`).

Invariant: a record that cannot be read is named among the faults, not left out in silence.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from api.schemas.orders import fill_of, order_of
from api.schemas.rounds import RoundDetail, round_of
from parley.messages import Message, Proposal, decode, decode_envelope
from runtime.explain import Teller
from runtime.history import Entry
from runtime.story import Said, Story


def tell(row: dict[str, Any]) -> RoundDetail:
    """Tell a round."""
    story = _story(row)
    run = row["run_id"]
    fields: dict[str, Any] = {name: getattr(story, name) for name in _FROM_STORY}
    fills: dict[str, list[dict[str, Any]]] = {}
    for fill in row["fills"]:
        fills.setdefault(fill["iid"], []).append(fill_of(fill, run))
    fields["bids"] = [_bid(bid) for bid in story.bids]
    fields["orders"] = [
        {**order_of(order, run), "fills": fills.get(order["iid"], [])} for order in row["orders"]
    ]
    summary = round_of(row, run)
    version = max((order["changed_seq"] for order in row["orders"]), default=0)
    fields |= summary | {"quote_asset": story.quote, "version": max(version, summary["version"])}
    return RoundDetail.model_validate(fields)


_FROM_STORY = (
    "reduce_only", "refusals", "votes", "weights_version", "quorum", "margin_of_win", "bounds", "counters",
    "replies", "verdicts", "gate", "faults", "reasons", "dissent", "qty_wanted", "qty", "plan", "outcomes",
    "crossed",
)  # fmt: skip


def _story(row: dict[str, Any]) -> Story:
    teller = Teller(bytes(row["round"]), row["quote_asset"] or "")
    words = list(_entries(row["words"], teller.story))
    cited = {oid for word in words if isinstance(word.message, Proposal) for oid in word.message.evidence}
    teller.learn(list(_entries(row["background"], teller.story)), cited)
    for word in words:
        teller.take(word)
    return teller.story


def _entries(bodies: Iterable[bytes], story: Story) -> Iterable[Entry]:
    for raw in bodies:
        try:
            e = decode_envelope(bytes(raw))
            message: Message = decode(e.body)
        except msgspec.MsgspecError as error:
            story.faults.append(Said(agent="journal", code="unreadable", detail=str(error)))
            continue
        yield Entry(e.seq, e.round, e.sender, e.cause, e.t_recv, e.body, message)


def _bid(bid: Any) -> dict[str, Any]:
    told = {name: getattr(bid, name) for name in bid.__struct_fields__}
    return {**told, "revises": bid.revises or None}
