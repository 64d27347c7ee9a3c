"""Executions that the venue's list has not got yet: the order's state waits for them, and asks are few.

Not here: real sockets (tests/contract/test_coinbase_venue.py).
"""

from __future__ import annotations

import asyncio
from typing import Any

import ccxt
import pytest

from venues import coinbase_executions
from venues.coinbase_executions import Executions


class Client:
    """Two orders of the private stream; the list of the first one's executions stays behind for some asks."""

    def __init__(self, behind: int) -> None:
        self.orders = [order("1", "0.5"), order("2", "0.25")]
        self.asked: list[str] = []
        self._behind = behind

    async def v3PrivateGetBrokerageOrdersHistoricalFills(self, query: Any) -> dict[str, Any]:
        (number,) = query["order_ids"]
        self.asked.append(number)
        sizes = {"1": "0.5" if self.asked.count("1") > self._behind else "0.2", "2": "0.25"}
        row = {
            "trade_id": f"t{number}{sizes[number]}", "trade_type": "FILL", "size": sizes[number],
            "trade_time": "2024-01-01T00:00:00Z",
        }  # fmt: skip
        return {"fills": [row], "cursor": ""}


def order(number: str, executed: str) -> dict[str, Any]:
    info = {"status": "FILLED", "cumulative_quantity": executed}
    return {"id": number, "symbol": "BTC/USD", "info": info}


def shown(executions: Executions) -> list[str]:
    return [each["id"] for each in executions.orders]


def test_a_state_waits_for_its_executions_and_holds_back_no_other() -> None:
    async def run() -> None:
        client = Client(behind=2)
        executions = Executions(client)
        await executions.read()
        assert shown(executions) == ["2"]
        assert [each["id"] for each in executions.trades] == ["t20.25"]
        async with asyncio.timeout(5):
            await executions.read()
        assert shown(executions) == ["2", "1"]
        assert [each["id"] for each in executions.trades] == ["t20.25", "t10.5"]
        assert client.asked == ["1", "2", "1", "1"]  # not with every look

    asyncio.run(run())


def test_a_list_that_stays_behind_is_an_error_which_is_told_as_a_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coinbase_executions, "_PATIENCE_S", 0.2)

    async def run() -> None:
        client = Client(behind=1000)
        executions = Executions(client)
        await executions.read()
        with pytest.raises(ccxt.ExchangeError, match=r"^executions of order 1 are not listed after 0\.2 s$"):
            async with asyncio.timeout(5):
                await executions.read()
        assert shown(executions) == ["2"]
        assert client.asked.count("1") < 6

    asyncio.run(run())
