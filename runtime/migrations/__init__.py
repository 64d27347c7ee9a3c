"""The schema's history: one Alembic tree with one head, run by `runtime.postgres.migrate`.

Not here: what the tables are for (`runtime.tables`). Invariant: a revision that was released is never edited.
"""
