"""`parley route`: what it refuses in one line, and how it shows what was found.

Not here: exchanges that answer (tests/contract/test_route_on_venues.py).
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from parley.execution.routing import Market
from parley.execution.venue_costs import compare
from runtime.cli import app
from runtime.output import plain
from runtime.route_view import Order, Report, as_object, report, tables
from runtime.venue_board import Look, Seen
from tests.kit.builders import make_book, make_instrument

NOWHERE = "http://127.0.0.1:1"


def asked(*words: str) -> tuple[int, str]:
    ended = CliRunner().invoke(app, ["route", *words])
    assert ended.stdout == ""
    return ended.exit_code, ended.stderr


def desk(folder: Path, venue: str, *lines: str, name: str = "") -> str:
    path = folder / f"{name or venue}.toml"
    path.write_text("\n".join([f'venue = "{venue}"', "[live]", *lines]))
    return str(path)


ORDER = ("BTC/USDT", "buy", "1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("BTC/USDT", "bye", "1"), "side: expected 'buy' or 'sell', was 'bye'; did you mean 'buy'?"),
        (("BTCUSDT", "buy", "1"), "symbol: expected a pair such as 'BTC/USDT', was 'BTCUSDT'"),
        *(
            (
                ("BTC/USDT", "buy", qty),
                f"quantity: expected a number above 0 and below 10^12 of at most 18 decimals, was {qty!r}",
            )
            for qty in ("0", "one", "nan", "inf", "1e12", "1e-19", "1e999999999")
        ),
        (
            (*ORDER, "--limit", "-0"),
            "--limit: expected a number above 0 and below 10^12 of at most 18 decimals, was '-0'",
        ),
        (ORDER, "no venues: expected --venues NAME,.. or settings of a venue with --config FILE"),
        ((*ORDER, "--venues", "binnance"), "no certified adapter for 'binnance'; did you mean 'binance'?"),
        (
            (*ORDER, "--venues", "a,b,c,d,e,f,g,h,i"),
            "at most 8 venues can be routed over, were 9",
        ),
        (
            (*ORDER, "--venues", "binance", "--json", "--seconds", "2"),
            "--json is one object, --seconds has no end: say one of them",
        ),
        ((*ORDER, "--venues", "binance", "--wait", "inf"), "--wait: expected seconds, was inf"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(words: tuple[str, ...], said: str) -> None:
    assert asked(*words) == (2, f"parley: {said}\n")


def test_two_files_of_one_venue_are_refused(tmp_path: Path) -> None:
    first, second = desk(tmp_path, "okx"), desk(tmp_path, "okx", name="other")
    code, said = asked(*ORDER, "--config", first, "--config", second)
    assert code == 2
    assert said == f"parley: {second!r}: expected another venue than 'okx', which a file before has\n"


def test_addresses_are_both_or_none_and_never_carry_keys_in_clear(tmp_path: Path) -> None:
    half = desk(tmp_path, "okx", f'rest = "{NOWHERE}"')
    assert asked(*ORDER, "--config", half) == (
        2, "parley: live.rest and live.ws are addresses of one exchange: say both, or neither\n",
    )  # fmt: skip
    clear = desk(
        tmp_path, "okx", 'rest = "http://192.0.2.1:80"', 'ws = "ws://192.0.2.1:80"', 'keys = "keys.json"'
    )
    assert asked(*ORDER, "--config", clear) == (
        2, "parley: 'http://192.0.2.1:80' would send key and signatures in clear: say https\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ('{"api_key": "a", "secret": "b"}', 0o644, "holds keys and must have mode 0600, has 0644"),
        ('{"api_key": 1}', 0o600, "must hold an object of texts called api_key and secret (ValidationError)"),
        ('{"api_key": "", "secret": ""}', 0o600, "have an empty api_key"),
    ],
)
def test_keys_that_cannot_be_used_are_refused(tmp_path: Path, text: str, mode: int, said: str) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(text)
    keys.chmod(mode)
    file = desk(tmp_path, "okx", f'rest = "{NOWHERE}"', f'ws = "{NOWHERE}"', f'keys = "{keys}"')
    code, told = asked(*ORDER, "--config", file)
    assert code == 2
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("options", [(), ("--json",), ("--seconds", "1")])
def test_no_venue_left_is_one_error_that_names_every_reason(tmp_path: Path, options: tuple[str, ...]) -> None:
    words = [
        word
        for venue in ("binance", "okx")
        for word in ("--config", desk(tmp_path, venue, f'rest = "{NOWHERE}"', f'ws = "{NOWHERE}"'))
    ]
    code, said = asked(*ORDER, *words, *options)
    assert code == 2
    assert said.startswith("parley: no venue is left to route over: binance: markets: ")
    assert "; okx: markets: " in said
    assert said.count("\n") == 1


def test_help_says_that_no_order_is_sent() -> None:
    ended = CliRunner().invoke(app, ["route", "--help"])
    assert ended.exit_code == 0
    assert "No order is sent" in " ".join(ended.stdout.split())


def found(side: str, qty: str, limit: str | None = None) -> Report:
    """Two venues: `near` is dear and holds 2, `far` is cheap a little farther off and holds 3."""
    books = {
        "near": make_book(bids=((99.0, 2.0),), asks=((100.0, 2.0),)),
        "far": make_book(bids=((98.5, 1.0), (98.0, 2.0)), asks=((100.5, 1.0), (101.0, 2.0))),
    }
    fees = {"near": "0.01", "far": "0"}
    markets = {
        name: Market(make_instrument(lot="0.1", taker_fee=fees[name]), told) for name, told in books.items()
    }
    seen = {
        "near": Seen(market=markets["near"], fee_of="account", age_s=0.25),
        "far": Seen(market=markets["far"], fee_of="assumed", age_s=1.0),
    }
    order = Order(
        symbol="BTC/USDT", side=side, qty=Decimal(qty), limit=None if limit is None else Decimal(limit)
    )
    costs = compare(markets, side, order.qty, order.limit)
    return report(order, Look(seen=seen, left_out={"mute": "no answer within 10 s"}), costs)


def lines(told: Report, width: int = 200) -> list[str]:
    out = Console(width=width, no_color=True, highlight=False)
    with out.capture() as capture:
        out.print(tables(told), soft_wrap=True)
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def test_a_buy_is_shown_with_what_routing_saves() -> None:
    # near's 100 is 101 with its fee, as much as far's second level
    told = lines(found("buy", "2"))

    assert told[0] == "buy 2 BTC/USDT"
    assert told[1] == "venue bid ask bid net ask net taker fee age"
    assert told[2] == "far 98.5 100.5 98.5 100.5 0% assumed 1.0s"
    assert told[3] == "near 99 100 98.01 101 1% account 0.2s"
    assert "together 2 0.0000 201.5000" in told
    assert "routing saves nothing: far alone is as good" in told
    assert told[-2] == "left out: mute: no answer within 10 s"
    assert told[-1] == "no order was sent"


def test_what_finds_no_place_is_said() -> None:
    told = lines(found("buy", "7.05"))
    assert "unplaced: 2.05 BTC: the books read hold no more, or it is below lot or minimum" in told
    assert "together 5 2.0000 504.5000" in told
    assert "no venue alone places as much as the route" in told
    assert "near 2 100 100 2.0000 202.0000 5.05" in told

    told = lines(found("buy", "7", limit="50"))
    assert told[0] == "buy 7 BTC/USDT at no worse than 50"
    assert any(
        line.startswith("unplaced: 7 BTC: the books read hold no more within the limit,") for line in told
    )
    assert "nothing can be placed" in told


def test_a_sell_brings_what_it_brings() -> None:
    # far: 1 at 98.5, near: 2 at 99 less 1 % (98.01), far: the rest at 98
    sold = found("sell", "4")
    told = lines(sold)
    assert "route quantity worst price average fee USDT brings USDT" in told
    assert "near 2 99 99 1.9800 196.0200" in told
    assert "far 2 98 98.25 0.0000 196.5000" in told
    assert "together 4 1.9800 392.5200" in told
    assert sold.costs.cost == Decimal("-392.52")

    sold = found("sell", "2.5")
    assert sold.costs.saving is not None
    # 98.5 + 1.5 * 98.01 against 98.5 + 1.5 * 98
    assert (sold.costs.saving.against, sold.costs.saving.quote) == ("far", Decimal("0.015"))
    assert "routing saves 0.0150 USDT (0.61 bps) against far alone" in lines(sold)


def test_eighty_columns_show_everything() -> None:
    prices = {"bids": ((60986.11, 1.23456),), "asks": ((60992.21, 1.23456),)}
    market = Market(make_instrument(taker_fee="0.0011"), make_book(**prices))
    seen = {"hyperliquid": Seen(market=market, fee_of="published", age_s=1.0)}
    order = Order(symbol="BTC/USDT", side="buy", qty=Decimal("10.12345"), limit=None)
    costs = compare({"hyperliquid": market}, "buy", order.qty)

    told = lines(report(order, Look(seen=seen, left_out={}), costs), width=80)

    shown = "hyperliquid 60986.11 60992.21 60919.0253 61059.3014 0.11% published 1.0s"
    assert shown in told
    assert "hyperliquid 1.23456 60992.21 60992.21 82.8284 75,381.3712 8.88889" in told


def test_the_object_holds_all_digits_as_text() -> None:
    told = json.loads(json.dumps(plain(as_object(found("sell", "2.5", "98")))))

    assert (told["symbol"], told["side"], told["qty"], told["limit"]) == ("BTC/USDT", "sell", "2.5", "98")
    assert [each["venue"] for each in told["venues"]] == ["far", "near"]
    assert told["venues"][1] == {
        "venue": "near", "bid": "99", "ask": "100", "net_bid": "98.01", "net_ask": "101", "taker_fee": "0.01",
        "fee_of": "account", "bid_levels": 1, "ask_levels": 1, "age_s": 0.25,
    }  # fmt: skip
    assert told["route"] == [
        {"venue": "far", "qty": "1", "worst_px": "98.5", "avg_px": "98.5", "fee": "0", "cost": "-98.5"},
        {"venue": "near", "qty": "1.5", "worst_px": "99", "avg_px": "99", "fee": "1.485", "cost": "-147.015"},
    ]
    assert (told["unplaced"], told["fee"], told["cost"]) == ("0", "1.485", "-245.515")
    assert told["alone"][0]["venue"] == "far"
    assert told["alone"][1]["unplaced"] == "0.5"
    assert told["saving"]["quote"] == "0.015"
    assert told["left_out"] == [{"venue": "mute", "reason": "no answer within 10 s"}]
