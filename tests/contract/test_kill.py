"""`parley kill` against a real gateway and a real exchange: what is blocked, taken back, and stays so.

Not here: the kill file's lines (tests/unit/runtime/test_kill_file.py), its speed (benchmarks.bench_kill).
"""

from __future__ import annotations

import asyncio
import json
import signal
from decimal import Decimal

from parley.messages import Ack, Fill, Halt, Killed, OrderEvent, VenueReject
from runtime import killing
from tests.kit.kills import Home, home_with_gateway
from tests.kit.units import make_intent


async def refused(home: Home, count: int, n: int, **over: object) -> VenueReject:
    home.desk.send(make_intent(n, ref_px=Decimal(50_000), **over))
    return await home.desk.hear(VenueReject, count)


def test_kill_takes_back_what_rests_and_holds_until_it_is_released() -> None:
    async def scenario() -> None:
        async with home_with_gateway() as home:
            btc, eth = await home.rest(5), await home.rest(3, "ETH/USDT")

            said = await home.kill("symbol:ETH/USDT")
            (account,) = said["accounts"]
            assert (account["cancels_sent"], account["confirmed"], account["unconfirmed"]) == (3, 3, [])
            assert (home.cancelled(eth), home.cancelled(btc)) == ({e.cid for e in eth}, set())
            no = await refused(home, 1, 1000, symbol="ETH/USDT")
            assert (no.code, no.detail) == ("last_look:halted", "killed: symbol:ETH/USDT, cancel: test")
            home.desk.send(make_intent(1001, ref_px=Decimal(50_000)))
            await home.desk.hear(Fill)

            said = await home.kill()
            assert said["accounts"][0]["confirmed"] == 5
            assert home.cancelled(btc) == {each.cid for each in btc}
            assert (await refused(home, 2, 1002)).code == "last_look:halted"
            assert home.desk.of(Killed)[-1].standing == (
                ("firm", "cancel", "test"), ("symbol:ETH/USDT", "cancel", "test"),
            )  # fmt: skip
            assert (await home.kill())["accounts"][0]["cancels_sent"] == 0
            assert await asyncio.to_thread(killing.in_doubt, home.home) == []

            await home.release()
            home.desk.send(make_intent(1003, ref_px=Decimal(50_000)))
            await home.desk.until(lambda: len({f.iid for f in home.desk.of(Fill)}) == 2)
            assert (await refused(home, 3, 1004, symbol="ETH/USDT")).code == "last_look:halted"
            assert [(h.mode, h.why) for h in home.desk.of(Halt)] == [("RESUME", "looked")]
            events = {e.iid: e.status for e in home.desk.of(OrderEvent)}
            assert all(events[each.iid] == "canceled" for each in (*btc, *eth))

    asyncio.run(scenario())


def test_flatten_lets_only_exits_leave() -> None:
    async def scenario() -> None:
        async with home_with_gateway() as home:
            # a position beyond what the account brought with it: 20 BTC
            home.desk.send(make_intent(1, qty=Decimal("0.5"), ref_px=Decimal(50_000)))
            await home.desk.hear(Ack)
            await home.kill(mode="flatten")

            assert (await refused(home, 1, 2)).code == "last_look:halted"
            assert (await refused(home, 2, 3, side="sell")).code == "last_look:halted"
            large = {"side": "sell", "reduce_only": True}
            assert (await refused(home, 3, 4, qty=Decimal("20.6"), **large)).code == "last_look:halted"
            bought = {f.iid for f in home.desk.of(Fill)}
            exit_ = make_intent(5, qty=Decimal("0.5"), ref_px=Decimal(50_000), **large)
            home.desk.send(exit_)
            await home.desk.until(lambda: {f.iid for f in home.desk.of(Fill)} - bought == {exit_.iid})

    asyncio.run(scenario())


def test_gateway_that_hangs_is_ended_and_its_orders_are_cancelled_with_its_key() -> None:
    async def scenario() -> None:
        async with home_with_gateway() as home:
            resting = await home.rest(6)
            home.gateway.process.send_signal(signal.SIGSTOP)

            said = await home.kill()
            (account,) = said["accounts"]
            assert account["taken_over"]
            assert account["ended"] == home.gateway.process.pid
            assert (account["confirmed"], account["unconfirmed"]) == (6, [])
            assert home.cancelled(resting) == {each.cid for each in resting}
            assert await home.gateway.process.wait() == -signal.SIGKILL

            # it comes back, and is killed still; the desk that knew the old epoch is behind
            await home.begin()
            killed = await home.desk.hear(Killed)
            assert killed.standing == (("firm", "cancel", "test"),)
            assert (await refused(home, 1, 1000)).code == "last_look:halted"
            await home.release()
            assert (await refused(home, 2, 1001, epoch=0)).code == "last_look:stale_epoch"
            home.desk.send(make_intent(1002, ref_px=Decimal(50_000), epoch=9))
            await home.desk.hear(Fill)

    asyncio.run(scenario())


def test_what_an_ended_run_with_real_money_left_resting_is_cancelled_with_its_key() -> None:
    async def scenario() -> None:
        async with home_with_gateway() as home:
            resting = await home.rest(4)
            await home.die()
            assert (await home.kill())["accounts"] == []  # on paper nothing is left: its exchange is gone too

            (home.run / "account.json").write_text("{}")
            (home.run / "config").rename(home.run / "config-1")  # as a resume that failed leaves it
            (account,) = (await home.kill())["accounts"]
            assert (account["error"], account["taken_over"], account["ended"]) == (None, True, 0)
            assert (account["confirmed"], account["unconfirmed"]) == (4, [])
            assert home.cancelled(resting) == {each.cid for each in resting}
            assert (await home.kill())["accounts"] == []

    asyncio.run(scenario())


def test_ended_run_that_cannot_be_read_keeps_nobody_from_being_killed() -> None:
    async def scenario() -> None:
        async with home_with_gateway() as home:
            resting = await home.rest(2)
            broken = home.home / "runs" / "r0"
            (broken / "config").mkdir(parents=True)
            told = {"account": "main", "journal": str(broken / "gateway.journal")}
            (broken / "config" / "gateway.json").write_text(json.dumps(told))
            (broken / "gateway.journal").write_bytes(b"no journal")
            (broken / "account.json").write_text("{}")

            living, dead = (await home.kill())["accounts"]
            assert (living["confirmed"], living["error"]) == (2, None)
            assert home.cancelled(resting) == {each.cid for each in resting}
            assert "run 'r0': " in dead["error"]

    asyncio.run(scenario())


def test_release_of_another_account_resumes_nothing_here() -> None:
    async def scenario() -> None:
        async with home_with_gateway() as home:

            async def release(scope: str) -> None:
                await asyncio.to_thread(killing.release, home.home, (scope,), "looked")

            await release("firm:another")
            await release("tenant:another")
            await release("firm:main")
            resumed = await home.desk.hear(Halt)
            assert (resumed.mode, resumed.why) == ("RESUME", "looked")
            await asyncio.sleep(0.1)
            assert len(home.desk.of(Halt)) == 1

    asyncio.run(scenario())
