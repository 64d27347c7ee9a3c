"""`parley route` over exchanges of several protocols, in processes of their own: it says what is there.

The books are read once more from each exchange, as raw text over HTTP, and the figures are worked out by
hand: levels of all exchanges in one list, the cheapest after fees first. Two exchanges cannot be used: one is
stopped and says nothing, one does not list the pair. None of them sees an order.

Not here: one order among sizes and minima that differ (tests/property/test_routing.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from parley.instruments import Instrument
from parley.messages import Book
from runtime.cli import app
from tests.kit.sandbox import KEY, SECRET, SandboxProcess, sandbox
from tests.kit.usdm import MARKET
from tests.kit.venues import VENUES
from venues.port import VenueError
from venues.quotes import VenueQuotes, unusable

pytestmark = pytest.mark.timeout(120)

D = Decimal
# A book here is 4.5 basis points deep, so that these fees make all three worth asking. There are no keys for
# Binance: its fee is the published one, not what the exchange takes from its account.
FEES = {"binance": D("0.001"), "bybit": D("0.0009"), "okx": D("0.0011")}
OF = {"binance": "published", "bybit": "account", "okx": "account"}
BOOKS = {
    "binance": ("/api/v3/depth?symbol=BTCUSDT&limit=100", lambda told: (told["bids"], told["asks"])),
    "bybit": (
        "/v5/market/orderbook?category=spot&symbol=BTCUSDT&limit=100",
        lambda told: (told["result"]["b"], told["result"]["a"]),
    ),
    "okx": (
        "/api/v5/market/books?instId=BTC-USDT&sz=100",
        lambda told: (told["data"][0]["bids"], told["data"][0]["asks"]),
    ),
}
Levels = list[tuple[Decimal, Decimal]]


def levels(process: SandboxProcess, venue: str) -> tuple[Levels, Levels]:
    """Read an exchange's bids and asks with nothing of ours but its address."""
    path, both = BOOKS[venue]
    with urllib.request.urlopen(process.rest + path, timeout=10) as answer:
        bids, asks = both(json.load(answer))
    return ([(D(level[0]), D(level[1])) for level in bids], [(D(level[0]), D(level[1])) for level in asks])


def settings(folder: Path, venue: str, process: SandboxProcess, keys: Mapping[str, str] | None) -> Path:
    """Write the settings of a desk at an exchange, as `parley trade --desk` takes them."""
    lines = [f'venue = "{venue}"', "[live]", f'rest = "{process.rest}"', f'ws = "{process.ws}"']
    if keys is not None:
        file = folder / f"{venue}-keys.json"
        file.write_text(json.dumps(keys))
        file.chmod(0o600)
        lines.append(f'keys = "{file}"')
    path = folder / f"{venue}.toml"
    path.write_text("\n".join(lines))
    return path


def taken(venue: str) -> str:
    """Return the fee that an exchange takes from its account."""
    return str(FEES[venue]) if OF.get(venue) == "account" else "0.0003"


@contextlib.asynccontextmanager
async def exchanges(folder: Path) -> AsyncIterator[dict[str, tuple[SandboxProcess, Path]]]:
    """Run three exchanges that answer, one that is stopped (Kraken) and one without the pair (KuCoin)."""
    async with contextlib.AsyncExitStack() as stack:
        found = {}
        for venue in ("binance", "bybit", "okx", "kraken", "kucoin"):
            feed = {"kind": "synthetic", "candles": 40, "history": 60}
            if venue == "kucoin":
                feed["assets"] = ["ETH"]
            process = await stack.enter_async_context(
                VENUES[venue].sandbox(feed, maker_fee="0.0002", taker_fee=taken(venue))
            )
            keys = VENUES[venue].keys if OF.get(venue) == "account" else None
            found[venue] = process, settings(folder, venue, process, keys)
        stopped = found["kraken"][0].process.pid
        os.kill(stopped, signal.SIGSTOP)
        stack.callback(os.kill, stopped, signal.SIGCONT)
        yield found


async def parley(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, ["route", *words])


def cheapest(
    books: Mapping[str, Levels], side: str, qty: Decimal
) -> tuple[dict[str, Decimal], dict[str, Decimal], dict[str, Decimal]]:
    """Give base, quote and worst price by venue, taking the best level after fees again and again."""
    sign = 1 if side == "buy" else -1
    every = [
        (px * (1 + sign * FEES[venue]) * sign, venue, px, base)
        for venue, told in books.items()
        for px, base in told
    ]
    got: dict[str, Decimal] = {}
    paid: dict[str, Decimal] = {}
    worst: dict[str, Decimal] = {}
    for _, venue, px, base in sorted(every):
        taken = min(qty, base)
        if taken > 0:
            got[venue] = got.get(venue, D(0)) + taken
            paid[venue] = paid.get(venue, D(0)) + taken * px
            worst[venue] = px
            qty -= taken
    return got, paid, worst


