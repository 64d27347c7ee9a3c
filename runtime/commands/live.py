"""`parley trade --mode live`: the desk of the settings trades real money at a real exchange.

Problem: the way from paper to live is one word on a command line, and must not be taken by accident or with
something left open. So what live trading needs is asked for by name, all of it, before anything is started;
nothing of it has a default. What only the exchange knows (rights of the key, its clock, what the account
holds) the gateway asks it before it serves (`runtime.real_money`), and another process before a person is
asked (`runtime.preflight`): nobody confirms what cannot be.

Not here: running it (`run`), with the same processes and code as on paper; freqtrade strategies, which need
a history first. Invariant: without a confirmation that names the exchange nothing is started.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace
from rich.prompt import Prompt

from parley.errors import UserError
from parley.instruments import assets_of
from parley.risk.limits import limits_of
from runtime import contracts
from runtime.books import ORDER_KINDS, OrderBook
from runtime.commands.run import play
from runtime.history import entries, open_journal
from runtime.host import load
from runtime.inheritance import inherited
from runtime.kill_file import NAME as KILL_FILE
from runtime.launch import ACCOUNT, Access, Market, make_run, venue_of
from runtime.live_books import fills_of
from runtime.output import console
from runtime.real_money import RealMoney
from runtime.resuming import refuse_to_forget, run_named
from runtime.run_config import RunConfig
from runtime.settings import Settings, load_settings
from runtime.unit import private_folder
from venues.capabilities import CAPABILITIES, lacks_for_opening

# What somebody has to have thought about, each in the settings' own words.
_ASKED: Final = ("venue", "pairs", "capital")
_LIMITS: Final = ("max_order_notional", "max_position", "max_daily_loss", "max_drawdown")
_OF_PAPER: Final = (
    "data", "trades", "exchange", "start", "end", "speed", "candle_parts", "crosses", "maker_fee",
    "taker_fee", "synthetic", "journal",
)  # fmt: skip
_RAMP_DAYS: Final = 14.0
# Each kind of stream may die alone. A pair nobody has quoted anew for a minute is not one to trade on.
_MAX_BOOK_AGE_MS: Final = 60_000.0
_LOOK_S: Final = 120.0
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


def live(
    config: Path | None, options: Mapping[str, object], confirmed: str | None, resumes: str = "", *,
    forgets: bool = False, as_json: bool,
) -> int:  # fmt: skip
    """Trade real money until somebody stops it; returns the exit code as `run`.

    confirmed: the exchange's name, said by whoever wants its money traded; None asks a terminal.
    resumes: the run to go on with, or `last`; empty: a new one
    forgets: whether a new run may begin although the last one holds something

    Raises
    ------
    UserError
        When something is missing, wrong, or not confirmed; names everything that is missing.
    """
    settings = load_settings(config, options)
    access = check(settings)
    market = Market(pairs=settings.pairs, crosses=())
    compose(settings, market, "check")
    resumed = run_named(settings, resumes) if resumes else ""
    if not (resumed or forgets):
        refuse_to_forget(settings)
    if confirmed is None and sys.stdin.isatty():
        look_first(settings, access, resumed)
    confirm(settings, confirmed)

    def left(journal: Path) -> Mapping[str, object]:
        held = {asset: amount for asset, amount in fills_of(journal).items() if asset != settings.quote}
        told = ", ".join(f"{amount:f} {asset}" for asset, amount in held.items()) or "nothing"
        stops = _stops(journal)
        if stops:
            told += f"; stops that stay at the exchange: {len(stops)}"
        console(stderr=True).print(
            f"the desk holds {told}; to go on: --resume {journal.parent.name}", soft_wrap=True
        )
        return {
            "resume": journal.parent.name, "holds": {asset: f"{held[asset]:f}" for asset in held},
            "stops": stops,
        }  # fmt: skip

    return play(
        settings.model_copy(update={"speed": 1.0}), compose,
        as_json=as_json, with_database=True, market=market, access=access, resumes=resumed, afterwards=left,
    )  # fmt: skip


def _stops(journal: Path) -> list[str]:
    """Client order ids of the stops that the exchange still holds, by a desk's journal."""
    book = OrderBook()
    for entry in entries(open_journal(journal), ORDER_KINDS):
        book.take(entry.message)
    return [o.intent.cid for o in book.all() if o.intent.trigger is not None and not o.is_final]


