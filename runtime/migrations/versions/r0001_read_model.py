"""The read model of the journals, with row-level security from the first table on.

Revision ID: 0001
Revises:

Every table leads its keys with the tenant and shows a transaction only the rows of the tenant it named. The
application may add to the record (journal, groups, decisions, fills, equity) but neither change nor remove
it.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TENANT = "nullif(current_setting('parley.tenant_id', true), '')::uuid"
# What is a record is added to; what is a state is replaced.
RECORDS = ("journal", "journal_groups", "decisions", "fills", "equity")
STATES = ("runs", "cursors", "rounds", "orders", "accounts", "agents")
REPLACED = ("positions",)

TABLES = """
CREATE TABLE parley.tenants (
    tenant_id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE
);
CREATE TABLE parley.runs (
    tenant_id uuid NOT NULL REFERENCES parley.tenants (tenant_id),
    run_id text NOT NULL,
    desk text NOT NULL,
    account text NOT NULL,
    config jsonb,
    started_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, run_id)
);
CREATE TABLE parley.cursors (
    tenant_id uuid NOT NULL,
    run_id text NOT NULL,
    stream text NOT NULL,
    path text NOT NULL,
    file_first_seq bigint NOT NULL,
    gid bigint NOT NULL,
    seq bigint NOT NULL,
    head bytea NOT NULL,
    t_commit bigint NOT NULL,
    t_market bigint NOT NULL,
    bytes bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, run_id, stream),
    FOREIGN KEY (tenant_id, run_id) REFERENCES parley.runs (tenant_id, run_id)
);
CREATE TABLE parley.journal (
    tenant_id uuid NOT NULL,
    run_id text NOT NULL,
    stream text NOT NULL,
    seq bigint NOT NULL,
    committed_at timestamptz NOT NULL,
    gid bigint NOT NULL,
    kind bigint NOT NULL,
    round bytea NOT NULL,
    sender text,
    body bytea NOT NULL,
    PRIMARY KEY (tenant_id, run_id, stream, seq, committed_at)
) PARTITION BY RANGE (committed_at);
CREATE TABLE parley.journal_groups (
    tenant_id uuid NOT NULL,
    run_id text NOT NULL,
    stream text NOT NULL,
    file_first_seq bigint NOT NULL,
    gid bigint NOT NULL,
    epoch bigint NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    t_commit bigint NOT NULL,
    prev_hash bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (tenant_id, run_id, stream, file_first_seq, gid)
);
CREATE TABLE parley.rounds (
    tenant_id uuid NOT NULL,
    run_id text NOT NULL,
    round bytea NOT NULL,
    opened_seq bigint NOT NULL,
    t bigint NOT NULL,
    symbol text NOT NULL,
    trigger text NOT NULL,
    asked jsonb NOT NULL,
    outcome text NOT NULL,
    agent text NOT NULL,
    proposals bigint NOT NULL,
    reason_by text NOT NULL,
    reason_code text NOT NULL,
    reason_detail text NOT NULL,
    decided_seq bigint,
    PRIMARY KEY (tenant_id, run_id, round),
    FOREIGN KEY (tenant_id, run_id) REFERENCES parley.runs (tenant_id, run_id)
);
CREATE TABLE parley.decisions (
    tenant_id uuid NOT NULL,
    run_id text NOT NULL,
    seq bigint NOT NULL,
    round bytea NOT NULL,
    t bigint NOT NULL,
    symbol text NOT NULL,
    pid bytea NOT NULL,
    agent text NOT NULL,
    action text NOT NULL,
    qty numeric NOT NULL,
    qty_wanted numeric NOT NULL,
    px numeric,
    score double precision NOT NULL,
    margin_of_win double precision NOT NULL,
    weights_version bigint NOT NULL,
    quorum double precision NOT NULL,
    proposals bigint NOT NULL,
    reasons jsonb NOT NULL,
    bounds jsonb NOT NULL,
    votes jsonb NOT NULL,
    dissent jsonb NOT NULL,
    plan jsonb NOT NULL,
    PRIMARY KEY (tenant_id, run_id, seq),
    FOREIGN KEY (tenant_id, run_id) REFERENCES parley.runs (tenant_id, run_id)
);
CREATE TABLE parley.orders (
    tenant_id uuid NOT NULL,
    run_id text NOT NULL,
    iid bytea NOT NULL,
    cid text NOT NULL,
    seq bigint NOT NULL,
    changed_seq bigint NOT NULL,
    round bytea NOT NULL,
    pid bytea NOT NULL,
    agent text NOT NULL,
    leg bigint NOT NULL,
    child bigint NOT NULL,
    account text NOT NULL,
    venue text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL,
    style text NOT NULL,
    tif text NOT NULL,
    reduce_only boolean NOT NULL,
    qty numeric NOT NULL,
    px numeric,
    ref_px numeric,
    state text NOT NULL,
    filled numeric NOT NULL,
    quote numeric NOT NULL,
    fees jsonb NOT NULL,
    venue_id text NOT NULL,
    cause text NOT NULL,
    t bigint NOT NULL,
    image bytea NOT NULL,
    PRIMARY KEY (tenant_id, run_id, iid),
    UNIQUE (tenant_id, run_id, cid),
    FOREIGN KEY (tenant_id, run_id) REFERENCES parley.runs (tenant_id, run_id)
);
CREATE TABLE parley.fills (
    tenant_id uuid NOT NULL,
    run_id text NOT NULL,
    venue text NOT NULL,
    account text NOT NULL,
    symbol text NOT NULL,
    trade_id text NOT NULL,
    seq bigint NOT NULL,
    iid bytea NOT NULL,
    venue_id text NOT NULL,
    side text NOT NULL,
    qty numeric NOT NULL,
    px numeric NOT NULL,
    fee numeric NOT NULL,
    fee_asset text NOT NULL,
    liquidity text NOT NULL,
    t bigint NOT NULL,
    PRIMARY KEY (tenant_id, run_id, venue, account, symbol, trade_id),
    FOREIGN KEY (tenant_id, run_id) REFERENCES parley.runs (tenant_id, run_id)
);
CREATE TABLE parley.positions (
    tenant_id uuid NOT NULL,
    run_id text NOT NULL,
    account text NOT NULL,
    symbol text NOT NULL,
    seq bigint NOT NULL,
    t bigint NOT NULL,
    qty numeric NOT NULL,
    avg_px numeric NOT NULL,
    realised numeric NOT NULL,
    unrealised numeric NOT NULL,
    mark numeric NOT NULL,
    PRIMARY KEY (tenant_id, run_id, account, symbol),
    FOREIGN KEY (tenant_id, run_id) REFERENCES parley.runs (tenant_id, run_id)
);
CREATE TABLE parley.accounts (
    tenant_id uuid NOT NULL,
    run_id text NOT NULL,
    account text NOT NULL,
    seq bigint NOT NULL,
    t bigint NOT NULL,
    state_version bigint NOT NULL,
    quote text NOT NULL,
    trading text NOT NULL,
    equity numeric NOT NULL,
    cash jsonb NOT NULL,
    holdings jsonb NOT NULL,
    reservations jsonb NOT NULL,
    blocked jsonb NOT NULL,
    PRIMARY KEY (tenant_id, run_id, account),
    FOREIGN KEY (tenant_id, run_id) REFERENCES parley.runs (tenant_id, run_id)
);
CREATE TABLE parley.equity (
    tenant_id uuid NOT NULL,
    run_id text NOT NULL,
    account text NOT NULL,
    seq bigint NOT NULL,
    t bigint NOT NULL,
    equity numeric NOT NULL,
    peak numeric NOT NULL,
    day_open numeric NOT NULL,
    realised numeric NOT NULL,
    fees numeric NOT NULL,
    trading text NOT NULL,
    PRIMARY KEY (tenant_id, run_id, account, seq),
    FOREIGN KEY (tenant_id, run_id) REFERENCES parley.runs (tenant_id, run_id)
);
CREATE TABLE parley.agents (
    tenant_id uuid NOT NULL,
    run_id text NOT NULL,
    agent text NOT NULL,
    role text NOT NULL,
    factory text NOT NULL,
    words bigint NOT NULL,
    opinions bigint NOT NULL,
    proposals bigint NOT NULL,
    refusals bigint NOT NULL,
    silences bigint NOT NULL,
    lates bigint NOT NULL,
    faults bigint NOT NULL,
    strikes bigint NOT NULL,
    quarantined boolean NOT NULL,
    weight double precision,
    last_seq bigint NOT NULL,
    last_at timestamptz,
    PRIMARY KEY (tenant_id, run_id, agent),
    FOREIGN KEY (tenant_id, run_id) REFERENCES parley.runs (tenant_id, run_id)
);
CREATE INDEX journal_by_round ON parley.journal (tenant_id, run_id, round, seq) WHERE round <> ''::bytea;
CREATE INDEX rounds_by_seq ON parley.rounds (tenant_id, run_id, opened_seq);
CREATE INDEX decisions_by_round ON parley.decisions (tenant_id, run_id, round);
CREATE INDEX decisions_by_pid ON parley.decisions (tenant_id, run_id, pid) WHERE pid <> ''::bytea;
CREATE INDEX orders_by_seq ON parley.orders (tenant_id, run_id, seq);
CREATE INDEX orders_by_round ON parley.orders (tenant_id, run_id, round);
CREATE INDEX fills_by_seq ON parley.fills (tenant_id, run_id, seq);
CREATE INDEX fills_by_order ON parley.fills (tenant_id, run_id, iid)
"""

# The application adds rows but owns no table, so it asks for a month through the owner's right. A partition
# grants it nothing: its rows are reached through `journal` and its policy only.
MONTHS = """
CREATE FUNCTION parley.ensure_journal_month(moment timestamptz) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first timestamptz := date_trunc('month', moment, 'UTC');
    after timestamptz := (date_trunc('month', moment AT TIME ZONE 'UTC') + interval '1 month')
        AT TIME ZONE 'UTC';
    name text := 'journal_y' || to_char(moment AT TIME ZONE 'UTC', 'YYYYMM');
