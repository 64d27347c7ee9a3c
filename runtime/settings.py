"""What a user may set: one model, read once from command line, environment and a TOML file.

Problem: a misspelt key that is silently ignored costs an afternoon, and a setting read in two places is two
settings. So there is one model; whoever needs a value gets it from there, and every unknown key, in the file
or among the `PARLEY_*` variables, is an error that names the nearest.

Not here: what limits and agents make of their own keys (their structs check them), command line parsing.

Invariant: command line wins over environment, environment over file, file over the defaults below.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeGuard, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from parley.errors import ConfigError, nearest
from runtime.history import home_folder
from runtime.redaction import redacted

PREFIX: Final = "PARLEY_"
# Names the file of settings for every command, in place of its option.
CONFIG_VARIABLE: Final = "PARLEY_CONFIG"
# Variables of the same prefix that are no settings: that file, test data, hypothesis.
_OTHER_VARIABLES: Final = frozenset({CONFIG_VARIABLE, "PARLEY_DATA", "PARLEY_HYPOTHESIS_PROFILE"})
_LEAST_DEAD_MAN_S: Final = 30
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Names that Python or the environment forbids, as users write them.
_AS_WRITTEN: Final = {"start": "from", "end": "to"}


def _words(value: object) -> object:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _crosses(value: object) -> object:
    return value if value in ("auto", "none") else _words(value)


def _speed(value: object) -> object:
    if value == "max" or value is None:
        return value
    try:
        number = float(str(value))
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise ValueError(f"'max' or market seconds per second above 0, was {value!r}")
    return number


def _moment(value: object) -> object:
    """Accept dates and times, of TOML or as text; UTC where no zone is said."""
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"a date such as '2021-05-08' or an ISO time, was {value!r}") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
Moment = Annotated[datetime | None, BeforeValidator(_moment)]


def _files(value: object) -> object:
    """Read ``A/B=FILE,..`` as files by pair."""
    if not isinstance(value, str):
        return value
    files: dict[str, str] = {}
    for each in value.split(","):
        pair, equals, file = each.strip().partition("=")
        if not (equals and file and "/" in pair) or pair in files:
            raise ValueError(f"a different A/B=FILE for each pair, separated by commas, was {each!r}")
        files[pair] = file
    return files


class DeskSettings(BaseModel):
    """How the desk negotiates, see `orchestrator.policy.DeskConfig`, and where its agents are.

    In a cluster (docs/cluster.md) ``nodes`` names by agent the Ray resource of the machine it shall be on,
    ``listen`` is where agents reach the desk over TCP, ``host`` this machine's address for other nodes.
    ``rehearse`` keeps the way of an order warm between events, at the price of a core (docs/latency.md).
    ``realtime`` lets hub, gateway, desk and agents go before all other processes (docs/latency.md).
    ``awake`` keeps this machine's cores from sleeping between events (docs/latency.md).
    ``understudy`` folds the journal behind the desk, so that a restart is quick; None: with real money only.
    ``venue_stops``: the exchange holds the stop of each holding (execution.md); None: the command decides.
    ``crossing``: opposite wishes of two agents meet inside. ``dead_man_s``: after how long a silence of ours
    an exchange that can do so cancels what rests (venues.md), 0: never, None: 60 s or as much longer as its
    limits need. A gateway that hangs is noticed after 5 s and the next needs seconds, hence at least 30.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_open_trades: int = Field(default=8, ge=1)
    min_quorum: float = Field(default=0.5, ge=0, le=1)
    max_strikes: int = Field(default=3, ge=1)
    settle_bars: int = Field(default=10, ge=1)
    placement: Literal["packed", "spread"] = "packed"
    dashboard: bool = True
    nodes: dict[str, str] = {}
    listen: str = ""
    host: str = "127.0.0.1"
    rehearse: bool = False
    realtime: bool = False
    awake: bool = False
    understudy: bool | None = None
    venue_stops: bool | None = None
    crossing: bool = True
    dead_man_s: int | None = Field(default=None, ge=0)

    @field_validator("dead_man_s")
    @classmethod
    def _outlasts_a_take_over(cls, seconds: int | None) -> int | None:
        if seconds and seconds < _LEAST_DEAD_MAN_S:
            raise ValueError(f"at least {_LEAST_DEAD_MAN_S} seconds, or 0 for never, was {seconds}")
        return seconds

    @model_validator(mode="after")
    def _rehearsed_alone(self) -> "DeskSettings":
        if self.rehearse and self.placement != "packed":
            raise ValueError(
                f"desk.rehearse needs desk.placement 'packed', was {self.placement!r}: only the desk's own"
                " process is kept warm"
            )
        if self.rehearse and self.realtime:
            raise ValueError(
                "desk.rehearse and desk.realtime: expected one of them, was both: a desk that rehearses never"
                " rests, and would keep the gateway from the processor"
            )
        if self.realtime and self.nodes:
            raise ValueError(
                "desk.realtime: expected agents on this machine alone, was desk.nodes = "
                f"{', '.join(sorted(self.nodes))}: nobody asked those machines whether they allow it"
            )
        return self


