"""`parley route`: where an order would trade, and what it costs, before anybody gives it.

Problem: a desk has one exchange, and its owner wants to know now and then what the others would do with an
order. So the venues named are asked for listing, fee and book, over the same clients as a desk's, and the
order is shared out over their books.

An account's keys and other addresses come from settings as `parley trade` takes them: one file a venue.

Not here: asking (`runtime.venue_board`), the route (`parley.execution`). Invariant: no order is sent, and no
book is told that could not be used.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from math import isfinite
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from rich.live import Live

from parley.errors import ConfigError, UserError, nearest
from parley.execution.routing import MOST_VENUES
from parley.execution.venue_costs import compare
from runtime.gateway_config import Keys
from runtime.output import console, print_json
from runtime.route_view import Order, Report, as_object, report, tables
from runtime.settings import LiveSettings, load_settings
from runtime.unit import read_private
from runtime.venue_board import VenueBoard
from venues.quotes import VenueQuotes

_SIDES: Final = ("buy", "sell")
_MOST: Final = Decimal(10) ** 12
_DIGITS: Final = 18
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


def show_route(
    symbol: str, side: str, qty: str, *, venues: str, configs: Sequence[Path], limit: str | None, depth: int,
    seconds: float | None, wait_s: float, max_age_s: float, as_json: bool,
) -> int:  # fmt: skip
    """Ask venues what an order would cost; returns the exit code.

    venues: ccxt's names, separated by commas; those of ``configs``, files of settings, are asked besides
    seconds: look again after so long until stopped; None looks once

    Raises
    ------
    UserError
        When something said is wrong, or no venue is left.
    """
    for option, given in (("--seconds", seconds), ("--wait", wait_s), ("--max-age", max_age_s)):
        if given is not None and not isfinite(given):
            raise UserError(f"{option}: expected seconds, was {given!r}")
    if seconds is not None and as_json:
        raise UserError("--json is one object, --seconds has no end: say one of them")
    order = read_order(symbol, side, qty, limit)
    access = read_access(configs)
    names = tuple(dict.fromkeys([*_words(venues), *(access if configs else ())]))
    if not names:
        raise UserError("no venues: expected --venues NAME,.. or settings of a venue with --config FILE")
    if len(names) > MOST_VENUES:
        raise UserError(f"at most {MOST_VENUES} venues can be routed over, were {len(names)}")
    reached = {name: access.get(name, LiveSettings()) for name in names}

    async def show() -> None:
        # in the loop, where ccxt's clients want to be made
        quotes = {name: _quotes(name, order.symbol, live, wait_s) for name, live in reached.items()}
        board = VenueBoard(quotes, depth=depth, wait_s=wait_s, max_age_s=max_age_s)
        try:
            await _show(order, board, seconds, as_json=as_json)
        finally:
            await board.close()

    asyncio.run(show())
    return 0


def read_order(symbol: str, side: str, qty: str, limit: str | None) -> Order:
    """Read what is asked; raises `UserError`."""
    if side not in _SIDES:
        raise UserError(f"side: expected 'buy' or 'sell', was {side!r}; {nearest(side, list(_SIDES))}")
    base, _, quote = symbol.partition("/")
    if not (base and quote):
        raise UserError(f"symbol: expected a pair such as 'BTC/USDT', was {symbol!r}")
    return Order(
        symbol=symbol, side=side, qty=_amount("quantity", qty),
        limit=None if limit is None else _amount("--limit", limit),
    )  # fmt: skip


def _amount(what: str, text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    # what is not finite has a letter for its exponent
    exponent = amount.as_tuple().exponent
    if not (isinstance(exponent, int) and 0 < amount < _MOST and -exponent <= _DIGITS):
        raise UserError(
            f"{what}: expected a number above 0 and below 10^12 of at most {_DIGITS} decimals, was {text!r}"
        )
    return amount


def read_access(configs: Sequence[Path]) -> dict[str, LiveSettings]:
    """Read how venues are reached, by name: from each file of settings, else from PARLEY_CONFIG's.

    Raises
    ------
    UserError
        When two say it of one venue, or keys would go out in clear.
    """
    found: dict[str, LiveSettings] = {}
    for config in configs or (None,):
        settings = load_settings(config)
        venue, live = settings.venue, settings.live
        if venue in found:
            raise UserError(
                f"{str(config)!r}: expected another venue than {venue!r}, which a file before has"
            )
        if bool(live.rest) != bool(live.ws):
            raise UserError("live.rest and live.ws are addresses of one exchange: say both, or neither")
        is_clear = live.rest.startswith("http://") and urlsplit(live.rest).hostname not in _LOOPBACK
        if live.keys is not None and is_clear:
            raise UserError(f"{live.rest!r} would send key and signatures in clear: say https")
        found[venue] = live
    return found


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _quotes(name: str, symbol: str, live: LiveSettings, wait_s: float) -> VenueQuotes:
    keys = _read_keys(live.keys) if live.keys is not None else Keys(api_key="", secret="")
    # a client's own patience is longer, so that who is silent is told in one way
    timeout_ms = round((wait_s + 1) * 1000)
    return VenueQuotes(
        name, symbol, rest=live.rest, ws=live.ws, api_key=keys.api_key, secret=keys.secret,
        passphrase=keys.passphrase, timeout_ms=timeout_ms,
    )  # fmt: skip


def _read_keys(file: Path) -> Keys:
    try:
        keys = msgspec.json.decode(read_private(file), type=Keys)
    except msgspec.MsgspecError as error:
        # not as JSON, which would be taken for a secret that must not be shown
        raise ConfigError(
            f"{str(file)!r} must hold an object of texts called api_key and secret ({type(error).__name__})"
        ) from None
    if not keys.api_key:
        raise ConfigError(f"the keys in {str(file)!r} have an empty api_key")
    return keys


async def _show(order: Order, board: VenueBoard, seconds: float | None, *, as_json: bool) -> None:
    found = await _look(order, board)
    if not found.venues:
        told = "; ".join(f"{venue}: {reason}" for venue, reason in found.left_out.items())
        raise UserError(f"no venue is left to route over: {told}")
    if as_json:
        print_json(as_object(found))
    elif seconds is None:
        console().print(tables(found), soft_wrap=True)
    else:
        await _keep_showing(order, board, found, seconds)


async def _look(order: Order, board: VenueBoard) -> Report:
    look = await board.look()
    markets = {venue: seen.market for venue, seen in look.seen.items()}
    return report(order, look, compare(markets, order.side, order.qty, order.limit))


async def _keep_showing(order: Order, board: VenueBoard, found: Report, seconds: float) -> None:
    """Look again and again; what is no terminal gets one table after the other."""
    out = console()
    if not out.is_terminal:
        while True:
            out.print(tables(found), soft_wrap=True)
            await asyncio.sleep(seconds)
            found = await _look(order, board)
    with Live(tables(found), console=out, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(seconds)
            found = await _look(order, board)
            live.update(tables(found), refresh=True)
