"""Indexes for what lists are filtered by, and a way for the owner to read every tenant's rows for a backup.

Revision ID: 0003
Revises: 0002

A list of a run that is filtered by state, agent, symbol or outcome read the whole run; equity was sorted
anew for every page. A backup read nothing of a server whose login is no superuser, for row-level security is
forced on the owner, too. The owner logs in nowhere and the application is no member of it, so what it may
read changes nothing for tenants.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INDEXES = {
    "rounds_by_symbol": ("rounds", "symbol, opened_seq"),
    "rounds_by_outcome": ("rounds", "outcome, opened_seq"),
    "rounds_by_agent": ("rounds", "agent, opened_seq"),
    "orders_by_state": ("orders", "state, seq"),
    "orders_by_agent": ("orders", "agent, seq"),
    "orders_by_symbol": ("orders", "symbol, seq"),
    "fills_by_symbol": ("fills", "symbol, seq"),
    "equity_by_seq": ("equity", "seq, account"),
}
TABLES = (
    "tenants", "runs", "cursors", "journal", "journal_groups", "rounds", "decisions", "orders", "fills",
    "positions", "accounts", "equity", "agents",
)  # fmt: skip


def upgrade() -> None:
    # Outside a transaction, so that nobody who writes waits. It may wait itself, for older transactions; cut
    # off there it leaves an index that is not valid, which the next try removes first.
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '60s'")
        op.execute("SET statement_timeout = '30min'")
        for name, (table, columns) in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS parley.{name}")
            op.execute(
                f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name}"
                f" ON parley.{table} (tenant_id, run_id, {columns})"
            )
        op.execute("SET lock_timeout = '2s'")
        op.execute("RESET statement_timeout")
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for table in TABLES:
        op.execute(f"CREATE POLICY of_owner ON parley.{table} FOR SELECT TO parley_migrate USING (true)")


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP POLICY of_owner ON parley.{table}")
    for name in INDEXES:
        op.execute(f"DROP INDEX parley.{name}")
