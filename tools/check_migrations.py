"""Lint the SQL of every migration with squawk, without a database.

Problem: a migration that locks a table in use for long, or that an older release cannot live with, looks
like any other. squawk knows such statements; it reads SQL, so each revision is rendered as SQL first.

Not here: whether migrations do what the code expects (tests/services/test_store_schema.py).

Invariant: exit code 0 means that there is one head and that every revision was read and nothing was found.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory

from runtime.postgres.migrate import configuration

OLDEST_SERVER = "15.0"
# Alembic's own table of revisions. Its transactions stay, for what is outside of one has rules of its own.
ALEMBIC = re.compile(r"CREATE TABLE parley\.alembic_version \(.*?\);", re.DOTALL)


def render(revision: str, before: str) -> str:
    """Return the SQL of one revision."""
    config = configuration()
    config.output_buffer = text = io.StringIO()
    command.upgrade(config, f"{before}:{revision}", sql=True)
    return ALEMBIC.sub("", text.getvalue())


def lint(sql: str, name: str) -> list[str]:
    """Return what squawk finds, a line each.

    Raises
    ------
    SystemExit
        When squawk is not installed.
    """
    program = shutil.which("squawk", path=str(Path(sys.executable).parent)) or shutil.which("squawk")
    if program is None:
        raise SystemExit("check_migrations: squawk is missing, run make setup")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.sql"
        file.write_text(sql, encoding="utf-8")
        options = [f"--pg-version={OLDEST_SERVER}", "--reporter=gcc"]
        done = subprocess.run([program, *options, str(file)], capture_output=True, text=True, check=False)
    found = [line.replace(str(file), name) for line in done.stdout.splitlines() if line.strip()]
    if done.returncode != 0 and not found:
        found = [f"{name}: squawk ended with {done.returncode}: {done.stderr.strip()}"]
    return found if done.returncode != 0 else []


def main() -> int:
    """Check all revisions; returns the exit code."""
    scripts = ScriptDirectory.from_config(configuration())
    heads = scripts.get_heads()
    problems = [] if len(heads) == 1 else [f"expected one head, there are {heads!r}"]
    revisions = list(scripts.walk_revisions())
    for script in reversed(revisions):
        problems += lint(render(script.revision, str(script.down_revision or "base")), script.revision)
    for problem in problems:
        print(f"check_migrations: {problem}", file=sys.stderr)
    if not problems:
        print(f"check_migrations: {len(revisions)} revisions, one head, nothing found")
    return 1 if problems or not revisions else 0


if __name__ == "__main__":
    raise SystemExit(main())