async def asked(folder: Path, side: str, qty: Decimal) -> tuple[dict[str, Any], dict[str, Levels], Result]:
    """Ask for a route as JSON and as tables while all five run; read the books, and that nobody ordered."""
    async with exchanges(folder) as running:
        options = [word for _, file in running.values() for word in ("--config", str(file))]
        options += ["--wait", "4", "--max-age", "60"]
        in_json = await parley("BTC/USDT", side, str(qty), *options, "--json")
        assert in_json.exit_code == 0, in_json.output
        shown = await parley("BTC/USDT", side, str(qty), *options)
        books = {venue: levels(running[venue][0], venue)[1 if side == "buy" else 0] for venue in BOOKS}
        os.kill(running["kraken"][0].process.pid, signal.SIGCONT)
        for process, _ in running.values():
            assert not process.truth("order")
        return json.loads(in_json.stdout), books, shown


@pytest.mark.parametrize(("side", "qty"), [("buy", D("20.00007")), ("sell", D("21.5"))])
def test_a_route_over_three_protocols_costs_what_the_books_say(
    tmp_path: Path, side: str, qty: Decimal
) -> None:
    sign = 1 if side == "buy" else -1

    found, books, shown = asyncio.run(asked(tmp_path, side, qty))

    got, paid, worst = cheapest(books, side, qty)
    assert len(got) == 3, "the order has to need all three to prove anything"
    assert sum(got.values()) == qty
    parts = {each["venue"]: each for each in found["route"]}
    assert {venue: D(each["qty"]) for venue, each in parts.items()} == got
    assert {venue: D(each["worst_px"]) for venue, each in parts.items()} == worst
    fees = {venue: paid[venue] * FEES[venue] for venue in got}
    assert {venue: D(each["fee"]) for venue, each in parts.items()} == fees
    costs = {venue: sign * paid[venue] + fees[venue] for venue in got}
    assert {venue: D(each["cost"]) for venue, each in parts.items()} == costs
    assert all(abs(D(parts[venue]["avg_px"]) - paid[venue] / got[venue]) < D("1e-9") for venue in got)
    assert D(found["cost"]) == sum(costs.values())
    assert D(found["fee"]) == sum(fees.values())
    assert D(found["unplaced"]) == 0

    # alone: a book holds less than the order, so nobody does it all and nothing can be compared
    alone = {each["venue"]: each for each in found["alone"]}
    for venue, told in books.items():
        held = sum(base for _, base in told)
        assert held < qty
        assert D(alone[venue]["unplaced"]) == qty - held
        value = sum(px * base for px, base in told)
        assert D(alone[venue]["bill"]["cost"]) == sign * value + value * FEES[venue]
    assert found["saving"] is None

    lines = {each["venue"]: each for each in found["venues"]}
    assert {venue: each["fee_of"] for venue, each in lines.items()} == OF
    assert {venue: D(each["taker_fee"]) for venue, each in lines.items()} == FEES
    best = "ask" if side == "buy" else "bid"
    for venue, each in lines.items():
        assert D(each[best]) == books[venue][0][0]
        assert D(each[f"net_{best}"]) == books[venue][0][0] * (1 + sign * FEES[venue])
        assert 0 <= each["age_s"] < 30
    assert [each["venue"] for each in found["venues"]] == ["bybit", "binance", "okx"]

    left_out = {each["venue"]: each["reason"] for each in found["left_out"]}
    assert left_out.keys() == {"kraken", "kucoin"}
    assert left_out["kraken"] == "no answer within 4 s"
    assert left_out["kucoin"].startswith("the venue does not list 'BTC/USDT'")
    assert shown.exit_code == 0, shown.output
    assert "left out: kraken: no answer within 4 s" in shown.stdout
    assert "no order was sent" in shown.stdout


async def small(folder: Path, qty: Decimal) -> tuple[dict[str, Any], dict[str, Levels]]:
    async with VENUES["binance"].sandbox() as binance, VENUES["okx"].sandbox(taker_fee=taken("okx")) as okx:
        processes = {"binance": binance, "okx": okx}
        options = ["--config", str(settings(folder, "binance", binance, None))]
        options += ["--config", str(settings(folder, "okx", okx, VENUES["okx"].keys))]
        ended = await parley("BTC/USDT", "buy", str(qty), *options, "--max-age", "60", "--json")
        assert ended.exit_code == 0, ended.output
        return json.loads(ended.stdout), {venue: levels(p, venue)[1] for venue, p in processes.items()}


def test_what_routing_saves_is_against_the_best_venue_alone(tmp_path: Path) -> None:
    # so much that a part of it is cheaper where the fee is higher
    qty = D("12")

    found, books = asyncio.run(small(tmp_path, qty))

    got, paid, _ = cheapest(books, "buy", qty)
    routed = sum(paid[venue] * (1 + FEES[venue]) for venue in got)
    alone = {}
    for venue, told in books.items():
        left, value = qty, D(0)
        for px, base in told:
            taken = min(left, base)
            value, left = value + taken * px, left - taken
        assert left == 0, "each venue has to hold it alone"
        alone[venue] = value * (1 + FEES[venue])
    best = min(alone, key=lambda venue: alone[venue])
    assert {each["venue"]: D(each["bill"]["cost"]) for each in found["alone"]} == alone
    assert D(found["cost"]) == routed
    saving = found["saving"]
    assert saving["against"] == best
    assert D(saving["quote"]) == alone[best] - routed > 0
    assert abs(D(saving["bps"]) - (alone[best] - routed) / alone[best] * 10_000) < D("1e-9")


