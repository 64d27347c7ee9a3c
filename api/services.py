"""What every request may use, made once per process and handed to the application.

Not here: making them (`__main__`). Invariant: the tenant comes from here, never from a request.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
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
from runtime.backlog import BacklogLimits, Status, read_status
from runtime.postgres.reading import Reading, ReadPool

LIMITS: Final = BacklogLimits()
_SILENT_S: Final = 15.0


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
    journal: Path | None = None
    is_stopping: bool = False
    streams: int = 0

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reading]:
        """Open a transaction of this process's tenant."""
        async with self.pool.transaction(self.tenant) as reading:
            yield reading

    def backlog(self) -> Status | None:
        """Return what the shipper last said, None when nobody does."""
        return read_status(self.shipper) if self.shipper else None

    async def checks(self) -> list[Check]:
        """Say for each thing the API depends on whether it is as it must be."""
        wrong = {"database": await self.pool.why_unfit()}
        if self.shipper is not None:
            wrong["shipper"] = self._why_behind()
        if self.is_stopping:
            wrong["process"] = "it is ending"
        return [Check(name=name, ok=not why, detail=why) for name, why in wrong.items()]

    def _why_behind(self) -> str:
        status = self.backlog()
        if status is None:
            return "the shipper's status cannot be read"
        silent_s = time.time() - status.t / 1e9
        if silent_s > _SILENT_S:
            return f"the shipper said nothing for {silent_s:.0f} s, the limit is {_SILENT_S:.0f} s"
        if status.age_s > LIMITS.age_s:
            return f"unshipped records are {status.age_s:.0f} s old, the limit is {LIMITS.age_s:.0f} s"
        journal = str(self.journal) if self.journal is not None else ""
        if journal and journal not in [each.path for each in status.journals]:
            return f"the shipper does not follow {journal!r}"
        return next((f"the shipper refuses a journal: {each.error}" for each in status.journals
            if each.error and each.path == (journal or each.path)), "")  # fmt: skip


def _services(connection: HTTPConnection) -> Services:
    found: Services = connection.app.state.services
    return found


Parts = Annotated[Services, Depends(_services)]
