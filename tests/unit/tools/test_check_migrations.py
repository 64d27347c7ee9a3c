"""The lint of migrations finds what locks a table in use, and reads every revision."""

from __future__ import annotations

import pytest

from tools import check_migrations


def test_migrations_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_migrations.main() == 0
    assert "one head, nothing found" in capsys.readouterr().out


def test_rendered_revision_is_its_own_sql_only() -> None:
    sql = check_migrations.render("0001", "base")

    assert "CREATE TABLE parley.journal (" in sql
    assert "CREATE TABLE parley.alembic_version" not in sql
    assert (sql.count("BEGIN;"), sql.count("COMMIT;")) == (1, 1)


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("ALTER TABLE parley.fills ADD COLUMN b bigint NOT NULL;", "adding-required-field"),
        ("CREATE INDEX i ON parley.fills (iid);", "require-concurrent-index-creation"),
        ("ALTER TABLE parley.fills ALTER COLUMN iid TYPE text;", "changing-column-type"),
        ("ALTER TABLE parley.fills DROP COLUMN iid;", "ban-drop-column"),
    ],
)
def test_dangerous_statement_is_found(statement: str, rule: str) -> None:
    found = check_migrations.lint(f"SET LOCAL lock_timeout = '2s';\n{statement}\n", "planted")

    assert rule in "\n".join(found)


def test_concurrent_index_is_good_outside_a_transaction_only() -> None:
    index = (
        "SET statement_timeout = '1min';\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON parley.fills (iid);\n"
    )

    assert check_migrations.lint(f"SET lock_timeout = '2s';\n{index}", "planted") == []
    found = check_migrations.lint(f"BEGIN;\nSET lock_timeout = '2s';\n{index}COMMIT;\n", "planted")
    assert "ban-concurrent-index-creation-in-transaction" in "\n".join(found)


def test_missing_lock_timeout_is_found() -> None:
    found = check_migrations.lint("ALTER TABLE parley.fills ADD COLUMN b bigint;\n", "planted")

    assert "require-lock-timeout" in "\n".join(found)
