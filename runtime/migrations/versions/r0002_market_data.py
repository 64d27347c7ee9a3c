"""Market data: candles, public trades and funding rates, shared by all tenants and read-only for them.

Revision ID: 0002
Revises: 0001

No row belongs to a tenant, so there is no row-level security: the application may read everything and change
nothing; whoever imports does so as the owner. The tables are partitioned by month. Where an administrator has
installed TimescaleDB in the database before this revision runs, they are hypertables instead; both answer
the same SQL.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NAMES = ("candles", "market_trades", "funding_rates")

TABLES = """
CREATE TABLE parley.candles (
    exchange text NOT NULL,
    pair text NOT NULL,
    kind text NOT NULL,
    timeframe text NOT NULL,
    t timestamptz NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    PRIMARY KEY (exchange, pair, kind, timeframe, t)
) PARTITION BY RANGE (t);
CREATE TABLE parley.market_trades (
    exchange text NOT NULL,
    pair text NOT NULL,
    kind text NOT NULL,
    t timestamptz NOT NULL,
    trade_id text NOT NULL,
    side text NOT NULL,
    price double precision NOT NULL,
    amount double precision NOT NULL,
    PRIMARY KEY (exchange, pair, kind, t, trade_id)
) PARTITION BY RANGE (t);
CREATE TABLE parley.funding_rates (
    exchange text NOT NULL,
    pair text NOT NULL,
    t timestamptz NOT NULL,
    rate double precision NOT NULL,
    PRIMARY KEY (exchange, pair, t)
) PARTITION BY RANGE (t)
"""

# A partitioned table cannot become a hypertable, so it is made again, as yet without a row.
HYPERTABLES = """
DO $$
DECLARE
    place text := (SELECT nspname FROM pg_catalog.pg_extension e
        JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'timescaledb');
    name text;
BEGIN
    IF place IS NULL THEN
        RETURN;
    END IF;
    FOREACH name IN ARRAY ARRAY['candles', 'market_trades', 'funding_rates'] LOOP
        EXECUTE format('ALTER TABLE parley.%I RENAME TO %I', name, name || '_plain');
        EXECUTE format('CREATE TABLE parley.%I (LIKE parley.%I INCLUDING ALL)', name, name || '_plain');
        EXECUTE format('DROP TABLE parley.%I', name || '_plain');
        EXECUTE format('SELECT %I.create_hypertable(%L::regclass, %L::name,'
            ' chunk_time_interval => %L::interval)', place, 'parley.' || name, 't', '1 month');
    END LOOP;
END $$
"""

# Called by who imports, as the owner. A hypertable makes its chunks itself.
MONTHS = """
CREATE FUNCTION parley.ensure_market_month(parent text, moment timestamptz) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first timestamptz := date_trunc('month', moment, 'UTC');
    after timestamptz := (date_trunc('month', moment AT TIME ZONE 'UTC') + interval '1 month')
        AT TIME ZONE 'UTC';
    name text := parent || '_y' || to_char(moment AT TIME ZONE 'UTC', 'YYYYMM');
BEGIN
    IF parent NOT IN ('candles', 'market_trades', 'funding_rates') THEN
        RAISE EXCEPTION 'no table of market data: %', parent;
    END IF;
    IF moment < '2000-01-01Z' OR moment >= '2200-01-01Z' THEN
        RAISE EXCEPTION 'a time of market data must lie between 2000 and 2200, was %', moment
            USING ERRCODE = 'datetime_field_overflow';
    END IF;
    IF (SELECT relkind FROM pg_class WHERE oid = ('parley.' || parent)::regclass) <> 'p' THEN
        RETURN parent;
    END IF;
    IF to_regclass('parley.' || name) IS NOT NULL THEN
        RETURN name;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('parley.' || name));
    IF to_regclass('parley.' || name) IS NULL THEN
        -- attached, not made as a partition: that locks out nobody who reads or adds
        EXECUTE format('CREATE TABLE parley.%I (LIKE parley.%I INCLUDING CONSTRAINTS)', name, parent);
        EXECUTE format('ALTER TABLE parley.%I ATTACH PARTITION parley.%I FOR VALUES FROM (%L) TO (%L)',
            parent, name, first, after);
    END IF;
    RETURN name;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    op.execute(HYPERTABLES)
    op.execute(MONTHS)
    for name in NAMES:
        op.execute(f"GRANT SELECT ON parley.{name} TO parley_app")
    op.execute("REVOKE ALL ON FUNCTION parley.ensure_market_month FROM PUBLIC")


def downgrade() -> None:
    op.execute("DROP FUNCTION parley.ensure_market_month")
    for name in NAMES:
        op.execute(f"DROP TABLE parley.{name} CASCADE")
