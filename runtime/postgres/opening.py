"""The database of a home for as long as a command needs it.

Problem: a command may find the embedded server running for a desk, or not running at all; in the first case
it must not stop it, in the second it must not leave it behind.

Not here: a run's own server (`runtime.store_keeper`).

Invariant: after the block the server runs if and only if somebody uses it; one that a killed command left
behind ends with this one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.postgres.claims import Claim
from runtime.postgres.database import Database
from runtime.postgres.embedded import EmbeddedServer, default_folder
from runtime.postgres.migrate import make_database


@contextmanager
def opened_database(home: Path, folder: Path | None, url: str = "") -> Iterator[Database]:
    """Yield the database of the embedded server in `folder`, of `url` or DATABASE_URL, or the home's own.

    Raises
    ------
    UserError, DatabaseDown
        When there is none to be had.
    """
    external = None
    if folder is None:
        external = Database.external(url) if url else Database.from_environment()
    if external is not None:
        yield external
        return
    claim = Claim(EmbeddedServer(folder or default_folder(home), home=home))
    try:
        yield make_database(claim.server)
    finally:
        claim.release()  # one that somebody else has claimed keeps running
