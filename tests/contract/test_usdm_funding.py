"""What contracts were paid is told once, whatever dies: `FundingWatch` at an exchange over sockets."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from parley.messages import FundingPaid
from runtime.funding_watch import FundingWatch, before_opening
from tests.contract.test_usdm_venue import BTC, adapter, order
from venues.port import Acked

pytestmark = pytest.mark.timeout(120)
FEED = {"kind": "synthetic", "candles": 24, "history": 60, "assets": ["BTC"], "timeframe": "1h"}


def test_a_payment_is_told_once_over_two_lives_of_the_gateway() -> None:
    async def run() -> None:
        async with adapter(feed=FEED) as (process, venue, _client):
            await venue.connect()
            await venue.prepare()
            _, prior = await before_opening(venue)
            assert prior == []
            assert isinstance(await venue.send(order()), Acked)
            control = await process.control()
            await control.go()
            await control.steps(9)

            told: list[FundingPaid] = []
            first = FundingWatch(venue, (), told.append)
            await first.look()
            await first.look()
            [paid] = told
            [line] = process.truth("funding")
            assert (paid.symbol, paid.asset, paid.prior) == (BTC, "USDT", False)
            assert (paid.amount, paid.t) == (Decimal(line["amount"]), line["t"] * 1_000_000)

            # killed; the next one has read the journal, and there was a payment while nobody lived
            await control.steps(8)
            second = FundingWatch(venue, {each.ref for each in told}, told.append)
            await second.look()
            assert [each.amount for each in told] == [
                Decimal(line["amount"]) for line in process.truth("funding")
            ]
            assert len({each.ref for each in told}) == len(told) == 2

            # one that opens the account now finds both in its opening balance
            _, prior = await before_opening(venue)
            fresh: list[FundingPaid] = []
            watch = FundingWatch(venue, (), fresh.append)
            watch.tell(prior, prior=True)
            await watch.look()
            assert [(each.ref, each.prior) for each in fresh] == [(each.ref, True) for each in told]

    asyncio.run(run())
