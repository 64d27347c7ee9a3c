"""Our adapter for OKX: what it makes of answers that no sandbox gives.

Not here: what holds for every venue (`test_adapter_on_venues`), and ccxt's own view (`test_okx_client`).
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from venues.adapters import venue_of
from venues.ccxt_venue import CcxtVenue
from venues.port import KeyRights, VenueError
from venues.words import Account


@pytest.mark.parametrize(
    ("said", "trades", "withdraws"),
    [
        ("read_only", False, False),
        ("read_only,trade", True, False),
        ("read_only,withdraw,trade", True, True),
        ("withdraw", False, True),
        ("", False, False),
    ],
)
def test_what_a_key_may_do_is_read_against_it(said: str, trades: bool, withdraws: bool) -> None:
    assert asyncio.run(answering({"perm": said}).key_rights()) == KeyRights(
        trades=trades, withdraws=withdraws
    )


@pytest.mark.parametrize("answer", [{}, {"perm": None}, {"perm": ["trade"]}])
def test_an_answer_that_does_not_say_what_a_key_may_do_is_none(answer: dict[str, object]) -> None:
    with pytest.raises(VenueError, match="rights of the key: the answer does not say"):
        asyncio.run(answering(answer).key_rights())


@pytest.mark.parametrize(
    "config",
    [
        {"acctLv": "3", "enableSpotBorrow": False},
        {"acctLv": "1", "enableSpotBorrow": True},
        {"acctLv": "1"},
        {},
    ],
)
def test_an_account_that_may_borrow_is_not_traded_with(config: dict[str, object]) -> None:
    with pytest.raises(VenueError, match=r"^account mode: expected spot or futures mode .* does not borrow"):
        asyncio.run(answering(config).connect())


def answering(config: dict[str, object]) -> CcxtVenue:
    """Return a venue whose client gets a configuration of the account that no sandbox gives."""

    async def say() -> object:
        return {"code": "0", "data": [config]}

    async def markets() -> object:
        return {}

    client = SimpleNamespace(privateGetAccountConfig=say, load_markets=markets, last_response_headers={})
    account = Account(name="main", venue="okx", symbols=("BTC/USDT",))
    return venue_of("okx", client, account, recv_window_ms=5000, lag_ms=0)
