"""From settings to the configuration files of one run's processes, and the folder they live in.

One folder per run: ``HOME/runs/<run_id>/{desk.journal, gateway.journal, truth.jsonl, config/, logs/}``.
Sockets lie in a short folder of the user's own, because their paths may not exceed 107 bytes.

Not here: starting anything (`supervisor`), checking recorded data (`recorded_market`).

Invariant: keys are in files of mode 0600; a run that could not be started leaves nothing behind.
"""

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from orchestrator.policy import DeskConfig
from parley.agent import ROLES, AgentSpec
from parley.errors import ConfigError, UserError, nearest
from parley.instruments import Instrument, assets_of, at
from parley.risk.limits import limits_of
from runtime import contracts, heartbeat, leftovers, several
from runtime.backlog import BacklogConfig
from runtime.dead_man_choice import chosen_s
from runtime.defaults import MADE_UP, default_agents, with_params
from runtime.history import JOURNAL_NAME
from runtime.journal.schema import side_files
from runtime.kill_file import NAME as KILL_FILE
from runtime.open_trades import shared_limits, shared_params
from runtime.operators import operators_folder
from runtime.real_money import BOOKS, RealMoney
from runtime.run_config import DeskProcess, RunConfig, to_json
from runtime.settings import Settings, candle_seconds
from runtime.unit import private_folder
from venues.capabilities import CAPABILITIES
from venues.sandbox.opening import opening_price

ACCOUNT: Final = "main"
INSTRUMENTS: Final = "instruments.json"
_NS: Final = 1_000_000_000
# A lock-step run makes the orders of days in seconds; what bounds it is market time, in the desk's own
# limits.
_ORDERS_PER_S_LOCKSTEP: Final = 1_000_000
_SANDBOX_GRANTS: Final = 1_000_000  # the sandbox's own default; what it announces counts more
_ORDERS_PER_S: Final = 20
_INSPECT_S: Final = 30.0
_FUNDING_S: Final = 20.0
_FUNDING_S_SANDBOX: Final = 0.1  # its market plays hours in a second
DESK_RETURNS_S: Final = 3600.0  # it folds its journal first; one that does not come back ends the run
GATEWAY_RETURNS_S: Final = 3600.0  # a spare waits for its exchange; one that falls too often ends the run
HUB_RETURNS_S: Final = 86_400.0  # it waits for its exchange; one that falls too often ends the run
_PRINTS: Final = 4  # trades a candle is made of, at least: open, both extremes, close
_ROOM: Final = 16 << 20  # bytes a run needs for its first minutes


@dataclass(frozen=True)
class Market:
    """What is streamed: pairs strategies trade, crosses only arbitrage looks at, and how much there is.

    ``candles`` expected in all, 0 unknown; ``prices`` of assets in the quote currency, where known.
    ``decimals`` of a pair's prices and quantities, where they are finer than the data show.
    ``is_made_up``: by us, and slower than a real one.
    """

    pairs: tuple[str, ...]
    crosses: tuple[str, ...]
    start: datetime | None = None
    end: datetime | None = None
    candles: int = 0
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    decimals: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    is_made_up: bool = False

    @property
    def symbols(self) -> tuple[str, ...]:
        return (*self.pairs, *self.crosses)


