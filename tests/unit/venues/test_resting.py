"""Which open orders are ours, by the ids that venues tell, and lists that the sandbox does not have.

Not here: the lists of venues that the sandbox speaks as (tests/contract/test_orphans.py).
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.ids import account_key, client_order_id, tenant_tag
from venues import hyperliquid_cloids, kraken_ids
from venues.hyperliquid_orders import open_orders
from venues.resting import Row, own, own_cid, own_cid_behind

TAG = tenant_tag("local")
KEY = account_key("local", "main")


def cid(n: int, tag: str = TAG) -> str:
    return client_order_id(KEY, tag, bytes([n]) * 16)


@pytest.mark.parametrize(
    ("told", "is_ours"),
    [(cid(1), True), (cid(1, tenant_tag("another")), False), ("web_" + cid(1), False), ("", False)],
)
def test_an_id_is_ours_where_it_begins_with_the_tag(told: str, is_ours: bool) -> None:
    assert own_cid(told, TAG) == (told if is_ours else None)
    assert own_cid(told, "") is None


def test_an_id_may_have_the_venues_own_word_before_it_and_no_other() -> None:
    assert own_cid_behind("x-BROKER" + cid(1), TAG) == cid(1)
    assert own_cid_behind(cid(1), TAG) == cid(1)
    assert own_cid_behind("x-BROKER" + cid(1, tenant_tag("another")), TAG) is None
    assert own_cid_behind(cid(1) + "-2", TAG) is None
    assert own_cid_behind("x-BROKER" + cid(1), "") is None


@given(st.binary(min_size=16, max_size=16))
def test_an_id_that_goes_out_without_its_tag_is_found_with_it(iid: bytes) -> None:
    mine = client_order_id(KEY, TAG, iid)

    assert kraken_ids.cid_of(kraken_ids.wire_id(mine), TAG) == mine
    assert hyperliquid_cloids.cid_of(hyperliquid_cloids.wire_id(mine), TAG) == mine


@pytest.mark.parametrize("told", ["a person's", "0x12", "6d1b345e-2821-40e2-ad83", "G" * 32])
def test_what_is_no_hash_is_nobodys_there(told: str) -> None:
    assert kraken_ids.cid_of(told, TAG) is None
    assert hyperliquid_cloids.cid_of(told, TAG) is None


def test_only_ours_are_listed_and_a_stop_says_when_it_begins() -> None:
    rows = [
        Row(cid(1), 7, "SELL", "0.5", "60000", "61000.00"),
        Row(cid(2), 8, "BUY", "1", "50000", "0.00000000"),
        Row("web_1", 9, "BUY", "1", "50000"),
        Row(None, 10, "BUY", "1", "50000"),
        Row("", 11, "BUY", "1", "50000"),
    ]

    found = own("BTC/USDT", rows, TAG)

    assert [(each.symbol, each.cid, each.venue_id, each.terms) for each in found] == [
        ("BTC/USDT", cid(1), "7", "sell 0.5 at 60000 once 61000.00 is paid"),
        ("BTC/USDT", cid(2), "8", "buy 1 at 50000"),
    ]


def listing(answer: object) -> Any:
    async def said(query: dict[str, str]) -> object:
        assert query == {"type": "frontendOpenOrders", "user": "0x1"}
        return answer

    market = SimpleNamespace(walletAddress="0x1", market=lambda symbol: {"id": f"@{symbol}"})
    market.publicPostInfo = said
    return market


def test_hyperliquids_list_is_of_all_pairs_and_names_cloids() -> None:
    row = {"coin": "@BTC/USDC", "oid": 5, "side": "B", "origSz": "0.1", "limitPx": "2000.0", "sz": "0.1"}
    mine = hyperliquid_cloids.wire_id(cid(1))
    client = listing(
        [row | {"cloid": mine}, row | {"cloid": None}, row | {"cloid": mine, "coin": "@another", "oid": 6}]
    )

    (found,) = asyncio.run(open_orders(client, ("BTC/USDC",), TAG))

    assert (found.cid, found.venue_id, found.terms) == (cid(1), "5", "buy 0.1 at 2000.0")
    with pytest.raises(KeyError):  # a list that tells no cloids says nothing
        asyncio.run(open_orders(listing([row]), ("BTC/USDC",), TAG))
