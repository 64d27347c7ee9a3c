"""What Hyperliquid's sentences mean, how its ids, grids and trades are counted, that its key stays hidden.

Not here: real answers (tests/contract/test_hyperliquid_venue.py).
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import ccxt
import pytest

from parley.ids import account_key, client_order_id, tenant_tag
from runtime.redaction import HIDDEN, Redaction
from tests.kit.hyperliquid import PRIVATE_KEY
from venues.hyperliquid_client import tick_at
from venues.hyperliquid_cloids import cloid_of, wire_id
from venues.hyperliquid_limits import HyperliquidLimits
from venues.hyperliquid_market import numbered
from venues.hyperliquid_orders import status_of, verdict
from venues.hyperliquid_words import HyperliquidOrders
from venues.limits import Request
from venues.port import NOT_FOUND, Ambiguous, Rejected, VenueError
from venues.sandbox.hyperliquid.keccak import keccak256
from venues.sandbox.hyperliquid.signing import recovered
from venues.words import Account


def row(sentence: str) -> str:
    return f'hyperliquid {{"status":"ok","response":{{"data":{{"statuses":[{{"error":"{sentence}"}}]}}}}}}'


def whole(sentence: str) -> str:
    return f'hyperliquid {{"status":"err","response":"{sentence}"}}'


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ccxt.InvalidOrder(row("Price must be divisible by tick size. asset=10001")), "venue:tickRejected"),
        (
            ccxt.ExchangeError(row("Order must have minimum value of 10 USDC. asset=10001")),
            "venue:minTradeNtlRejected",
        ),
        (
            ccxt.InvalidOrder(row("Post only order would have immediately matched, bbo was 1@2.")),
            "venue:badAloPxRejected",
        ),
        (
            ccxt.InvalidOrder(row("Order could not immediately match against any resting orders. asset=1")),
            "venue:iocCancelRejected",
        ),
        (
            ccxt.InsufficientFunds(row("Insufficient spot balance asset=1")),
            "venue:insufficientSpotBalanceRejected",
        ),
        (
            ccxt.InvalidOrder(whole(f"User or API Wallet 0x{'ab' * 20} does not exist.")),
            "venue:unknownSigner",
        ),
        (
            ccxt.OrderNotFound(row("Order was never placed, already canceled, or filled. asset=1")),
            NOT_FOUND,
        ),
    ],
)  # fmt: skip
def test_a_documented_sentence_is_a_refusal(error: Exception, code: str) -> None:
    said = verdict(error)
    assert isinstance(said, Rejected)
    assert said.code == code


@pytest.mark.parametrize(
    "error",
    [
        ccxt.ExchangeError(whole("Invalid nonce: duplicate nonce 1")),
        ccxt.ExchangeError(whole("Action expired")),
        ccxt.ExchangeError(row("A sentence nobody knows")),
        ccxt.RateLimitExceeded(whole("Too many cumulative requests sent (5 > 4)")),
        ccxt.RequestTimeout("hyperliquid POST timed out"),
        # a proxy's page may hold any words
        ccxt.ExchangeNotAvailable("hyperliquid POST 502 Price must be divisible by tick size."),
        ccxt.ExchangeError("hyperliquid 422 Failed to deserialize the JSON body into the target type"),
        ValueError("an answer nobody can read"),
    ],
)
def test_everything_else_is_in_doubt(error: Exception) -> None:
    said = verdict(error)
    assert isinstance(said, Ambiguous)
    assert not said.cause.startswith("duplicate:")


def test_an_id_that_is_taken_is_in_doubt_as_such() -> None:
    said = verdict(ccxt.ExchangeError(row("Duplicate cloid. asset=1")))
    assert isinstance(said, Ambiguous)
    assert said.cause.startswith("duplicate:")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("open", "open"), ("triggered", "open"), ("filled", "closed"), ("canceled", "canceled"),
        ("selfTradeCanceled", "canceled"), ("scheduledCancel", "canceled"), ("tickRejected", "rejected"),
        ("rejected", "rejected"), ("newWord", "newword"),
    ],
)  # fmt: skip
def test_states_in_our_words(raw: str, status: str) -> None:
    assert status_of(raw) == status


def test_a_cloid_is_the_hash_that_the_client_order_id_shows() -> None:
    keys = [account_key("local", account) for account in ("main", "other")]
    ids = [
        client_order_id(key, tenant_tag("local"), n.to_bytes(16, "big")) for key in keys for n in range(500)
    ]
    cloids = {cloid_of(cid) for cid in ids}
    assert len(cloids) == len(ids)
    assert all(cloid is not None and len(cloid) == 34 and int(cloid, 16) >= 0 for cloid in cloids)
    # worked out by hand: 26 letters a are 130 bits of zero, the letter before the last counts 4 of them
    assert cloid_of("local" + "a" * 26) == "0x" + "0" * 32
    assert cloid_of("local" + "a" * 25 + "e") == "0x" + "0" * 31 + "1"


@pytest.mark.parametrize(
    "cid",
    ["", "x" * 36, "local" + "a" * 25, "local" + "A" * 26, "local" + "a" * 25 + "b", "local" + "a" * 27],
)
def test_what_is_no_id_of_ours_has_no_cloid(cid: str) -> None:
    assert cloid_of(cid) is None  # the one that ends with b has a bit that no hash has
    assert wire_id(cid) == cid


@pytest.mark.parametrize(
    ("mid", "lot", "tick"),
    [
        ("61737.63", "0.00001", "1"), ("3456.7", "0.0001", "0.1"), ("80.12", "0.01", "0.01"),
        ("49.9", "0.01", "0.001"), ("50.1", "0.01", "0.01"), ("0.2", "1", "0.00001"),
        ("0.0000123", "1", "0.00000001"), ("0.2", "0.00001", "0.001"), ("250000", "0.00001", "1"),
    ],
)  # fmt: skip
def test_a_tick_has_five_digits_up_to_twice_the_price(mid: str, lot: str, tick: str) -> None:
    assert tick_at(Decimal(mid), Decimal(lot)) == Decimal(tick)


def trade(time_ms: int, tid: int) -> dict[str, Any]:
    return {"timestamp": time_ms, "id": str(tid)}


def test_trades_are_numbered_by_time_and_place_whatever_their_hashes() -> None:
    oldest_first = [trade(5, 900), trade(5, 3), trade(7, 500), trade(7, 1), trade(7, 500)]
    found = list(numbered(reversed(oldest_first)))
    assert [(each["timestamp"], each["id"]) for _, each in found] == [
        (7, "1"),
        (7, "500"),
        (5, "3"),
        (5, "900"),
    ]
    numbers = [number for number, _ in found]
    assert numbers == sorted(set(numbers), reverse=True)
    # a later trade of the same millisecond comes behind what was read before
    assert next(numbered(reversed([*oldest_first, trade(7, 2)])))[0] > numbers[0]


def test_an_account_that_traded_too_little_rests_its_orders_and_not_its_cancels() -> None:
    limits = HyperliquidLimits()
    shut = limits.shut(
        Request.SEND, ccxt.RateLimitExceeded(whole("Too many cumulative requests sent (5 > 4)")), {}, 0
    )
    assert shut is not None
    assert set(shut.limits).isdisjoint(limits.costs(Request.CANCEL, ()))
    assert set(shut.limits) & limits.costs(Request.SEND, ()).keys()
    assert shut.at_least_ns == 10_000_000_000
    turned = limits.shut(Request.LOOK_UP, ccxt.RateLimitExceeded("hyperliquid POST x 429 Too null"), {}, 0)
    assert turned is not None
    assert turned.limits == ()
    assert limits.shut(Request.SEND, ccxt.ExchangeError(row("Price must be")), {}, 0) is None


def test_an_execution_without_a_cloid_is_known_by_the_number_of_its_order() -> None:
    client: Any = SimpleNamespace(walletAddress="0x" + "ab" * 20, orders=None)
    words = HyperliquidOrders(client, Account(name="main", venue="hyperliquid", symbols=()))
    bare = {"oid": 7, "coin": "@0", "tid": 1}
    assert words.client_ids(bare) == ()  # somebody else's
    words._under_way = 1
    with pytest.raises(KeyError):
        words.client_ids(bare)  # perhaps that of the order whose answer is not here yet
    assert words.client_ids({**bare, "cloid": None}) == ()
    client.orders = [{"id": "7", "clientOrderId": "0xab"}]
    assert words.client_ids(bare) == ("0xab",)
    client.orders = None
    assert words.client_ids(bare) == ("0xab",)
    assert words.client_ids({"order": {"oid": 8, "cloid": "0xcd"}, "status": "open"}) == ("0xcd",)
    assert words.client_ids({**bare, "oid": 8}) == ("0xcd",)


def test_a_token_that_is_called_as_one_of_ours_is_not_taken_for_it() -> None:
    async def asked(query: dict[str, Any]) -> Any:
        return {
            "balances": [
                {"coin": name, "token": n, "total": str(n)} for n, name in enumerate(("USDC", "UBTC", "BTC"))
            ]
        }

    client: Any = SimpleNamespace(walletAddress="0x" + "ab" * 20, publicPostInfo=asked)
    words = HyperliquidOrders(client, Account(name="main", venue="hyperliquid", symbols=()))
    words._assets["UBTC"] = "BTC"
    found = asyncio.run(words.balances())
    assert found == {"USDC": Decimal(0), "BTC": Decimal(1), "BTC (token 2)": Decimal(2)}
    twins = [{"symbol": "BTC/USDC", "id": "@1"}, {"symbol": "BTC/USDC", "id": "@7"}]
    client.markets_by_id = {each["id"]: [each] for each in twins}
    with pytest.raises(VenueError, match="expected one BTC/USDC, were @1, @7"):
        words._only("BTC/USDC")


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
    ],
)
def test_keccak_of_known_texts(data: bytes, digest: str) -> None:
    assert keccak256(data).hex() == digest


def test_the_sandbox_recovers_the_signer_of_the_venues_own_examples() -> None:
    """Figures of the venue's SDK (hyperliquid-python-sdk, tests/signing_test.py): one key, two actions."""
    order: dict[str, Any] = {
        "a": 1, "b": True, "p": "100", "s": "100", "r": False, "t": {"limit": {"tif": "Gtc"}},
    }  # fmt: skip
    for orders, r, s, v in (
        (
            order,
            "0xd65369825a9df5d80099e513cce430311d7d26ddf477f5b3a33d2806b100d78e",
            "0x2b54116ff64054968aa237c20ca9ff68000f977c93289157748a3162b6ea940e",
            28,
        ),
        (
            order | {"c": "0x00000000000000000000000000000001"},
            "0x41ae18e8239a56cacbc5dad94d45d0b747e5da11ad564077fcac71277a946e3",
            "0x3c61f667e747404fe7eea8f90ab0e76cc12ce60270438b2058324681a00116da",
            27,
        ),
    ):
        action = {"type": "order", "orders": [orders], "grouping": "na"}
        signature = {"r": r, "s": s, "v": v}
        assert recovered(action, 0, None, signature) == "0x14791697260e4c9a71f18484c9f997b308e59325"
        assert recovered(action, 1, None, signature) != "0x14791697260e4c9a71f18484c9f997b308e59325"


@pytest.mark.parametrize("given", [PRIVATE_KEY, PRIVATE_KEY.removeprefix("0x"), PRIVATE_KEY.upper()])
def test_a_private_key_is_hidden_however_a_library_writes_it(given: str) -> None:
    redaction = Redaction([given])
    digits = PRIVATE_KEY.removeprefix("0x")
    for text in (
        f"ecdsa({digits})",
        f"0x{digits.upper()}",
        f"{{'privateKey': '0x{digits}'}}",
        f"b'{digits}'",
    ):
        said = redaction.text(text)
        assert digits not in said.lower()
        assert HIDDEN in said