class DatabaseSettings(BaseModel):
    """Where the read model is; see docs/database.md.

    ``enabled`` None: the command decides. ``url`` of somebody's server, else DATABASE_URL, else our own in
    ``folder``. ``backlog_s`` and ``backlog_disk`` are how much may wait unshipped before a desk only reduces.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool | None = None
    url: str = Field(default="", repr=False)
    embedded: bool = True
    folder: Path | None = None
    backlog_s: float = Field(default=900.0, ge=1.0)
    backlog_disk: float = Field(default=0.8, gt=0, le=1)


class ApiSettings(BaseModel):
    """The API of a run; see docs/api.md.

    ``on`` None: the command decides. ``port`` is of 127.0.0.1, 0 any free one; it listens nowhere else.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    on: bool | None = None
    port: int = Field(default=8000, ge=0, le=65535)


class LiveSettings(BaseModel):
    """Whose money is traded with `parley trade --mode live`; see docs/live.md.

    ``keys``: JSON file with api_key, secret and, where keys have one, passphrase, mode 0600. ``rest`` and
    ``ws`` empty: the real exchange.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: Annotated[Path | None, AfterValidator(lambda path: path and path.expanduser())] = None
    rest: str = ""
    ws: str = ""


class Synthetic(BaseModel):
    """The market that is made up when no recorded data is named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    assets: Words = ("BTC", "ETH", "LTC", "SOL")
    candles: int | None = Field(default=None, ge=1)
    history: int = Field(default=500, ge=0, le=100_000)