@dataclass(frozen=True)
class Access:
    """How a run reaches its exchange; empty ``rest`` and ``ws``: the real one's own addresses.

    ``has_control``: it is our sandbox, which says when a step of the market is over. ``also``: how further
    exchanges are reached, by name.
    """

    keys_file: Path
    rest: str
    ws: str
    has_control: bool = True
    real_money: RealMoney | None = None
    also: Mapping[str, "Access"] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """Where a run's files are."""

    run_id: str
    folder: Path
    journal: Path
    sockets: Path
    claim: int  # descriptor of the lock that says the run lives
    is_resumed: bool = False  # its journals are of an earlier start, and stay whatever happens

    @property
    def truth(self) -> Path:
        return self.truth_of("")

    def truth_of(self, exchange: str) -> Path:
        """Where a sandbox writes down what happened; empty: the first one."""
        return self.folder / f"truth{_behind(exchange)}.jsonl"

    @property
    def heartbeat(self) -> Path:
        return self.folder / heartbeat.NAME

    @property
    def gateway_heartbeat(self) -> Path:
        return self.folder / heartbeat.OF_GATEWAY

    @property
    def hub_heartbeat(self) -> Path:
        return self.folder / heartbeat.OF_HUB

    @property
    def gateway_journal(self) -> Path:
        return self.folder / "gateway.journal"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def config(self, name: str) -> Path:
        return self.folder / "config" / f"{name}.json"

    def socket(self, name: str) -> str:
        return str(self.sockets / f"{self.run_id[-6:]}-{os.getpid()}-{name}.sock")


def synthetic_market(settings: Settings) -> Market:
    """Say what the made-up market streams: each asset in the quote currency, and crosses."""
    asked, settings = settings, contracts.underlying(settings)
    assets = settings.synthetic.assets
    quoted = tuple(f"{asset}/{settings.quote}" for asset in assets)
    for pair in settings.pairs:
        if pair not in quoted:
            raise UserError(f"the made-up market has no pair {pair!r}: {nearest(pair, list(quoted))}")
    against = assets[0]
    if settings.crosses == "auto":
        crosses = tuple(f"{asset}/{against}" for asset in assets[1:3])
    else:
        crosses = () if settings.crosses == "none" else tuple(settings.crosses)
    prices = {asset: Decimal(repr(opening_price(asset))) for asset in assets}
    pairs = contracts.named(settings.pairs or quoted, asked)
    return Market(pairs=pairs, crosses=crosses, candles=0, prices=prices, is_made_up=True)


def make_run(settings: Settings, market: Market, run_id: str) -> RunConfig:
    """Compose what decisions depend on.

    Raises
    ------
    ConfigError
        When a role, an agent, a limit or a certified venue of that name does not exist.
    UserError
        When the market has what the venue does not trade.
    """
    for role in settings.silent:
        if role not in ROLES:
            raise ConfigError(f"there is no role {role!r}: {nearest(role, list(ROLES))}")
    contracts.check_symbols(market.symbols, settings)
    several.check(settings)
    limits_of(settings.limits)
    limits = shared_limits(settings)
    agents = with_params(default_agents(), MADE_UP) if market.is_made_up else default_agents()
    agents = with_params(agents, settings.agents)
    return RunConfig(
        run_id=run_id,
        desk=DeskConfig(
            account=ACCOUNT, venue=settings.venue, quote=settings.quote, symbols=market.pairs,
            tf_ns=candle_seconds(settings.candle) * _NS, seed=settings.seed,
            profile="lockstep" if settings.pace == "max" else "candle",
            max_open_trades=settings.desk.max_open_trades, min_quorum=settings.desk.min_quorum,
            max_strikes=settings.desk.max_strikes, settle_bars=settings.desk.settle_bars,
            venue_stops=_venue_stops(settings), crossing=settings.desk.crossing,
        ),
        agents=tuple(shared_params(_with_limits(spec, limits), settings) for spec in agents),
        limits=limits,
        silent=tuple(sorted(settings.silent)),
    )  # fmt: skip


def _venue_stops(settings: Settings) -> bool:
    row = CAPABILITIES.get(settings.venue)
    if settings.desk.venue_stops and not (row is not None and row.stops):
        having = ", ".join(name for name, each in CAPABILITIES.items() if each.stops)
        raise UserError(
            f"desk.venue_stops: expected a venue whose stops we know how to place ({having}), was"
            f" {settings.venue!r}"
        )
    return bool(settings.desk.venue_stops)


