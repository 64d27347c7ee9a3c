"""Make the read model of a home anew, run by run, from the journals, which are the record.

Problem: a read model that was lost, or that a journal is refused against, has to be made again without
asking anybody, and must not lose on the way what only the database still has. So everything is checked
before anything is removed: that nobody trades, that every run of the database has its journals and they reach
at least as far, that their chains hold. Then each run is removed and begun again in one transaction, and
shipped to its end by the shipper's own steps.

Not here: market data, which is from no journal; following journals that grow (`ship`).

Invariant: whatever ends a rebuild, every run is in the database up to its cursor, and the next shipper or
rebuild goes on from there.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final, LiteralString, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from parley.errors import UserError
from runtime.journal import JournalError, verify
from runtime.journal.tail import JournalTail
from runtime.leftovers import CLAIM, is_claimed
from runtime.postgres import Database, connect
from runtime.postgres.database import APP_ROLE, OWNER_ROLE, in_one_line, reach
from runtime.postgres.erase import erase_in
from runtime.shipper.follow import Stream, resume, start, stream_of
from runtime.shipper.past import past_journals
from runtime.shipper.project import Batch
from runtime.shipper.ship import agents_of
from runtime.shipper.write import CursorMoved, prepare, register, write

_NAME: Final = "parley rebuild"
_BATCH: Final = 4096
_CURSORS: Final[LiteralString] = "SELECT tenant_id, run_id, stream, seq FROM parley.cursors ORDER BY 2, 3"
Tell = Callable[[str, int, int], None]
Key = tuple[UUID, str]


@dataclass(frozen=True)
class Source:
    """A journal that is to be shipped, checked to its end."""

    tail: JournalTail
    stream: Stream
    records: int

    @property
    def key(self) -> Key:
        """Tenant and run."""
        return self.stream.tenant, self.stream.run_id


class Rebuilt(NamedTuple):
    """What was made anew."""

    runs: int
    journals: int
    records: int


def rebuild(home: Path, database: Database, tell: Tell, *, unasked: bool) -> Rebuilt:
    """Remove every run of the home from the database and ship it again.

    Parameters
    ----------
    tell : is told what is being done, and how many records of how many
    unasked : take up runs, too, that were made without a database

    Raises
    ------
    UserError
        When a desk of the home runs, or something of the database is in no journal here; nothing was changed.
    JournalError
        When a journal does not verify; nothing was changed.
    DatabaseDown
        When the server goes away.
    """
    with in_one_line("the database could not be rebuilt"), reach(database.admin, _NAME) as owner:
        owner.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(OWNER_ROLE)))
        known = {(row[0], row[1], row[2]): int(row[3]) for row in owner.execute(_CURSORS)}
        owner.execute("RESET ROLE")
        owner.execute("SET lock_timeout = '10s'")
        chosen = _choose(home, database, {key[:2] for key in known}, unasked=unasked)
        sources = list(_checked(chosen, tell))
        _check_nothing_is_lost(sources, known)
        with connect(database, _NAME) as connection:
            prepare(connection)
            return _ship_all(owner, connection, sources, tell)


def _choose(home: Path, database: Database, known: set[Key], *, unasked: bool) -> list[JournalTail]:
    runs = home / "runs"
    names = {run for _, run in known}
    chosen = []
    for each in past_journals(runs, database.folder):
        run = each.claim.parent
        if is_claimed(run / CLAIM) is not False:
            raise UserError(f"run {run.name!r} is going on: end the desks of {str(home)!r} first")
        try:
            tail = JournalTail(each.path)
            stream = stream_of(tail)
        except (JournalError, UserError):
            if each.is_wanted or run.name in names:
                raise
            continue  # nobody asks for it
        if each.is_wanted or unasked or (stream.tenant, stream.run_id) in known:
            chosen.append(tail)
    return chosen


def _checked(chosen: list[JournalTail], tell: Tell) -> Iterator[Source]:
    for number, tail in enumerate(chosen):
        tell(f"verifying {tail.path.parent.name}/{tail.path.name}", number, len(chosen))
        report = verify(tail.path)
        if not report.ok:
            fault = report.faults[0]
            raise JournalError(f"{str(tail.path)!r} does not verify: {fault.where}: {fault.detail}")
        resume(tail, None)  # a journal that continues another one cannot be begun with
        yield Source(tail, stream_of(tail), report.records)


def _check_nothing_is_lost(sources: list[Source], known: dict[tuple[UUID, str, str], int]) -> None:
    ends = {(*each.key, each.stream.name): start(each.tail).seq + each.records for each in sources}
    for key, seq in known.items():
        if key not in ends:
            raise UserError(
                f"the database holds the {key[2]}'s records of run {key[1]!r}, but there is no journal of it:"
                f" a rebuild would lose them"
            )
        if ends[key] < seq:
            raise UserError(
                f"the database holds the {key[2]}'s records of run {key[1]!r} up to {seq}, its journal ends"
                f" at {ends[key]}: a rebuild would lose the rest"
            )


def _ship_all(
    owner: psycopg.Connection, connection: psycopg.Connection, sources: list[Source], tell: Tell
) -> Rebuilt:
    total, done, runs = sum(each.records for each in sources), 0, 0
    for key, found in groupby(sources, key=lambda each: each.key):
        of_run = list(found)
        runs += 1
        with owner.transaction():
            erase_in(owner, *key)
            owner.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(APP_ROLE)))
            for each in of_run:
                register(owner, each.stream, str(each.tail.path), start(each.tail), agents_of(each.stream))
        for each in of_run:
            for shipped in _ship(connection, each):
                done += shipped
                tell(f"shipping {key[1]}, {each.stream.name}", done, total)
    return Rebuilt(runs, len(sources), done)


def _ship(connection: psycopg.Connection, source: Source) -> Iterator[int]:
    place, path = start(source.tail), str(source.tail.path)
    while groups := source.tail.read(place.gid, place.head, _BATCH):
        batch = Batch(source.stream, place, groups)
        try:
            place = write(connection, batch, place, path)
        except CursorMoved:
            raise UserError(f"somebody else ships {path!r}: end it, and rebuild again") from None
        yield len(batch.journal)
