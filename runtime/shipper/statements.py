"""The SQL of the shipper: columns of what is copied, and how rows of a batch meet rows that are there.

Not here: when and in which transaction it runs (`write`). Invariant: the columns are those of
`runtime.tables`, in its order; a test compares them with the database.
"""

from typing import Final, LiteralString

from parley.messages import KIND_OF

CHANNEL: Final = "parley_journal"
TYPES: Final = {
    "journal": "uuid text text int8 timestamptz int8 int8 bytea text bytea",
    "journal_groups": "uuid text text int8 int8 int8 int8 int8 int8 bytea bytea",
    "decisions": (
        "uuid text int8 bytea int8 text bytea text text numeric numeric numeric float8 float8 int8 float8"
        " int8 jsonb jsonb jsonb jsonb jsonb"
    ),
    "equity": "uuid text text int8 int8 numeric numeric numeric numeric numeric text",
    "rounds": "uuid text bytea int8 int8 text text jsonb text text int8 text text text int8",
    "orders": (
        "uuid text bytea text int8 int8 bytea bytea text int8 int8 text text text text text text bool numeric"
        " numeric numeric text numeric numeric jsonb text text int8 bytea"
    ),
    "fills": "uuid text text text text text int8 bytea text text numeric numeric numeric text text int8",
}
"""Types of the columns of what is copied, in the order of the table."""

KEY: Final[LiteralString] = "tenant_id = %s AND run_id = %s"
PLACE: Final[LiteralString] = (
    "SELECT file_first_seq, gid, seq, head, t_commit, t_market, bytes FROM parley.cursors"
    " WHERE " + KEY + " AND stream = %s"
)
CURSOR: Final[LiteralString] = """
    INSERT INTO parley.cursors (tenant_id, run_id, stream, path, file_first_seq, gid, seq, head, t_commit,
        t_market, bytes) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (tenant_id, run_id, stream) DO UPDATE SET path = excluded.path,
        file_first_seq = excluded.file_first_seq, gid = excluded.gid, seq = excluded.seq,
        head = excluded.head, t_commit = excluded.t_commit, t_market = excluded.t_market,
        bytes = excluded.bytes, updated_at = now()
"""
RUN: Final[LiteralString] = """
    INSERT INTO parley.runs (tenant_id, run_id, desk, account, config, started_at)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (tenant_id, run_id) DO UPDATE SET config = coalesce(excluded.config, runs.config),
        started_at = least(excluded.started_at, runs.started_at)
"""
# How rows of a batch meet rows that are there; without an entry they must not.
CONFLICTS: Final[dict[str, LiteralString]] = {
    "rounds": """
        ON CONFLICT (tenant_id, run_id, round) DO UPDATE SET
            asked = CASE WHEN excluded.asked = '[]' THEN rounds.asked ELSE excluded.asked END,
            outcome = CASE WHEN excluded.outcome = 'void' AND EXISTS (
                SELECT 1 FROM parley.journal j WHERE j.tenant_id = rounds.tenant_id
                    AND j.run_id = rounds.run_id AND j.stream = 'desk' AND j.round = rounds.round
                    AND j.round <> ''::bytea
                    AND j.kind = """
    + str(KIND_OF["Crossed"])
    + """
            ) THEN rounds.outcome ELSE coalesce(nullif(excluded.outcome, ''), rounds.outcome) END,
            agent = CASE WHEN excluded.decided_seq IS NULL THEN rounds.agent ELSE excluded.agent END,
            proposals = CASE WHEN excluded.decided_seq IS NULL THEN rounds.proposals
                ELSE excluded.proposals END,
            reason_by = CASE WHEN excluded.decided_seq IS NULL THEN rounds.reason_by
                ELSE excluded.reason_by END,
            reason_code = CASE WHEN excluded.decided_seq IS NULL THEN rounds.reason_code
                ELSE excluded.reason_code END,
            reason_detail = CASE WHEN excluded.decided_seq IS NULL THEN rounds.reason_detail
                ELSE excluded.reason_detail END,
            decided_seq = coalesce(excluded.decided_seq, rounds.decided_seq)
    """,
    "orders": """
        ON CONFLICT (tenant_id, run_id, iid) DO UPDATE SET changed_seq = excluded.changed_seq,
            state = excluded.state, filled = excluded.filled, quote = excluded.quote, fees = excluded.fees,
            venue_id = excluded.venue_id, cause = excluded.cause, image = excluded.image
    """,
    # The venue may tell a fill twice; it is one fill.
    "fills": "ON CONFLICT (tenant_id, run_id, venue, account, symbol, trade_id) DO NOTHING",
}
ACCOUNT: Final[LiteralString] = """
    INSERT INTO parley.accounts (tenant_id, run_id, account, seq, t, state_version, quote, trading, equity,
        cash, holdings, reservations, blocked)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (tenant_id, run_id, account) DO UPDATE SET seq = excluded.seq, t = excluded.t,
        state_version = excluded.state_version, quote = excluded.quote, trading = excluded.trading,
        equity = excluded.equity, cash = excluded.cash, holdings = excluded.holdings,
        reservations = excluded.reservations, blocked = excluded.blocked
"""
POSITION: Final[LiteralString] = """
    INSERT INTO parley.positions (tenant_id, run_id, account, symbol, seq, t, qty, avg_px, realised,
        unrealised, mark)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
AGENT: Final[LiteralString] = """
    INSERT INTO parley.agents (tenant_id, run_id, agent, role, factory, words, opinions, proposals, refusals,
        silences, lates, faults, strikes, quarantined, weight, last_seq, last_at)
    VALUES (%(tenant)s, %(run)s, %(agent)s, %(role)s, %(factory)s, %(words)s, %(opinions)s, %(proposals)s,
        %(refusals)s, %(silences)s, %(lates)s, %(faults)s, coalesce(%(strikes)s, 0),
        coalesce(%(quarantined)s, false), %(weight)s, %(last_seq)s, %(last_at)s)
    ON CONFLICT (tenant_id, run_id, agent) DO UPDATE SET
        factory = coalesce(nullif(excluded.factory, ''), agents.factory),
        words = agents.words + excluded.words, opinions = agents.opinions + excluded.opinions,
        proposals = agents.proposals + excluded.proposals, refusals = agents.refusals + excluded.refusals,
        silences = agents.silences + excluded.silences, lates = agents.lates + excluded.lates,
        faults = agents.faults + excluded.faults, strikes = coalesce(%(strikes)s, agents.strikes),
        quarantined = coalesce(%(quarantined)s, agents.quarantined),
        weight = coalesce(excluded.weight, agents.weight),
        last_seq = greatest(excluded.last_seq, agents.last_seq),
        last_at = coalesce(excluded.last_at, agents.last_at)
"""