def check(settings: Settings) -> Access:
    """Return how the exchange is reached, if everything is said that live trading needs.

    Raises
    ------
    UserError
        When not.
    """
    said = settings.model_fields_set
    if of_paper := [name for name in _OF_PAPER if name in said]:
        raise UserError(f"{', '.join(of_paper)}: of a market on paper, live trades the exchange's own")
    if settings.also:
        raise UserError(
            f"also: real money is traded at one exchange, was {','.join(settings.also)} beside it"
        )
    missing = [name for name in _ASKED if name not in said]
    missing += [f"limits.{name}" for name in _LIMITS if name not in settings.limits]
    if settings.live.keys is None:
        missing.append("live.keys")
    if missing:
        raise UserError(
            f"live trading has no defaults for what can be lost: the settings must say {', '.join(missing)}"
        )
    for address in (settings.live.rest, settings.live.ws):
        if address.startswith(("http://", "ws://")) and urlsplit(address).hostname not in _LOOPBACK:
            raise UserError(f"{address!r} would send key and signatures in clear: say https or wss")
    if bool(settings.live.rest) != bool(settings.live.ws):
        raise UserError("live.rest and live.ws are addresses of one exchange: say both, or neither")
    if lacks := _lacks(settings.venue):
        raise UserError(f"real money cannot be traded at {settings.venue!r}: {lacks}")
    contracts.underlying(settings)  # pairs where pairs are traded, contracts where contracts are
    if other := [pair for pair in settings.pairs if assets_of(pair)[1] != settings.quote]:
        raise UserError(f"{', '.join(other)}: the capital is in {settings.quote}, so are the pairs to be")
    limits = limits_of(settings.limits)
    wanted = RealMoney(
        quote=settings.quote, capital=settings.capital, max_clock_offset_ms=limits.max_clock_offset_ms
    )
    assert settings.live.keys is not None
    return Access(
        keys_file=settings.live.keys.resolve(), rest=settings.live.rest, ws=settings.live.ws,
        has_control=False, real_money=wanted,
    )  # fmt: skip


def _lacks(venue: str) -> str:
    """Say what a venue lacks; what ccxt says of one that nobody certified is loaded only for that one."""
    if row := CAPABILITIES.get(venue):
        return lacks_for_opening(row)
    return cast("Callable[[str], str]", load("venues.generic_rows:lacks_of"))(venue)


def look_first(settings: Settings, access: Access, resumed: str) -> None:
    """Let a process that reads the key ask the exchange what can be known before somebody is asked.

    Raises
    ------
    UserError
        When the account may not be traded; names every reason.
    """
    journal = settings.home.expanduser().resolve() / "runs" / resumed / "gateway.journal" if resumed else ""
    console(stderr=True).print("asking the exchange about the account", style="dim")
    let_ask(settings, access, "preflight", journal=str(journal))


def let_ask(settings: Settings, access: Access, unit: str, *arguments: str, journal: str = "") -> str:
    """Let a process that reads the key ask the exchange something, and return what it wrote.

    Raises
    ------
    UserError
        When it did not work, with its reasons.
    """
    asks: dict[str, object] = {
        "account": ACCOUNT, "socket": "", "journal": journal, "instruments": "",
        "limits": {"max_notional": {}, "max_position": {}}, "real_money": access.real_money,
        "venue": venue_of(settings, settings.pairs, access),
        "halt_file": str(settings.home.expanduser().resolve() / KILL_FILE),
    }  # fmt: skip
    with tempfile.TemporaryDirectory(dir=private_folder()) as folder:
        file = Path(folder) / "account.json"
        file.write_bytes(msgspec.json.encode(asks))
        command = [sys.executable, "-m", f"runtime.{unit}", "--config", str(file), *arguments]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env=inherited(), timeout=_LOOK_S
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"{settings.venue!r} did not say within {_LOOK_S:g} s what it knows") from None
    if done.returncode:
        told = done.stderr.strip().splitlines() or ["no answer"]
        raise UserError(told[-1].removeprefix(f"{unit}: "))
    return done.stdout


def confirm(settings: Settings, confirmed: str | None, ask: Callable[[str], str] | None = None) -> None:
    """Let somebody name the exchange whose money is traded.

    Raises
    ------
    UserError
        When the name is another one, or nobody is there to be asked.
    """
    where = settings.live.rest or "its own addresses"
    traded = f"pairs {', '.join(settings.pairs)}"
    if contracts.are_traded(settings):
        traded = f"contracts {', '.join(settings.pairs)} at leverage {settings.leverage}"
    text = (
        f"REAL MONEY: up to {settings.capital:f} {settings.quote} of the account at {settings.venue}"
        f" ({where}), {traded}"
    )
    console(stderr=True).print(text, style="bold red", soft_wrap=True)
    if confirmed is None:
        if ask is None and not sys.stdin.isatty():
            raise UserError(f"not confirmed: say --real-money {settings.venue} to trade at {settings.venue}")
        confirmed = (ask or _asked)(f"type {settings.venue} to go on")
    if confirmed != settings.venue:
        raise UserError(f"not confirmed: expected {settings.venue!r}, was {confirmed!r}; nothing was started")


def _asked(text: str) -> str:
    return Prompt.ask(text, console=console(stderr=True))


def compose(settings: Settings, market: Market, run_id: str) -> RunConfig:
    """Compose the desk as on paper; its capital agent begins with a part of the stakes (F271).

    On paper a book comes with every candle; at an exchange one may stand still for ever, so its age counts.
    Where the exchange can hold stops it does, unless the settings say otherwise: it leaves without us too.
    """
    limits = {"max_book_age_ms": _MAX_BOOK_AGE_MS, **settings.limits}
    desk = settings.desk
    if desk.venue_stops is None:
        row = CAPABILITIES.get(settings.venue)
        desk = desk.model_copy(update={"venue_stops": row is not None and row.stops_unasked})
    run = make_run(settings.model_copy(update={"limits": limits, "desk": desk}), market, run_id)
    agents = tuple(
        replace(spec, params={"ramp_days": _RAMP_DAYS, **spec.params}) if spec.role == "capital" else spec
        for spec in run.agents
    )
    return replace(run, agents=agents)


__all__ = ["check", "compose", "confirm", "live"]
