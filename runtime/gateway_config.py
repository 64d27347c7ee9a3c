"""What a gateway is told: its configuration file, and the venue made from it.

Not here: what a gateway does with it. Invariant: keys come from a file of mode 0600 that is named in the
configuration and read here once; they are never part of the configuration itself.
"""

from decimal import Decimal
from hashlib import blake2s

import msgspec

from parley.errors import ConfigError, UserError
from parley.instruments import AT
from runtime.gateway_dead_man import unfit
from runtime.lastlook import Limits
from runtime.real_money import RealMoney
from runtime.unit import UnitConfig, path_of, read_private
from venues.adapters import adapter_of, row_of, venue_of
from venues.capabilities import lacks_for_opening
from venues.generic_rows import lacks_of
from venues.null_venue import NullVenue
from venues.port import Venue, VenueError
from venues.several import SeveralVenues
from venues.words import Account


class Keys(UnitConfig, frozen=True, kw_only=True):
    """The file of secrets: mode 0600, read by nobody but the gateway; some venues' keys have a passphrase."""

    api_key: str
    secret: str
    passphrase: str = ""


class CcxtConfig(UnitConfig, frozen=True, kw_only=True, tag_field="kind", tag="ccxt"):
    """An account at ``exchange``, ccxt's name of it; with `rest` and `ws` empty the real one.

    ``name`` is what instruments, fills and orders call it; of an exchange after the first one it also stands
    behind the names of symbols and assets there, while ``symbols`` are plain here. ``lag_ms`` is how long an
    order may exist before the venue's lists show it. ``granted`` is how much each of its limits allows
    this account where that is more than everybody has, 0: it is not; what the venue announces itself counts
    more. ``leverage`` is what contracts are set to.
    """

    symbols: tuple[str, ...]
    keys_file: str
    exchange: str = "binance"
    name: str = "binance"
    rest: str = ""
    ws: str = ""
    recv_window_ms: int = 2000
    timeout_ms: int = 5000
    lag_ms: int = 1000
    granted: int = 0
    leverage: int = 1


class NullConfig(UnitConfig, frozen=True, kw_only=True, tag_field="kind", tag="null"):
    """A venue without a network, for `bench_round`."""

    symbols: tuple[str, ...]
    balances: dict[str, Decimal]
    name: str = "null"


class GatewayConfig(UnitConfig, frozen=True, kw_only=True):
    """Everything a gateway is told. `desk_pid` 0 accepts any process of this user.

    ``also`` are the further exchanges that are traded as one with ``venue``, on paper only: what a live run
    may lose and what its account holds is known of one account.
    Orders at work are looked up every ``inspect_s``, 0: never, as on paper; what contracts were paid is asked
    for every ``funding_s``.
    ``dead_man_s`` is after how long a silence of ours an exchange that can cancels what rests, 0: never,
    None: as `DeskSettings` says.
    ``real_money`` makes it look at the account before it serves; None: it is on paper.
    ``desk_limits`` are those its desk began with, as `RunConfig.limits`, ``operators`` the folder of those
    whose keys may loosen them (empty: nobody is asked).
    ``halt_file`` is the home's kill file, ``kill_socket`` where `parley kill` asks, ``heartbeat`` the file in
    which it says that it lives; empty: there is none.
    """

    account: str
    socket: str
    journal: str
    instruments: str
    venue: CcxtConfig | NullConfig
    also: tuple[CcxtConfig, ...] = ()
    limits: Limits
    desk_limits: dict[str, object] = msgspec.field(default_factory=dict)
    operators: str = ""
    real_money: RealMoney | None = None
    inspect_s: float = 0.0
    funding_s: float = 20.0
    dead_man_s: int | None = 0
    halt_file: str = ""
    kill_socket: str = ""
    heartbeat: str = ""
    desk_pid: int = 0
    tenant: str = "local"
    desk: int = 1
    incarnation: int = 1


def make_venue(config: GatewayConfig) -> Venue:
    """Make the venue a configuration names, if it may be traded at; nothing is connected yet.

    Raises
    ------
    ConfigError
        When ccxt has no such venue, it lacks what opening needs, the keys cannot be read, or there is real
        money at several exchanges.
    """
    venue = config.venue
    if config.also:
        return SeveralVenues(
            {each.name: _make_ccxt(config, each) for each in (_checked_home(config), *config.also)}
        )
    match venue:
        case NullConfig():
            return NullVenue(venue.symbols, tuple(venue.balances.items()), venue.name)
        case CcxtConfig():
            return _make_ccxt(config, venue)


def _make_ccxt(config: GatewayConfig, venue: CcxtConfig) -> Venue:
    _check(venue, is_real=config.real_money is not None)
    if wrong := unfit(row_of(venue.exchange), config.dead_man_s):
        raise ConfigError(f"dead_man_s: at {venue.exchange!r} {wrong}")
    keys = _read_keys(venue.keys_file)
    client = adapter_of(venue.exchange).make_client(
        venue.rest, venue.ws, api_key=keys.api_key, secret=keys.secret, passphrase=keys.passphrase,
        recv_window_ms=venue.recv_window_ms, timeout_ms=venue.timeout_ms,
    )  # fmt: skip
    account = Account(name=config.account, venue=venue.name, symbols=venue.symbols, leverage=venue.leverage)
    return venue_of(
        venue.exchange, client, account, recv_window_ms=venue.recv_window_ms, lag_ms=venue.lag_ms,
        granted=venue.granted,
    )  # fmt: skip


def _checked_home(config: GatewayConfig) -> CcxtConfig:
    """Return the first of several exchanges, if they can be told apart and may be traded together."""
    if config.real_money is not None:
        names = ", ".join(repr(each.name) for each in (config.venue, *config.also))
        raise ConfigError(
            f"real money at several exchanges ({names}) is not possible yet: ramp, books and audit know one"
            " account"
        )
    if not isinstance(config.venue, CcxtConfig):
        raise ConfigError("also: further exchanges come after a first one, and the null venue is none")
    names_used = {config.venue.name}
    for each in config.also:
        if not each.name or each.name in names_used or set(each.name) & {AT, "/", ":"}:
            raise ConfigError(
                f"also: expected each exchange's own name without {AT!r}, '/' and ':', was {each.name!r}"
            )
        names_used.add(each.name)
    return config.venue


def unusable(config: GatewayConfig, error: VenueError, what: str = "used") -> UserError:
    """Say that an exchange cannot be used, by the name of the one whose error it is."""
    return UserError(f"the venue {error.venue or config.venue.name!r} cannot be {what}: {error}")


def key_of(config: GatewayConfig) -> str:
    """Name the venue's key without telling it; empty where there is none."""
    if not isinstance(config.venue, CcxtConfig):
        return ""
    return blake2s(_read_keys(config.venue.keys_file).api_key.encode(), digest_size=8).hexdigest()


def _check(venue: CcxtConfig, *, is_real: bool) -> None:
    """Refuse a venue that lacks what opening needs; where there is no money a sandbox may stand for it."""
    row = row_of(venue.exchange)
    if not is_real and venue.rest and venue.ws:
        return
    if lacks := lacks_for_opening(row) if row.certified else lacks_of(venue.exchange):
        raise ConfigError(f"the venue {venue.exchange!r} cannot be traded at: {lacks}")


def _read_keys(name: str) -> Keys:
    try:
        return msgspec.json.decode(read_private(path_of(name)), type=Keys)
    except msgspec.MsgspecError as error:
        raise ConfigError(
            f'the keys in {name!r} must be {{"api_key", "secret"}}: {type(error).__name__}'
        ) from None
