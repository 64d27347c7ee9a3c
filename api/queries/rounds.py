"""One round with everything that was said and done in it, in one statement.

Problem: what a round said is in the journal's copy, what became of it in orders and fills; a reader that
asked for them one after the other would see different moments. Opinions and weights belong to no
round: those of the records shortly before the decision are taken along.

Invariant: one statement, one moment.
"""

from typing import Final, LiteralString

from parley.messages import KIND_OF
from runtime.postgres.reading import Reading, Row

# How many records before the decision opinions and weights are looked for.
WINDOW: Final = 400
_KINDS: Final = [
    KIND_OF[name]
    for name in (
        "Trigger", "Cfp", "Proposal", "Vote", "Ranking", "GateRefusal", "Decision", "Refuse", "Allocation",
        "Counter", "CounterReply", "Verdict", "Silence", "Late", "NotUnderstood", "AgentFaulted", "Void",
        "Outcome", "Crossed",
    )
]  # fmt: skip
_BACKGROUND: Final = [KIND_OF["Opinion"], KIND_OF["WeightUpdate"]]

_ROUND: Final[LiteralString] = """
    WITH found AS (
        SELECT r.*, u.config -> 'desk' ->> 'quote' AS quote_asset
        FROM parley.rounds r JOIN parley.runs u USING (tenant_id, run_id)
        WHERE r.tenant_id = %s AND r.round = %s AND (%s::text IS NULL OR r.run_id = %s)
        ORDER BY u.started_at DESC, u.run_id DESC LIMIT 1
    )
    SELECT found.*,
        ARRAY(
            SELECT j.body FROM parley.journal j
            WHERE j.tenant_id = found.tenant_id AND j.run_id = found.run_id AND j.round = found.round
                AND j.round <> ''::bytea AND j.stream = 'desk' AND j.kind = ANY(%s)
            ORDER BY j.seq
        ) AS words,
        ARRAY(
            SELECT near.body FROM (
                SELECT j.seq, j.kind, j.body FROM parley.journal j
                WHERE j.tenant_id = found.tenant_id AND j.run_id = found.run_id AND j.stream = 'desk'
                    AND j.seq < coalesce(found.decided_seq, found.opened_seq)
                ORDER BY j.seq DESC LIMIT %s
            ) near WHERE near.kind = ANY(%s) ORDER BY near.seq
        ) AS background,
        (
            SELECT coalesce(jsonb_agg(to_jsonb(o) ORDER BY o.seq), '[]')
            FROM (
                SELECT encode(iid, 'hex') AS iid, cid, seq, changed_seq, encode(round, 'hex') AS round,
                    encode(pid, 'hex') AS pid, agent, leg, child, account, venue, symbol, side, style, tif,
                    reduce_only, qty::text, px::text, ref_px::text, state, filled::text, quote::text, fees,
                    venue_id, cause, t
                FROM parley.orders p
                WHERE p.tenant_id = found.tenant_id AND p.run_id = found.run_id AND p.round = found.round
            ) o
        ) AS orders,
        (
            SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.seq), '[]')
            FROM (
                SELECT l.venue, l.account, l.symbol, l.trade_id, l.seq, encode(l.iid, 'hex') AS iid,
                    l.venue_id, l.side, l.qty::text, l.px::text, l.fee::text, l.fee_asset, l.liquidity, l.t
                FROM parley.fills l
                JOIN parley.orders p USING (tenant_id, run_id, iid)
                WHERE l.tenant_id = found.tenant_id AND l.run_id = found.run_id AND p.round = found.round
            ) f
        ) AS fills
    FROM found
"""


async def read_round(reading: Reading, round_: bytes, run: str | None) -> Row | None:
    """Return a round of a run, or of the newest run that has it; None when there is none."""
    values = (reading.tenant, round_, run, run, _KINDS, WINDOW, _BACKGROUND)
    return await reading.row(_ROUND, values)