BEGIN
    IF moment < '2000-01-01Z' OR moment >= '2200-01-01Z' THEN
        RAISE EXCEPTION 'a journal''s time must lie between 2000 and 2200, was %', moment
            USING ERRCODE = 'datetime_field_overflow';
    END IF;
    IF to_regclass('parley.' || name) IS NOT NULL THEN
        RETURN name;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('parley.' || name));
    IF to_regclass('parley.' || name) IS NULL THEN
        -- attached, not made as a partition: that locks out nobody who reads or adds
        EXECUTE format('CREATE TABLE parley.%I (LIKE parley.journal INCLUDING CONSTRAINTS)', name);
        EXECUTE format('ALTER TABLE parley.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE parley.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE parley.journal ATTACH PARTITION parley.%I FOR VALUES FROM (%L) TO (%L)',
            name, first, after);
    END IF;
    RETURN name;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    op.execute(MONTHS)
    for table in ("tenants", *RECORDS, *STATES, *REPLACED):
        op.execute(f"ALTER TABLE parley.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE parley.{table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY of_tenant ON parley.{table}"
            f" USING (tenant_id = {TENANT}) WITH CHECK (tenant_id = {TENANT})"
        )
    op.execute("GRANT SELECT, INSERT ON parley.tenants TO parley_app")
    for table in RECORDS:
        op.execute(f"GRANT SELECT, INSERT ON parley.{table} TO parley_app")
    for table in STATES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON parley.{table} TO parley_app")
    for table in REPLACED:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON parley.{table} TO parley_app")
    op.execute("GRANT SELECT ON parley.alembic_version TO parley_app")
    op.execute("REVOKE ALL ON FUNCTION parley.ensure_journal_month FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION parley.ensure_journal_month TO parley_app")


def downgrade() -> None:
    op.execute("DROP FUNCTION parley.ensure_journal_month")
    for table in ("tenants", *STATES, *RECORDS, *REPLACED):
        op.execute(f"DROP TABLE parley.{table} CASCADE")
