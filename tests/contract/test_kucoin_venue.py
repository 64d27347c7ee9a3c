"""Our adapter for KuCoin: its pools of requests, its pages, and answers that no sandbox gives.

Not here: what holds for every venue (`test_adapter_on_venues`), and ccxt's own view (`test_kucoin_client`).
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from tests.kit.adapters import adapter
from venues.adapters import venue_of
from venues.ccxt_venue import CcxtVenue
from venues.limits import Request
from venues.port import Acked, KeyRights, VenueError
from venues.words import Account

pytestmark = pytest.mark.timeout(120)


def test_what_answers_say_is_left_of_a_pool_is_kept_to() -> None:
    async def run() -> None:
        async with adapter("kucoin", weight_limit=150) as adapted:
            process, venue = adapted.process, adapted.venue
            sent = 0
            while venue.meter.take(Request.SEND) is None:
                assert isinstance(await venue.send(adapted.orders.limit()), Acked)
                sent += 1
            # of 4000 that are documented this one has 150, and some were spent before the first order
            assert 10 < sent < 140
            assert venue.meter.take(Request.CANCEL) is None  # of what is left for who opens nothing
            assert {line["status"] for line in process.truth("order")} == {"NEW"}

    asyncio.run(run())


@pytest.mark.parametrize("page_limit", [0, 1])
def test_executions_are_read_to_the_last_page(page_limit: int) -> None:
    async def run() -> None:
        async with adapter("kucoin", hostility={"page_limit": page_limit}) as adapted:
            process, venue = adapted.process, adapted.venue
            order = adapted.orders.market(qty=Decimal(40), cid="several")  # more than the first level has
            assert isinstance(await venue.send(order), Acked)
            found = await venue.look_up(order)
            assert isinstance(found, Acked)
            truth = [str(line["trade_id"]) for line in process.truth("trade")]
            assert [each.trade_id for each in found.fills] == truth
            assert len(truth) > 1

    asyncio.run(run())


@pytest.mark.parametrize(
    ("said", "trades", "withdraws"),
    [
        ("General", False, False),
        ("General,Spot", True, False),
        ("General, Spot, InnerTransfer", True, False),
        ("General,Futures,Spot,Earn,InnerTransfer,Transfer,Margin", True, True),
        ("General,Withdrawal", False, True),
        ("", False, False),
    ],
)
def test_what_a_key_may_do_is_read_against_it(said: str, trades: bool, withdraws: bool) -> None:
    found = asyncio.run(answering(privateGetUserApiKey={"permission": said}).key_rights())
    assert found == KeyRights(trades=trades, withdraws=withdraws)


@pytest.mark.parametrize("answer", [{}, {"permission": None}, {"permission": ["Spot"]}])
def test_an_answer_that_does_not_say_what_a_key_may_do_is_none(answer: dict[str, object]) -> None:
    with pytest.raises(VenueError, match="rights of the key: the answer does not say"):
        asyncio.run(answering(privateGetUserApiKey=answer).key_rights())


@pytest.mark.parametrize(
    ("unified", "opened", "expected"),
    [
        (True, True, "account mode: expected a classic account"),
        (False, False, "account type: expected one for high-frequency trading, opened was False"),
        (False, None, "account type: expected one for high-frequency trading, opened was None"),
    ],
)
def test_another_kind_of_account_is_not_traded_with(unified: bool, opened: object, expected: str) -> None:
    venue = answering(is_uta_enabled=unified, privateGetHfAccountsOpened=opened)
    with pytest.raises(VenueError, match=f"^{expected}"):
        asyncio.run(venue.connect())


@pytest.mark.parametrize(
    ("rows", "owned"),
    [
        ([("main", "9"), ("trade", "2")], "2"),
        ([("main", "9"), ("trade", "2"), ("trade_hf", "3")], "3"),
    ],
)
def test_the_account_that_trades_is_the_one_whose_balance_counts(
    rows: list[tuple[str, str]], owned: str
) -> None:
    told = [{"type": kind, "currency": "USDT", "balance": balance} for kind, balance in rows]
    found = asyncio.run(answering(privateGetAccounts=told).balances())
    assert found == (("USDT", Decimal(owned)),)


def answering(**answers: object) -> CcxtVenue:
    """Return a venue whose client gives answers that no sandbox gives; ``is_uta_enabled`` is ccxt's own."""

    def saying(name: str, data: object) -> Any:
        async def say() -> object:
            return data if name == "is_uta_enabled" else {"code": "200000", "data": data}

        return say

    async def markets() -> object:
        return {}

    calls = {name: saying(name, data) for name, data in answers.items()}
    client = SimpleNamespace(load_markets=markets, last_response_headers={}, **calls)
    account = Account(name="main", venue="kucoin", symbols=("BTC/USDT",))
    return venue_of("kucoin", client, account, recv_window_ms=5000, lag_ms=0)