def _with_limits(spec: AgentSpec, limits: Mapping[str, object]) -> AgentSpec:
    # The agent that judges and the gate that enforces must read the same table.
    if spec.role != "risk":
        return spec
    return replace(spec, params={**spec.params, "limits": {**limits, **_mapping(spec.params.get("limits"))}})


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def make_layout(settings: Settings) -> Layout:
    """Choose the run's id and make its folders, after removing what killed runs left.

    Raises
    ------
    UserError
        When the journal's path is taken, or folders cannot be made or written to.
    """
    stage = settings.home.expanduser().resolve() / leftovers.RESTORING
    if stage.exists():
        raise UserError(
            f"a restore into {str(stage.parent)!r} is at work or was cut off: run 'parley restore' again to"
            f" finish it, or remove {str(stage)!r} to give it up"
        )
    run_id = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(3)
    folder = settings.home.expanduser().resolve() / "runs" / run_id
    journal = settings.journal.expanduser().resolve() if settings.journal else folder / JOURNAL_NAME
    if journal.exists():
        raise UserError(f"the journal {str(journal)!r} exists: a run writes a new file")
    if not journal.parent.is_dir() and settings.journal:
        raise UserError(f"there is no folder {str(journal.parent)!r} for the journal")
    try:
        sockets = private_folder()
        leftovers.remove_sockets(sockets)
        leftovers.remove_runs(folder.parent)
        folder.mkdir(parents=True, exist_ok=False)
        layout = Layout(
            run_id=run_id, folder=folder, journal=journal, sockets=sockets, claim=leftovers.claim(folder)
        )
        for part in (folder / "config", layout.logs):
            part.mkdir()
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise UserError(f"cannot make the run's folder {str(folder)!r}: {error.strerror}") from error
    try:
        for place in sorted({folder, journal.parent}):
            try_out(place)
    except UserError:
        discard(layout)
        raise
    return layout


def try_out(folder: Path) -> None:
    """Write as much as a start needs: a full disk shows in no other way before the processes fall over it."""
    path = folder / f".room-{os.getpid()}"
    try:
        with path.open("xb") as file:
            file.write(bytes(_ROOM))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        need = f"a run needs at least {_ROOM >> 20} MB"
        raise UserError(f"cannot write to {str(folder)!r}: {error.strerror}; {need}") from error
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def discard(layout: Layout) -> None:
    """Remove everything of a run that could not be started; of one that is resumed, only what is new."""
    if layout.is_resumed or (layout.folder / BOOKS).exists():  # there may be orders of which only it knows
        sweep(layout)
        return
    shutil.rmtree(layout.folder, ignore_errors=True)
    for path in (layout.journal, *side_files(layout.journal)):
        path.unlink(missing_ok=True)
    sweep(layout)


def sweep(layout: Layout) -> None:
    """Remove sockets that ended processes left, and the claim on the folder."""
    fixed = [Path(layout.socket(name)) for name in ("control", "gateway", "kill", "hub", "agents", "ray")]
    controls = Path(layout.socket("control-*"))
    for socket in (*fixed, *controls.parent.glob(controls.name)):
        with contextlib.suppress(OSError):
            socket.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        leftovers.release(layout.folder, layout.claim)


def instruments_of(layout: Layout) -> dict[str, Instrument]:
    """Return by symbol what the gateway wrote of the venue when it started."""
    raw = (layout.folder / INSTRUMENTS).read_bytes()
    return {one.symbol: one for one in msgspec.json.decode(raw, type=list[Instrument])}


def _behind(exchange: str) -> str:
    return f"-{exchange}" if exchange else ""


