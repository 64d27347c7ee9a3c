"""What every request may use, made once per process and handed to the application.

Not here: making them (`__main__`). Invariant: the tenant comes from here, never from a request; whether the
API is ready is a matter of the run it is of, and of no earlier one.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends
from starlette.requests import HTTPConnection

from api.live import LiveRun
from api.metrics import Metrics
from api.pages import Cursors
from api.problems import Check
from api.stream.broker import Broker
from runtime import heartbeat
from runtime.backlog import Status, read_status, why_silent, why_unanswered
from runtime.postgres.reading import Reading, ReadPool
from runtime.standing_kills import KillWatch, Stop

_DATABASE_S: Final = 2.0  # in which a database that works answers whether it does


@dataclass
class Services:
    """The parts of one API process."""

    version: str
    tenant_name: str
    tenant: UUID
    pool: ReadPool
    cursors: Cursors
    live: LiveRun
    metrics: Metrics
    broker: Broker
    shipper: Path | None = None
    journals: tuple[str, ...] = ()
    desk: Path | None = None
    home: Path | None = None
    backlog_s: float = 900.0
    kills: KillWatch | None = None
    is_stopping: bool = False
    streams: int = 0
    _asked: asyncio.Task[str] | None = field(default=None, init=False)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reading]:
        """Open a transaction of this process's tenant."""
        async with self.pool.transaction(self.tenant) as reading:
            yield reading

    def backlog(self) -> Status | None:
        """Return what the shipper last said, None when nobody does."""
        return read_status(self.shipper) if self.shipper else None

    def own(self, status: Status) -> Status:
        """Return what the shipper says of this run's journals; of all without a run."""
        return status.only(self.journals) if self.journals else status

    def killed(self) -> tuple[Stop, ...]:
        """Return what is killed now; a process that knows of no home knows of no kill."""
        if self.kills is None:
            return ()
        self.kills.look()
        return self.kills.stops

    async def checks(self) -> list[Check]:
        """Say for each thing the API depends on whether it is as it must be."""
        wrong = {"database": await self._why_no_database()}
        if self.shipper is not None:
            wrong["shipper"] = self._why_behind()
        if self.desk is not None:
            wrong["desk"] = heartbeat.why_silent(self.desk)
        if self.is_stopping:
            wrong["process"] = "it is ending"
        return [Check(name=name, ok=not why, detail=why) for name, why in wrong.items()]

    async def _why_no_database(self) -> str:
        # A server that stands still lets even a cancelled question wait, so the question is left to itself.
        # There is one at a time, for each of them holds a connection.
        asked = self._asked
        if asked is None or asked.done():
            asked = self._asked = asyncio.create_task(self.pool.why_unfit())
        await asyncio.wait({asked}, timeout=_DATABASE_S)
        if asked.done() and not asked.cancelled():
            return asked.result()
        asked.cancel()
        return f"the database did not answer within {_DATABASE_S:.0f} s"

    def _why_behind(self) -> str:
        status = self.backlog()
        wrong = why_silent(status, time.time_ns()) or why_unanswered(status)
        if wrong or status is None:
            return wrong
        own = self.own(status)
        if own.age_s > self.backlog_s:
            return f"unshipped records are {own.age_s:.0f} s old, the limit is {self.backlog_s:.0f} s"
        followed = [each.path for each in own.journals]
        for journal in self.journals:
            if journal not in followed:
                return f"the shipper does not follow {journal!r}"
        return next((f"the shipper refuses a journal: {each.error}" for each in own.refused), "")


def _services(connection: HTTPConnection) -> Services:
    found: Services = connection.app.state.services
    return found


Parts = Annotated[Services, Depends(_services)]