class Settings(BaseSettings):
    """Everything a command can be told; see `parley run --help` and docs/concepts.md.

    ``exchange``: whose recorded candles; ``venue``: which exchange the sandbox is and orders go to.
    ``also``: further exchanges where the same pairs are traded; the capital lies in equal parts at each.
    ``leverage``: what contracts are set to, at a venue that trades them.
    ``candle_parts``: in how many parts a candle is played, so that agents see prices inside it.
    ``keep_backtests``: of how many backtests of desks the journals stay below ``home``.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, populate_by_name=True)

    home: Annotated[Path, AfterValidator(Path.expanduser)] = Field(default_factory=home_folder)
    data: Path | None = None
    trades: Annotated[dict[str, Path], NoDecode, BeforeValidator(_files)] = {}
    exchange: str = "binance"
    venue: str = "binance"
    also: Words = ()
    leverage: int = Field(default=1, ge=1, le=125)
    pairs: Words = ()
    timeframe: str | None = Field(default=None, pattern=r"^[1-9][0-9]*[smhd]$")
    start: Moment = None
    end: Moment = None
    crosses: Annotated[str | tuple[str, ...], NoDecode, BeforeValidator(_crosses)] = "auto"
    speed: Annotated[str | float | None, NoDecode, BeforeValidator(_speed)] = None
    duration: PositiveFloat | None = None
    candle_parts: int = Field(default=1, ge=1, le=60)
    seed: int = Field(default=1, ge=0, lt=2**63)
    capital: Decimal = Field(default=Decimal(100_000), gt=0, le=10**12)
    quote: str = Field(default="USDT", pattern=r"^[A-Z0-9]+$")
    maker_fee: Decimal = Field(default=Decimal("0.001"), ge=0, lt=1)
    taker_fee: Decimal = Field(default=Decimal("0.001"), ge=0, lt=1)
    port: int = Field(default=0, ge=0, le=65535)
    silent: Words = ()
    journal: Path | None = None
    keep_backtests: int = Field(default=20, ge=1)
    desk: DeskSettings = DeskSettings()
    database: DatabaseSettings = DatabaseSettings()
    api: ApiSettings = ApiSettings()
    live: LiveSettings = LiveSettings()
    synthetic: Synthetic = Synthetic()
    limits: dict[str, Any] = {}
    agents: dict[str, dict[str, Any]] = {}

    @property
    def is_recorded(self) -> bool:
        """Whether the market comes from recorded candles or trades."""
        return self.data is not None or bool(self.trades)

    @property
    def candle(self) -> str:
        """Length of a candle: a minute, in the calmer made-up market five, so that moves exceed fees."""
        return self.timeframe or ("1m" if self.is_recorded else "5m")

    @property
    def pace(self) -> str | float:
        """Speed of the market: recorded data as fast as it goes, the made-up market ten candles a second."""
        if self.speed is not None:
            return self.speed
        return "max" if self.is_recorded else 10.0 * candle_seconds(self.candle)


def candle_seconds(timeframe: str) -> int:
    """Return the length of a timeframe such as ``5m``, s."""
    return int(timeframe[:-1]) * _SECONDS[timeframe[-1]]


def load_settings(config: Path | None = None, options: Mapping[str, object] | None = None) -> Settings:
    """Read the settings.

    Parameters
    ----------
    config : TOML file; None takes the one that PARLEY_CONFIG names, if it names one
    options : what the command line says, by field name; None means not said

    Raises
    ------
    ConfigError
        When the file cannot be read, or a key is unknown or its value impossible.
    """
    if config is None and (named := os.environ.get(CONFIG_VARIABLE)):
        config = Path(named).expanduser()
    table = _read(config) if config is not None else {}
    given = {name: value for name, value in (options or {}).items() if value is not None}
    environment = _environment()

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
            return (
                init_settings,
                InitSettingsSource(settings_cls, init_kwargs=environment),
                InitSettingsSource(settings_cls, init_kwargs=table),
            )

    try:
        return Loaded(**given)  # type: ignore[arg-type]  # the model checks them
    except ValidationError as error:
        places = {"settings": given, "environment": environment, repr(str(config)): table}
        raise ConfigError(redacted(_explain(error, places))) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {str(path)!r}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{str(path)!r} is no TOML: {error}") from error
    for name, written in _AS_WRITTEN.items():
        if written in table:
            table[name] = table.pop(written)
    return table


def _environment() -> dict[str, Any]:
    """Take the `PARLEY_*` variables; `PARLEY_DESK__MIN_QUORUM` means the key of a table."""
    found: dict[str, Any] = {}
    # `data` is left out: PARLEY_DATA tells the tests where recorded data lies, and must not start such a run
    known = {
        f"{PREFIX}{_AS_WRITTEN.get(name, name)}".upper(): name
        for name in Settings.model_fields
        if name != "data"
    }
    for variable in sorted(os.environ):
        if not variable.startswith(PREFIX) or variable in _OTHER_VARIABLES:
            continue
        outer, _, inner = variable.partition("__")
        name = known.get(outer)
        if name is None:
            raise ConfigError(f"environment: unknown variable {variable!r}: {_meant(variable, known)}")
        if not os.environ[variable]:
            continue  # an empty variable says nothing, as everywhere
        if inner:
            table = found.setdefault(name, {})
            if not isinstance(table, dict):
                raise ConfigError(f"environment: {outer!r} and {variable!r} exclude each other: keep one")
            table[inner.lower()] = os.environ[variable]
        else:
            found[name] = os.environ[variable]
    return found


def _meant(variable: str, known: Mapping[str, str]) -> str:
    """Name the variable an unknown one is nearest to, that of a key of a table in full."""
    inner = variable.partition("__")[2]
    names = [*known, *_OTHER_VARIABLES]
    for outer, name in known.items():
        table = Settings.model_fields[name].annotation
        if _is_table(table):
            names += [f"{outer}__{key}".upper() for key in table.model_fields]
        elif inner and get_origin(table) is dict:  # whose keys are anybody's
            names.append(f"{outer}__{inner}")
    return nearest(variable, sorted(names))


def _explain(error: ValidationError, places: Mapping[str, Mapping[str, Any]]) -> str:
    """Put the first mistake into one line: which key it is, and in which of the places it stands."""
    first = error.errors()[0]
    keys = [str(part) for part in first["loc"] if not str(part).startswith(("function-", "tuple["))]
    place = next((place for place, said in places.items() if _says(said, keys)), "settings")
    shown = ".".join([_AS_WRITTEN.get(keys[0], keys[0]), *keys[1:]]) if keys else "?"
    if first["type"] == "extra_forbidden":
        known = _known(keys[:-1])
        return f"{place}: unknown key {shown!r}: {nearest(keys[-1], known)}"
    text = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{place}: {shown} must be {text}"
    return f"{place}: {shown}: {text[0].lower()}{text[1:]}, was {_was(keys, first['input'])}"


def _says(said: object, keys: Sequence[str]) -> bool:
    """Whether a place gives the value that a path of keys leads to, or what stands in its way."""
    for key in keys:
        if not isinstance(said, Mapping):
            return True
        if key not in said:
            return False
        said = said[key]
    return bool(keys)


_KINDS: Final = {
    str: "a text", bool: "a truth value", int: "a number", float: "a number", list: "a list", dict: "a table"
}  # fmt: skip


def _was(keys: list[str], value: object) -> str:
    """Show what was given, but not what may hold a password: a table given as a text, a field kept secret."""
    model: type[BaseModel] | None = Settings
    is_open = False
    for key in keys:
        field = model.model_fields.get(key) if model is not None else None
        if field is None:
            break
        model = field.annotation if _is_table(field.annotation) else None
        is_open = field.repr and model is None
    if is_open and isinstance(value, str | int | float | None):
        return repr(value)
    return f"{_KINDS.get(type(value), 'something else')}, which is not shown"


def _is_table(annotation: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _known(above: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for key in above:
        inner = model.model_fields[key].annotation if key in model.model_fields else None
        if _is_table(inner):
            model = inner
    return [_AS_WRITTEN.get(name, name) for name in model.model_fields]