def write_sandbox(
    layout: Layout, settings: Settings, market: Market, keys: tuple[str, str], exchange: str = ""
) -> Path:
    """Write the configuration of a sandbox exchange; ``exchange``: of a further one, with its own settings.

    All play one market, each with books of its own.
    """
    feed: dict[str, object] = {"kind": "synthetic", "timeframe": settings.candle}
    if settings.trades:
        feed = {
            "kind": "trades",
            "files": {contracts.pair_of(pair): str(file.resolve()) for pair, file in settings.trades.items()},
            "slice_ms": candle_seconds(settings.candle) * 1000,
            "start": _iso(market.start), "end": _iso(market.end),
        }  # fmt: skip
    else:
        feed |= {"parts": settings.candle_parts, "trades_per_candle": max(_PRINTS, settings.candle_parts)}
    if settings.data is not None and not settings.trades:
        feed |= {
            "kind": "candles", "folder": str(Path(str(settings.data)).resolve()),
            "exchange": settings.exchange,
            "pairs": [contracts.pair_of(each) for each in market.symbols],
            "start": _iso(market.start), "end": _iso(market.end),
            "decimals": {contracts.pair_of(each): both for each, both in market.decimals.items()},
        }  # fmt: skip
    elif not settings.trades:
        feed |= {
            "assets": settings.synthetic.assets, "quote": settings.quote, "crosses": market.crosses,
            "candles": settings.synthetic.candles, "history": settings.synthetic.history,
        }  # fmt: skip
        if market.start is not None:
            feed["start"] = _iso(market.start)
    return _write(
        layout.config(f"sandbox{_behind(exchange)}"),
        {
            "feed": feed, "truth": str(layout.truth_of(exchange)), "port": settings.port,
            "seed": settings.seed, "books": exchange,
            "control": layout.socket(f"control{_behind(exchange)}"), "speed": settings.pace,
            "accounts": [
                {
                    "api_key": keys[0], "secret": keys[1], "passphrase": keys[1], "name": ACCOUNT,
                    "balances": {settings.quote: f"{settings.capital:f}"},
                }
            ],
            "maker_fee": f"{settings.maker_fee:f}", "taker_fee": f"{settings.taker_fee:f}",
            "protocol": settings.venue, "parent_pid": os.getpid(),
        }
        | ({"perpetuals": {"asset": settings.quote}} if contracts.are_traded(settings) else {}),
    )  # fmt: skip


def sandbox_access(layout: Layout, keys: tuple[str, str], rest: str, ws: str, exchange: str = "") -> Access:
    """Write the keys of the sandbox's one account down, and say how it is reached."""
    file = _write(
        layout.config(f"keys{_behind(exchange)}"),
        {"api_key": keys[0], "secret": keys[1], "passphrase": keys[1]},
    )
    return Access(keys_file=file, rest=rest, ws=ws)


def write_gateway(
    layout: Layout, settings: Settings, market: Market, access: Access,
    limits: Mapping[str, object] | None = None, *, venue_stops: bool | None = None,
) -> Path:  # fmt: skip
    """Write the gateway's configuration; ``limits`` and ``venue_stops`` are the run's, or the settings'."""
    capped = several.with_all(_caps(settings, market), settings.quote, settings.also)
    caps = {asset: f"{cap:f}" for asset, cap in capped.items()}
    holds = settings.desk.venue_stops if venue_stops is None else venue_stops
    parts = several.of_each(settings)
    # the gateway counts by the wall clock: a market that runs faster gives it more orders in a second
    pace = settings.pace
    rate = _ORDERS_PER_S_LOCKSTEP if pace == "max" else int(_ORDERS_PER_S * max(1.0, float(pace)))
    return _write(
        layout.config("gateway"),
        {
            "account": ACCOUNT, "socket": layout.socket("gateway"),
            "journal": str(layout.gateway_journal),
            "instruments": str(layout.folder / INSTRUMENTS),
            "venue": venue_of(settings, market.symbols, access),
            "also": [
                venue_of(parts[name], market.pairs, one) for name, one in sorted(access.also.items())
            ],
            "real_money": access.real_money, "inspect_s": _INSPECT_S if access.real_money else 0.0,
            "funding_s": _FUNDING_S_SANDBOX if access.has_control else _FUNDING_S,
            "dead_man_s": chosen_s(settings, venue_stops=bool(holds)),
            "halt_file": str(settings.home.expanduser().resolve() / KILL_FILE),
            "desk_limits": dict(shared_limits(settings) if limits is None else limits),
            "operators": str(operators_folder(settings.home)),
            "kill_socket": layout.socket("kill"), "heartbeat": str(layout.gateway_heartbeat),
            "limits": {
                "max_notional": caps, "max_position": caps,
                "cash": [settings.quote, *(at(settings.quote, name) for name in access.also)],
                "max_orders_per_s": rate,
                "capital": {settings.quote: f"{settings.capital:f}"} if access.real_money else {},
            },
        },
    )  # fmt: skip


