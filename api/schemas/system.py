"""The system on the wire: version, runs, journals, processes, accounts, health."""

from typing import Any, Literal

from pydantic import Field

from api.problems import Check
from api.wire import Amount, MaybeTime, Number, Time, Wire


class Health(Wire):
    """Whether the API can do its work, and on what that depends."""

    status: Literal["ok", "ready"]
    checks: list[Check] = Field(default_factory=list)


class Run(Wire):
    """A run of the desk, the newest first; ``is_live`` says that it runs here now."""

    id: str
    desk: str
    account: str
    started_at: Time
    is_live: bool
    seq: int = Field(description="Up to which record its journal is in the read model.")


class Journal(Wire):
    """How far the read model is with a journal of the newest run; backlog null when nobody says."""

    stream: str
    seq: int
    market_time: MaybeTime
    updated_at: Time
    backlog_records: int | None
    backlog_bytes: int | None
    error: str


class Unit(Wire):
    """A process of the live run."""

    name: str
    pid: int
    is_running: bool
    memory_mb: Number


class Cash(Wire):
    """An asset of an account."""

    asset: str
    total: Amount
    reserved: Amount


class Account(Wire):
    """An account's newest state; ``trading`` is ACTIVE, REDUCING, FLATTENING or HALTED."""

    account: str
    trading: str
    quote: str
    equity: Amount
    cash: list[Cash]
    blocked: list[str]
    updated_at: MaybeTime


class Kill(Wire):
    """A stop that stands until a person releases it; `release` is the command line that does."""

    scope: str = Field(description="platform, tenant:NAME, firm, firm:ACCOUNT or symbol:A/B.")
    mode: str = Field(description="block, cancel or flatten; each does what the ones before it do.")
    reason: str
    by: str
    since: MaybeTime
    release: str


class KillSwitch(Wire):
    """What the kill file stops now; without a kill everything the limits allow is sent."""

    is_killed: bool
    killed: list[Kill]


class System(Wire):
    """What runs here, and how it is."""

    version: str
    tenant: str
    now: Time
    is_ready: bool
    checks: list[Check]
    runs: list[Run]
    journals: list[Journal]
    accounts: list[Account]
    units: list[Unit]
    killed: list[Kill] = Field(description="What the kill switch stops now.")
    streams: int = Field(description="Open WebSocket streams.")


def account_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an `Account` from a row of the table."""
    return {**row, "updated_at": row["t"]}
