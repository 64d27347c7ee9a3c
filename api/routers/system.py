"""`/system`: version, runs, journals, accounts, processes and health in one answer; `/kill-switch`."""

from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter

from api.document import BASE, access
from api.queries import runs
from api.schemas.system import KillSwitch, System, account_of
from api.services import Parts
from api.wire import show_time
from runtime.backlog import Status

router = APIRouter(prefix=BASE, tags=["system"])
_RUNS: Final = 10


@router.get(
    "/system", name="read_system", summary="What runs here, and how it is",
    openapi_extra=access("system:read"),
)  # fmt: skip
async def read_system(parts: Parts) -> System:
    """Tell the state of the installation."""
    seen = await parts.live.seen()
    checks = await parts.checks()
    status = parts.backlog()
    journals: list[dict[str, Any]] = []
    accounts: list[dict[str, Any]] = []
    async with parts.read() as reading:
        found = await runs.newest_runs(reading, _RUNS)
        if found:
            newest = found[0]["run_id"]
            cursors = await runs.cursors(reading, newest)
            journals = [_journal(row, newest, status) for row in cursors]
            accounts = [account_of(row) for row in await runs.accounts(reading, newest)]
    return System.model_validate(
        {
            "version": parts.version, "tenant": parts.tenant_name, "now": show_time(datetime.now(UTC)),
            "is_ready": all(check.ok for check in checks), "checks": checks,
            "runs": [{**row, "id": row["run_id"], "is_live": row["run_id"] == seen.run} for row in found],
            "journals": journals, "accounts": accounts, "units": list(seen.units),
            "streams": parts.streams, "killed": parts.killed(),
        }
    )  # fmt: skip


@router.get(
    "/kill-switch", name="read_kill_switch", summary="What is killed, and how to release it",
    openapi_extra=access("risk:read"),
)  # fmt: skip
async def read_kill_switch(parts: Parts) -> KillSwitch:
    """Tell what stands, from the kill file itself: it needs neither database nor desk."""
    killed = parts.killed()
    return KillSwitch.model_validate({"is_killed": bool(killed), "killed": killed})


def _journal(row: dict[str, Any], run: str, status: Status | None) -> dict[str, Any]:
    said = status.journals if status is not None else ()
    mine = next((each for each in said if (each.run_id, each.stream) == (run, row["stream"])), None)
    return {
        **row, "market_time": row["t_market"], "backlog_records": mine.records if mine else None,
        "backlog_bytes": mine.bytes if mine else None, "error": mine.error if mine else "",
    }  # fmt: skip
