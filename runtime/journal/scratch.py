"""A journal in memory that nobody reads: what a rehearsal writes, by the same statements as a real one.

Not here: durability; there is no file.
"""

import sqlite3
import time
from pathlib import Path

from .commit import Committer
from .schema import TABLES, Group


class Scratch:
    """Takes a desk's groups as its journal does; gone with `close`."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        for sql in TABLES.values():
            self._connection.execute(sql)
        self._committer = Committer(Path(":memory:"), self._connection, durable=False, clock_ns=time.time_ns)

    def write(self, group: Group, *, is_whole: bool) -> None:
        """Insert a group into the open transaction; ``is_whole`` commits it."""
        if is_whole:
            if refused := [each for each in self._committer.commit([group]) if not isinstance(each, int)]:
                raise refused[0]
        else:
            self._committer.insert([group])

    def close(self) -> None:
        self._connection.close()
