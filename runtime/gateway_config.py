"""What a gateway is told: its configuration file, and the venue made from it.

Not here: what a gateway does with it. Invariant: keys come from a file of mode 0600 that is named in the
configuration and read here once; they are never part of the configuration itself.
"""

from decimal import Decimal

import msgspec

from parley.errors import ConfigError
from runtime.lastlook import Limits
from runtime.unit import UnitConfig, path_of, read_private
from venues.ccxt_client import make_client
from venues.ccxt_venue import CcxtVenue
from venues.null_venue import NullVenue
from venues.port import Venue


class Keys(UnitConfig, frozen=True, kw_only=True):
    """The file of secrets: mode 0600, read by nobody but the gateway."""

    api_key: str
    secret: str


class CcxtConfig(UnitConfig, frozen=True, kw_only=True, tag_field="kind", tag="ccxt"):
    """Binance spot; with `rest` and `ws` empty the real one.

    ``lag_ms`` is how long an order may exist before the venue's lists show it.
    """

    symbols: tuple[str, ...]
    keys_file: str
    name: str = "binance"
    rest: str = ""
    ws: str = ""
    recv_window_ms: int = 2000
    timeout_ms: int = 5000
    lag_ms: int = 1000


class NullConfig(UnitConfig, frozen=True, kw_only=True, tag_field="kind", tag="null"):
    """A venue without a network, for `bench_round`."""

    symbols: tuple[str, ...]
    balances: dict[str, Decimal]
    name: str = "null"


class GatewayConfig(UnitConfig, frozen=True, kw_only=True):
    """Everything a gateway is told. `desk_pid` 0 accepts any process of this user.

    ``halt_file`` is the home's kill file, ``kill_socket`` where `parley kill` asks; empty: there is none.
    """

    account: str
    socket: str
    journal: str
    instruments: str
    venue: CcxtConfig | NullConfig
    limits: Limits
    halt_file: str = ""
    kill_socket: str = ""
    desk_pid: int = 0
    tenant: str = "local"
    desk: int = 1
    incarnation: int = 1


def make_venue(config: GatewayConfig) -> Venue:
    """Make the venue a configuration names; nothing is connected yet.

    Raises
    ------
    ConfigError
        When the keys cannot be read.
    """
    venue = config.venue
    match venue:
        case NullConfig():
            return NullVenue(venue.symbols, tuple(venue.balances.items()), venue.name)
        case CcxtConfig():
            keys = _read_keys(venue.keys_file)
            client = make_client(
                venue.rest, venue.ws, api_key=keys.api_key, secret=keys.secret,
                recv_window_ms=venue.recv_window_ms, timeout_ms=venue.timeout_ms,
            )  # fmt: skip
            return CcxtVenue(
                client, symbols=venue.symbols, account=config.account, name=venue.name,
                recv_window_ms=venue.recv_window_ms, lag_ms=venue.lag_ms,
            )  # fmt: skip


def _read_keys(name: str) -> Keys:
    try:
        return msgspec.json.decode(read_private(path_of(name)), type=Keys)
    except msgspec.MsgspecError as error:
        raise ConfigError(
            f'the keys in {name!r} must be {{"api_key", "secret"}}: {type(error).__name__}'
        ) from None
