"""Agents on the wire: what they said, from the journal, and how their processes are, from Ray."""

from typing import Any, Literal

from pydantic import Field

from api.pages import ListQuery
from api.wire import MaybeTime, Name, Number, Wire


class AgentQuery(ListQuery):
    """Which agents."""

    role: Name | None = None
    is_quarantined: bool | None = None
    sort: Literal["id", "-id"] = "id"


class Live(Wire):
    """How an agent's process is, asked now; what is not known is null."""

    state: str = Field(description="`alive`, `in the desk`, or what Ray says.")
    placement: str
    pid: int | None = None
    incarnation: int | None = None
    restarts: int | None = None
    is_connected: bool | None = None
    is_paused: bool | None = None
    answers: int | None = None
    mean_us: Number = None
    p95_us: Number = None
    memory_mb: Number = None


class Agent(Wire):
    """An agent of a run; counts are of the whole run, ``live`` is null unless the run lives here now."""

    id: str
    run: str
    role: str
    factory: str
    words: int
    opinions: int
    proposals: int
    refusals: int
    silences: int
    lates: int
    faults: int
    strikes: int
    is_quarantined: bool
    weight: Number
    last_seen_at: MaybeTime
    live: Live | None
    version: int


def agent_of(row: dict[str, Any], run: str, live: dict[str, Any] | None) -> dict[str, Any]:
    """Return the fields of an `Agent` from a row of the table and what its process says."""
    return {
        **row, "id": row["agent"], "run": run, "is_quarantined": row["quarantined"],
        "last_seen_at": row["last_at"], "live": live, "version": row["last_seq"],
    }  # fmt: skip
