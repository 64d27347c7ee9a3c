"""What Binance says of an account of contracts, read: its modes, what is held, and at which prices.

Not here: an exchange (tests/contract/test_usdm_venue.py, test_usdm_real_money.py).
"""

from __future__ import annotations

import asyncio
from decimal import Decimal as D
from types import SimpleNamespace
from typing import Any

import pytest

from venues.adapters import venue_of
from venues.binance_usdm_client import held, marks_of, usdm_instrument
from venues.port import VenueError
from venues.words import Account

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
IDS = {"BTCUSDT": BTC, "ETHUSDT": ETH}


def position(symbol: str, qty: str, entry: str = "0", profit: str = "0", *, isolated: bool = False) -> Any:
    return {
        "symbol": symbol, "positionAmt": qty, "entryPrice": entry, "unrealizedProfit": profit,
        "isolated": isolated,
    }  # fmt: skip


def account(*positions: Any, **over: Any) -> dict[str, Any]:
    assets = [{"asset": "USDT", "walletBalance": "1200", "crossWalletBalance": "1000"}]
    return {"canTrade": True, "assets": assets, "positions": list(positions)} | over


def unfit(sides: Any, assets: Any, told: Any) -> list[str]:
    def saying(answer: Any) -> Any:
        async def say() -> Any:
            return answer

        return say

    client = SimpleNamespace(
        fapiPrivateGetPositionSideDual=saying(sides), fapiPrivateGetMultiAssetsMargin=saying(assets),
        fapiPrivateV2GetAccount=saying(told), last_response_headers=None,
        market_id=lambda symbol: symbol.partition(":")[0].replace("/", ""),
    )  # fmt: skip
    mine = Account(name="main", venue="binanceusdm", symbols=(BTC,))
    venue = venue_of("binanceusdm", client, mine, recv_window_ms=5000, lag_ms=0)
    return [*asyncio.run(venue.unfit())]


ONE_WAY, ONE_ASSET = {"dualSidePosition": False}, {"multiAssetsMargin": False}


def test_an_account_in_the_one_mode_is_fit() -> None:
    assert unfit(ONE_WAY, ONE_ASSET, account(position("BTCUSDT", "-0.1"), position("ETHUSDT", "0"))) == []
    assert unfit(ONE_WAY, ONE_ASSET, account(position("ETHUSDT", "3", isolated=True))) == []


@pytest.mark.parametrize("said", [True, "false", None, 0])
def test_anything_but_a_no_counts_against_the_account(said: Any) -> None:
    assert unfit({"dualSidePosition": said}, {"multiAssetsMargin": said}, account()) == [
        f"account mode: expected one-way positions, was dualSidePosition {said!r}",
        f"account mode: expected margin of one asset, was multiAssetsMargin {said!r}",
    ]


def test_an_account_that_may_not_trade_and_one_that_shares_its_wallet_are_told() -> None:
    told = account(position("ETHUSDT", "-3"), position("BTCUSDT", "1"), canTrade=False)
    assert unfit(ONE_WAY, ONE_ASSET, told) == [
        "the account may not trade: canTrade is False",
        "cross positions in ETHUSDT share the wallet: isolate or close them",
    ]


@pytest.mark.parametrize(
    ("sides", "told"), [({}, account()), (None, account()), (ONE_WAY, {}), (ONE_WAY, {"positions": [{}]})]
)
def test_an_answer_that_does_not_say_is_no_answer(sides: Any, told: Any) -> None:
    with pytest.raises(VenueError, match="modes of the account: the answer does not say"):
        unfit(sides, ONE_ASSET, told)


def test_what_is_held_is_the_cross_wallet_less_what_positions_cost() -> None:
    told = account(
        position("BTCUSDT", "-0.1", "60000", "-50"), position("ETHUSDT", "2", "3000", "10"),
        position("XRPUSDT", "5", "1", isolated=True),
    )  # fmt: skip
    assert held(told, IDS) == {"USDT": D(1000), "BTC:USDT": D("-0.1"), "ETH:USDT": D(2)}


def test_marks_are_those_of_what_is_traded_whether_it_is_held_or_not() -> None:
    asked: list[dict[str, str]] = []

    def marks(symbols: tuple[str, ...], answer: Any) -> dict[str, D]:
        async def say(query: dict[str, str]) -> Any:
            asked.append(query)
            return answer

        client = SimpleNamespace(
            fapiPublicGetPremiumIndex=say, last_response_headers=None,
            market_id=lambda symbol: symbol.partition(":")[0].replace("/", ""),
        )  # fmt: skip
        mine = Account(name="main", venue="binanceusdm", symbols=symbols)
        venue = venue_of("binanceusdm", client, mine, recv_window_ms=5000, lag_ms=0)
        return dict(asyncio.run(venue.marks()))

    rows = [{"symbol": name, "markPrice": px} for name, px in (("BTCUSDT", "60500.10"), ("XRPUSDT", "1"))]
    assert marks((BTC,), rows[0]) == {"BTC:USDT": D("60500.1")}
    assert marks((BTC, ETH), rows) == {"BTC:USDT": D("60500.1")}, "what it does not say is not known"
    assert asked == [{"symbol": "BTCUSDT"}, {}]
    unreadable: list[Any] = [[{}], {"symbol": "BTCUSDT"}, None, [{"symbol": "BTCUSDT", "markPrice": "dear"}]]
    for nothing in unreadable:
        with pytest.raises(VenueError, match="marks: an answer nobody can read"):
            marks((BTC,), nothing)


def test_a_bracket_says_how_much_of_its_value_opens_a_position() -> None:
    filters = [
        {"filterType": "PRICE_FILTER", "tickSize": "0.1"},
        {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "100"},
    ]
    market = {"symbol": BTC, "swap": True, "linear": True, "contractSize": 1, "info": {"filters": filters}}
    rows = [
        {"notionalCap": 50_000, "maintMarginRatio": 0.004, "cum": 0.0, "initialLeverage": 125},
        {"notionalCap": 600_000, "maintMarginRatio": 0.005, "cum": 50.0, "initialLeverage": 100},
    ]
    instrument = usdm_instrument(market, "binanceusdm", 5, (D(0), D(0)), rows)
    assert [each.margin for each in instrument.tiers] == [D("0.008"), D("0.01")]
    assert instrument.margin == D("0.2")


def test_a_mark_that_cannot_be_read_costs_no_other_contract_its_mark() -> None:
    told: list[Any] = [
        {"markPrice": "1"}, {"symbol": "DOGEUSDT", "markPrice": "none"}, "what", {"symbol": "DOTUSDT"},
        {"symbol": "ETHUSDT", "markPrice": "-"}, {"symbol": "BTCUSDT", "markPrice": "50000.10"},
    ]  # fmt: skip
    assert marks_of(told, IDS) == {"BTC:USDT": D("50000.1")}
    assert marks_of([{"symbol": "ETHUSDT"}, {"symbol": "BTCUSDT", "markPrice": "7"}], IDS) == {
        "BTC:USDT": D(7)
    }
