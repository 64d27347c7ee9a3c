"""What the API's process is told: where it listens, which database and tenant it reads, whom it may ask.

Not here: settings of a user (`runtime.settings`).

Invariant: it listens on the loopback interface and nowhere else, for nobody has to say yet who they are.
"""

import ipaddress
from typing import Final

from parley.errors import ConfigError, UserError
from runtime.backlog import BacklogLimits
from runtime.unit import UnitConfig

TENANT: Final = "local"
PORT: Final = 8000
_LOOPBACK: Final = {"localhost": "127.0.0.1"}


class ApiConfig(UnitConfig, frozen=True, kw_only=True):
    """The API's JSON file.

    ``database`` is the embedded server's folder, empty when DATABASE_URL names another, ``name`` the database
    in it. ``home`` is where runs are kept, to find the one that lives; ``shipper`` the shipper's status file,
    ``journals`` those of the run, whose shipping decides whether the API is ready (empty: all that are
    followed), ``backlog_s`` how old an unshipped record of them may be, ``desk`` the file in which the run's
    desk says that it lives (empty: nobody waits for one). ``cursor_key`` (hex) signs cursors; empty: one of
    this process, so that cursors end with it. ``connections`` bounds those to the database.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    database: str = ""
    name: str = "parley"
    tenant: str = TENANT
    home: str = ""
    shipper: str = ""
    journals: tuple[str, ...] = ()
    desk: str = ""
    backlog_s: float = BacklogLimits().age_s
    cursor_key: str = ""
    connections: int = 8
    log_level: str = "info"
    parent_pid: int = 0


def check(config: ApiConfig) -> None:
    """Raise `UserError` for an address that is not this machine's, `ConfigError` for impossible values."""
    bind_address(config)
    if not 0 <= config.port <= 65535:
        raise ConfigError(f"'port' must lie between 0 and 65535, was {config.port!r}")
    if not 1 <= config.connections <= 50:
        raise ConfigError(f"'connections' must lie between 1 and 50, was {config.connections!r}")
    if not config.backlog_s > 0:
        raise ConfigError(f"'backlog_s' must be above 0, was {config.backlog_s!r}")
    if not config.tenant:
        raise ConfigError("'tenant' must name one, was empty")
    if config.log_level not in ("debug", "info", "warning", "error"):
        raise ConfigError(f"'log_level' must be debug, info, warning or error, was {config.log_level!r}")
    cursor_key(config)


def bind_address(config: ApiConfig) -> str:
    """Return the address to listen on."""
    host = _LOOPBACK.get(config.host, config.host)
    try:
        is_own = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_own = False
    if not is_own:
        raise UserError(
            f"the API listens on this machine's loopback address only, such as '127.0.0.1', until it knows"
            f" users; was {config.host!r}"
        )
    return host


def cursor_key(config: ApiConfig) -> bytes:
    """Return the key of cursors, empty when none is given."""
    try:
        return bytes.fromhex(config.cursor_key)
    except ValueError:
        raise ConfigError("'cursor_key' must be a hexadecimal text, it is none") from None
