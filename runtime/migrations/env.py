"""Alembic's environment: run revisions on the connection `migrate` hands over, or print them as SQL.

Invariant: tables are made by, and belong to, the migration role; a revision is one transaction.
"""

import re
from typing import Any

from alembic import context

from runtime.postgres.database import OWNER_ROLE, SCHEMA
from runtime.tables import METADATA


def _is_ours(thing: object, name: str | None, kind: str, reflected: bool, compare_to: object) -> bool:
    # Partitions are made as months come, by a function of the schema.
    return not (
        kind == "table" and name is not None and (re.search(r"_y[0-9]{6}$", name) or "version" in name)
    )


def _settings() -> dict[str, Any]:
    return {
        "target_metadata": METADATA, "version_table_schema": SCHEMA, "include_schemas": True,
        "include_object": _is_ours, "compare_type": True, "transaction_per_migration": True,
    }  # fmt: skip


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", literal_binds=True, **_settings())
    with context.begin_transaction():
        context.run_migrations()
else:
    connection = context.config.attributes["connection"]
    connection.exec_driver_sql(f"SET ROLE {OWNER_ROLE}")
    connection.exec_driver_sql("SET lock_timeout = '2s'")
    connection.commit()
    context.configure(connection=connection, **_settings())
    with context.begin_transaction():
        context.run_migrations()
