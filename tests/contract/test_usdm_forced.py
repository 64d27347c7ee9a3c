"""A position that the venue closed is told once, by the stream or only by a list, and stops opening."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from parley.messages import Fill, FundingPaid, Gap, Message
from runtime.funding_watch import FundingWatch, before_opening
from runtime.heard_facts import HeardFacts
from runtime.lastlook import Counters
from tests.contract.test_usdm_margin import POOR, crash
from tests.contract.test_usdm_venue import BTC, adapter, heard, order
from venues.port import FORCED, Acked

pytestmark = pytest.mark.timeout(120)


def test_a_liquidation_is_told_once_by_stream_and_list_and_over_two_lives(market_data: Path) -> None:
    async def run() -> None:
        feed = crash(market_data, "12:40:00", "13:20:00")
        async with adapter(leverage=10, feed=feed, accounts=[POOR]) as (process, venue, _client):
            await venue.connect()
            await venue.prepare()
            said: list[Message] = []
            counters = Counters()
            facts = HeardFacts(counters, {}, lambda message, _: said.append(message), lambda _: None)
            ready = asyncio.Event()
            following = asyncio.create_task(venue.follow(facts.tell, ready.set))
            await ready.wait()
            opened = await venue.send(order(qty=Decimal(2)))
            assert isinstance(opened, Acked)
            facts.tell_all(opened)
            said.clear()

            control = await process.control()
            await control.go()
            while not process.truth("liquidation"):
                await control.steps(1)
            [line] = process.truth("liquidation")
            own = [each for each in process.truth("trade") if each["order_id"] == line["order_id"]]
            await heard(lambda: sum(isinstance(each, Fill) for each in said) == len(own))
            following.cancel()
            forced = [each for each in said if isinstance(each, Fill)]
            assert {(each.iid, each.symbol, each.side) for each in forced} == {(FORCED, BTC, "sell")}
            assert sorted((each.trade_id, each.qty, each.px) for each in forced) == sorted(
                (str(each["trade_id"]), Decimal(each["qty"]), Decimal(each["price"])) for each in own
            )
            assert [each.stream for each in said if isinstance(each, Gap)] == [f"forced:{BTC}"] * len(own)
            assert not counters.positions.get("BTC:USDT")

            # the list says it too, with the fee
            watch = FundingWatch(venue, (), facts.tell)
            await watch.look()
            paid = [each for each in said if isinstance(each, FundingPaid)]
            assert sum((each.amount for each in paid), Decimal(0)) == -Decimal(line["fee"])
            assert [each for each in said if isinstance(each, Fill)] == forced

            # a gateway that was dead meanwhile has it from the list alone
            later: list[Message] = []
            again = HeardFacts(Counters(), {}, lambda message, _: later.append(message), lambda _: None)
            await FundingWatch(venue, (), again.tell).look()
            assert [each for each in later if isinstance(each, Fill)] == sorted(
                forced, key=lambda it: it.trade_id
            )

            # one that opens the account now has it in its balance, and remembers that
            _, prior = await before_opening(venue)
            fresh: list[Message] = []
            first = FundingWatch(venue, (), fresh.append)
            first.tell(prior, prior=True)
            await first.look()
            assert all(isinstance(each, FundingPaid) and each.prior for each in fresh)
            known = [each.ref for each in fresh if isinstance(each, FundingPaid)]
            assert len(known) == len(own) + len(paid)
            restarted: list[Message] = []
            await FundingWatch(venue, known, restarted.append).look()
            assert restarted == []

    asyncio.run(run())