async def told(quotes: VenueQuotes) -> tuple[Instrument, str, Book]:
    try:
        await quotes.connect()
        book = await quotes.book(100)
    finally:
        await quotes.close()
    assert quotes.instrument is not None
    return quotes.instrument, quotes.fee_of, book


@pytest.mark.parametrize("venue", sorted(VENUES))
def test_the_public_listing_says_the_grid_that_the_account_is_told(venue: str) -> None:
    async def both() -> tuple[tuple[Instrument, str, Book], tuple[Instrument, str, Book]]:
        row = VENUES[venue]
        async with row.sandbox(maker_fee="0.0002", taker_fee="0.0003") as process:
            public = VenueQuotes(venue, row.btc, rest=process.rest, ws=process.ws)
            private = VenueQuotes(venue, row.btc, rest=process.rest, ws=process.ws, **row.keys)
            return await told(public), await told(private)

    (public, public_fee, public_book), (private, private_fee, private_book) = asyncio.run(both())

    assert (public_fee, private_fee) == ("published", "account")
    assert private.taker_fee == D("0.0003")
    # Kraken lists fees itself, of others ccxt knows them
    assert (public.taker_fee == private.taker_fee) == (venue == "kraken")
    # the largest quantity is made up where a venue lists none
    names = ("symbol", "venue", "base", "quote", "tick", "lot", "min_qty", "min_notional", "margin")
    for name in names:
        assert getattr(public, name) == getattr(private, name), name
    assert (public_book.bids, public_book.asks) == (private_book.bids, private_book.asks)
    assert unusable(public_book, time.time_ns(), 60) == ""


def test_a_venue_without_an_adapter_is_asked_by_unified_methods_and_gets_no_key() -> None:
    async def generic() -> tuple[Instrument, str, Book]:
        async with VENUES["bybit"].sandbox() as process:
            keys = {"api_key": "nobody", "secret": "nothing"}  # which the exchange would refuse
            return await told(VenueQuotes("bybitid", "BTC/USDT", rest=process.rest, ws=process.ws, **keys))

    instrument, fee_of, book = asyncio.run(generic())

    assert (instrument.venue, fee_of) == ("bybitid", "published")
    assert book.bids[0][0] < book.asks[0][0]


def test_a_depth_that_a_venue_does_not_take_is_asked_for_as_it_takes_it(tmp_path: Path) -> None:
    async def deep() -> Result:
        async with VENUES["kucoin"].sandbox() as process:
            config = str(settings(tmp_path, "kucoin", process, None))
            # ccxt takes 20 or 100 levels of KuCoin, and nothing else
            return await parley(
                "BTC/USDT", "buy", "1", "--config", config, "--depth", "500", "--max-age", "60", "--json"
            )

    ended = asyncio.run(deep())

    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout)["venues"][0]["ask_levels"] == 10


def test_a_contract_is_only_priced_for_an_account() -> None:
    async def contract() -> tuple[str, tuple[Instrument, str, Book]]:
        async with sandbox(MARKET, protocol="binanceusdm") as process:
            reach = {"rest": process.rest, "ws": process.ws}
            public = VenueQuotes("binanceusdm", "BTC/USDT:USDT", **reach)
            with pytest.raises(VenueError) as refused:
                await told(public)
            private = VenueQuotes("binanceusdm", "BTC/USDT:USDT", api_key=KEY, secret=SECRET, **reach)
            return str(refused.value), await told(private)

    refused, (instrument, fee_of, _) = asyncio.run(contract())

    assert refused == "fees and tiers of a contract are told to an account only: give keys"
    assert instrument.is_contract
    assert fee_of == "account"


def test_it_looks_again_until_it_is_stopped(tmp_path: Path) -> None:
    async def watched() -> tuple[int, str, str]:
        async with VENUES["binance"].sandbox() as process:
            config = str(settings(tmp_path, "binance", process, None))
            words = ["BTC/USDT", "buy", "1", "--config", config, "--seconds", "1", "--max-age", "60"]
            command = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "runtime.cli", "route", *words,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert command.stdout is not None
            text = ""
            while text.count("no order was sent") < 2:
                line = await command.stdout.readline()
                assert line, text
                text += line.decode()
            command.send_signal(signal.SIGINT)
            rest, errors = await command.communicate()
            assert command.returncode is not None
            return command.returncode, text + rest.decode(), errors.decode()

    code, shown, errors = asyncio.run(watched())

    assert (code, errors) == (130, "")
    assert shown.count("buy 1 BTC/USDT") >= 2