def venue_of(settings: Settings, symbols: Sequence[str], access: Access) -> dict[str, object]:
    """Return the part of a gateway's configuration that says where it trades."""
    return {
        "kind": "ccxt", "symbols": symbols, "keys_file": str(access.keys_file),
        "exchange": settings.venue, "name": settings.venue, "rest": access.rest, "ws": access.ws,
        "granted": 0 if access.real_money else _SANDBOX_GRANTS, "leverage": settings.leverage,
    }  # fmt: skip


def _caps(settings: Settings, market: Market) -> dict[str, Decimal]:
    """Cap an order and a position at the capital times leverage, in every quote currency with a known price.

    The gateway refuses orders in one that has none.
    """
    prices = {**market.prices, settings.quote: Decimal(1)}
    quotes = dict.fromkeys(assets_of(symbol)[1] for symbol in market.symbols)
    return {
        asset: (settings.capital * settings.leverage / prices[asset]).quantize(Decimal("1e-8"))
        for asset in quotes
        if asset in prices
    }


def write_hub(layout: Layout, settings: Settings, market: Market, access: Access) -> Path:
    """Write the hub's configuration."""
    return _write(
        layout.config("hub"),
        {
            "socket": layout.socket("hub"), "exchange": settings.venue, "symbols": market.symbols,
            "timeframe": settings.candle,
            "rest": access.rest, "ws": access.ws,
            "control": layout.socket("control") if access.has_control else "",
            "also": [
                {
                    "exchange": name, "symbols": market.pairs, "rest": one.rest, "ws": one.ws,
                    "control": layout.socket(f"control{_behind(name)}") if one.has_control else "",
                }
                for name, one in sorted(access.also.items())
            ],
            "lockstep": settings.pace == "max",
            "desk_returns_s": DESK_RETURNS_S, "heartbeat": str(layout.hub_heartbeat),
        },
    )  # fmt: skip


def write_desk(
    layout: Layout, run: RunConfig, agents: str = "", backlog: BacklogConfig | None = None,
    gateway_returns_s: float = 0.0, hub_returns_s: float = 0.0, *, rehearse: bool = False,
) -> Path:  # fmt: skip
    """Write the desk's configuration; ``agents`` is where it waits for them, empty: they are in it.

    ``gateway_returns_s``, ``hub_returns_s``, ``rehearse``: as `DeskProcess` says.
    """
    process = DeskProcess(
        run=run, journal=str(layout.journal), gateway=layout.socket("gateway"), hub=layout.socket("hub"),
        instruments=str(layout.folder / INSTRUMENTS), parent_pid=os.getpid(),
        agents=agents, backlog=backlog, heartbeat=str(layout.heartbeat), gateway_returns_s=gateway_returns_s,
        hub_returns_s=hub_returns_s, rehearse=rehearse,
    )  # fmt: skip
    return _put(layout.config("desk"), to_json(process))


def _write(path: Path, content: Mapping[str, object]) -> Path:
    return _put(path, msgspec.json.format(msgspec.json.encode(content), indent=1))


def _put(path: Path, raw: bytes) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)
    return path


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
