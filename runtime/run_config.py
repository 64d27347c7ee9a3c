"""What a run is made of, as frozen data: written into the journal, so that a replay needs nothing else.

`RunConfig` is everything decisions depend on; `DeskProcess` adds where the desk
finds its peers and its journal. How a user's settings become these is in `settings`.
"""

import sys
from decimal import Decimal
from typing import Final

import msgspec

from orchestrator.policy import DeskConfig
from parley.agent import AgentSpec
from parley.errors import UserError
from parley.instruments import ZERO, Instrument, plain
from parley.messages import Balance
from parley.money import exact
from runtime.backlog import BacklogConfig

UNKNOWN: Final = "unknown"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What made a run, for people and replays; nothing is decided by it. How it is found: `provenance`.

    ``dirty``: the checkout held changes that are not in ``commit``. ``versions`` by package.
    """

    commit: str = UNKNOWN
    dirty: bool = False
    versions: dict[str, str] = {}
    config_hash: str = ""


class RunConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a desk. The venue fills in ``instruments`` at the start; ``silent`` roles answer nothing.

    ``limits`` are the keyword arguments of `parley.risk.limits.Limits` that differ from its defaults.
    """

    run_id: str
    desk: DeskConfig
    agents: tuple[AgentSpec, ...]
    limits: dict[str, object] = {}
    instruments: dict[str, Instrument] = {}
    silent: tuple[str, ...] = ()
    origin: Origin = Origin()


class DeskProcess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The desk process's configuration file: sockets are Unix socket paths.

    ``journal`` is a file to create, ``instruments`` the file the gateway wrote at its start, ``agents`` the
    address where the desk waits for its agents' processes (empty: they are in the desk's), ``backlog`` what
    it watches of the shipper (None: there is none), ``heartbeat`` the file in which it says that it lives,
    ``gateway_returns_s`` and ``hub_returns_s`` how long it waits for another one when it lost its gateway or
    hub, 0: it ends with it, ``rehearse`` whether it keeps itself warm (`rehearsal`).
    """

    run: RunConfig
    journal: str
    gateway: str
    hub: str
    instruments: str
    parent_pid: int = 0
    agents: str = ""
    backlog: BacklogConfig | None = None
    heartbeat: str = ""
    gateway_returns_s: float = 0.0
    hub_returns_s: float = 0.0
    rehearse: bool = False


def to_json(config: RunConfig | DeskProcess) -> bytes:
    """Encode a configuration; Decimals become strings."""
    return msgspec.json.encode(config)


def run_config(raw: bytes | str) -> RunConfig:
    """Read a `RunConfig` as the journal holds it."""
    return msgspec.json.decode(raw, type=RunConfig)


def capital_of(run: RunConfig, balance: Balance) -> Decimal:
    """Return what a run begins with.

    Raises
    ------
    UserError
        When the account holds nothing of the quote currency.
    """
    purses = [amount for asset, amount in balance.assets if plain(asset) == run.desk.quote]
    if not purses:
        raise UserError(f"account {run.desk.account!r} must hold {run.desk.quote}, it has {balance.assets!r}")
    with exact():
        return sum(purses, ZERO)


def manifest(run: RunConfig) -> dict[str, str]:
    """Give the run table's rows: everything a replay needs, and what ran it."""
    desk = run.desk
    return {
        "run_id": run.run_id, "unit": "desk", "tenant": desk.tenant, "desk": str(desk.desk),
        "account": desk.account, "policy_version": str(desk.policy_version), "seed": str(desk.seed),
        "python": sys.version.split()[0], "config": to_json(run).decode(),
    }  # fmt: skip
