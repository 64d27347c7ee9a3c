"""`parley limits set` against a real gateway and a real exchange: what counts when, who may, what is said.

The test is the desk: it says what its journal has. Not here: a desk that judges by what was set
(tests/unit/orchestrator/test_limits_set.py, tests/kill/test_limits_of_a_run.py), keys and directions
(tests/unit/parley/test_limit_changes.py).
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

import pytest

from parley.errors import UserError
from parley.messages import Ack, ApprovalAsked, Killed, LimitChange, VenueReject, decode
from runtime import killing, limiting
from runtime.journal import JournalReader
from runtime.limit_word import Confirmed, Wish
from runtime.operators import Operators
from runtime.resync import Resync
from tests.kit.kills import Home, home_with_gateway
from tests.kit.units import make_intent

D = Decimal
# the sandbox's account has 1,000,000 USDT and 20 BTC of its own
LIMITS = {"max_notional": {"USDT": "5000000", "BTC": "10"}, "max_position": {"USDT": "9000000", "BTC": "50"},
          "cash": ["USDT"]}  # fmt: skip


def running(**over: object) -> AbstractAsyncContextManager[Home]:
    return home_with_gateway(limits=LIMITS, **over)


async def wish(home: Home, key: str, value: str, reason: str = "test", **over: str) -> dict[str, Any]:
    asked = Wish(key=key, value=value, reason=reason, **over)
    return await asyncio.to_thread(limiting.change, home.home, asked)


async def confirmed(home: Home, n: int, key: str, value: str, **over: str) -> dict[str, Any]:
    """Set a limit while the desk's journal takes it at once."""
    asking = asyncio.ensure_future(wish(home, key, value, **over))
    await home.desk.until(lambda: asking.done() or any(each.n == n for each in home.desk.of(LimitChange)))
    home.desk.say(Confirmed(n=n, values={key: value}).text())
    return await asking


async def refused(home: Home, n: int, **over: object) -> str:
    known = len(home.desk.of(VenueReject))
    home.desk.send(make_intent(n, ref_px=D(50_000), **over))
    no = await home.desk.hear(VenueReject, known + 1)
    return no.code


async def taken(home: Home, n: int, **over: object) -> None:
    known = len(home.desk.of(Ack)), len(home.desk.of(VenueReject))
    home.desk.send(make_intent(n, ref_px=D(50_000), **over))
    await home.desk.hear(Ack, known[0] + 1)
    assert len(home.desk.of(VenueReject)) == known[1]


def of_journal(home: Home, kind: str) -> list[Any]:
    records = JournalReader(home.folder / "gw.journal").records()
    return [each for each in (decode(r.body) for r in records) if type(each).__name__ == kind]


def test_tightened_counts_at_once_and_loosened_only_with_the_word_of_the_desk() -> None:
    async def scenario() -> None:
        async with running() as home:
            await taken(home, 1, qty=D("0.5"))  # 25,000, and the account is worth about two millions

            # the desk says nothing: what tightens counts all the same, and is on record
            asking = asyncio.ensure_future(wish(home, "max_order_notional", "0.001", "too wild"))
            change = await home.desk.hear(LimitChange)
            assert (change.n, change.key, change.old, change.new) == (
                1,
                "max_order_notional",
                "0.20",
                "0.001",
            )
            assert (change.why, "pid" in change.by) == ("too wild", True)
            assert await refused(home, 2, qty=D("0.5")) == "last_look:max_notional"
            exit_ = {"side": "sell", "reduce_only": True}
            await taken(home, 3, qty=D("0.5"), **exit_)  # what leaves is never stopped by it
            home.desk.say(Confirmed(n=1, values={"max_order_notional": "0.001"}).text())
            assert (await asking)["confirmed"]

            # what loosens does not, until the desk has it durably; nor does another word loosen it
            asking = asyncio.ensure_future(wish(home, "max_order_notional", "0.5"))
            await home.desk.hear(LimitChange, 2)
            assert await refused(home, 4, qty=D("0.5")) == "last_look:max_notional"
            home.desk.say(Confirmed(n=1, values={"max_order_notional": "0.5"}).text())
            assert await refused(home, 5, qty=D("0.5")) == "last_look:max_notional"
            home.desk.say(Confirmed(n=2, values={"max_order_notional": "0.5"}).text())
            assert (await asking)["confirmed"]
            await taken(home, 6, qty=D("0.5"))
            # the gateway's own cap stays
            assert await refused(home, 7, qty=D("101")) == "last_look:max_notional"

    asyncio.run(scenario())


def test_each_limit_the_gateway_knows_is_followed() -> None:
    async def scenario() -> None:
        async with running() as home:
            await confirmed(home, 1, "max_position", "0.0005")
            assert await refused(home, 1, qty=D("0.5")) == "last_look:max_position"
            await confirmed(home, 2, "blacklist", "ETH/USDT")
            assert await refused(home, 2, symbol="ETH/USDT") == "last_look:limit"
            await confirmed(home, 3, "tree.symbol:LTC/USDT.max_order_notional", "0.0001")
            assert await refused(home, 3, symbol="LTC/USDT", qty=D("1")) == "last_look:max_notional"
            await taken(home, 4, qty=D("0.001"))
            await confirmed(home, 4, "collar_bps", "10")
            over = {"style": "limit", "tif": "GTC", "px": D(50_100), "qty": D("0.001")}
            assert await refused(home, 5, **over) == "last_look:collar"
            await confirmed(home, 5, "orders_per_s", "1")
            home.desk.send(make_intent(6, ref_px=D(50_000), qty=D("0.001")))
            assert await refused(home, 7, qty=D("0.001")) == "last_look:rate"

    asyncio.run(scenario())


def test_changed_limits_outlive_the_gateway_and_the_desk_and_wait_for_the_desk_s_word() -> None:
    async def scenario() -> None:
        async with running() as home:
            await confirmed(home, 1, "max_order_notional", "0.001")
            asking = asyncio.ensure_future(wish(home, "max_order_notional", "0.5"))
            await home.desk.hear(LimitChange, 2)
            home.gateway.process.kill()
            await home.gateway.process.wait()
            with pytest.raises(UserError, match="cannot be asked"):
                await asking

            await home.begin()
            assert await refused(home, 2, qty=D("0.5")) == "last_look:max_notional"
            # a desk that comes back is told what it missed, and says what it has
            home.desk.say(Resync(epoch=9, limits=(1, {"max_order_notional": "0.001"})).text())
            await home.desk.until(lambda: len(home.desk.of(LimitChange)) == 2)
            assert await refused(home, 3, qty=D("0.5"), epoch=9) == "last_look:max_notional"
            shown = await asyncio.to_thread(limiting.show, home.home)
            (found,) = [each for each in shown["limits"] if each["key"] == "max_order_notional"]
            assert (found["value"], found["start"], found["pending"]) == ("0.5", "0.20", True)
            home.desk.say(Confirmed(n=2, values={"max_order_notional": "0.5"}).text())
            await taken(home, 4, qty=D("0.5"), epoch=9)
            assert [(c.n, c.new) for c in of_journal(home, "LimitChange")] == [(1, "0.001"), (2, "0.5")]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("key", "value", "reason", "says"),
    [
        ("max_gros", "0.5", "x", "there is no limit 'max_gros': did you mean 'max_gross'"),
        ("max_gross", "0.9", "x", "max_gross must not be beyond the platform's limit 0.85, was 0.9"),
        ("max_gross", "NaN", "x", "max_gross must be above 0"),
        ("max_gross", "0.7", " ", "must say why"),
        ("max_gross", "0.80", "x", "is 0.80 already"),
        ("max_gross", "1e-5000000", "x", "at most 40 digits"),
        ("max_gross", "0.7", "x" * 501, "at most 500 characters"),
    ],
)
def test_change_that_cannot_be_changes_nothing(key: str, value: str, reason: str, says: str) -> None:
    async def scenario() -> None:
        async with running(desk_limits={"tree": {"platform": {"max_gross": "0.85"}}}) as home:
            with pytest.raises(UserError, match=says):
                await wish(home, key, value, reason)
            assert home.desk.of(LimitChange) == []
            assert (await asyncio.to_thread(limiting.show, home.home))["n"] == 0

    asyncio.run(scenario())


def test_where_operators_are_enrolled_loosening_takes_two_of_them_and_tightening_nobody() -> None:
    async def scenario() -> None:
        async with running() as home:
            home.over = {**home.over, "operators": str(home.home / "keys" / "operators")}
            home.gateway.process.terminate()
            await home.gateway.process.wait()
            await home.begin()
            operators = Operators(home.home / "keys" / "operators")
            ann, bob = operators.enrol("ann"), operators.enrol("bob")

            await confirmed(home, 1, "max_gross", "0.5")
            for over, says in (
                ({}, "takes two operators"),
                ({"operator": "ann", "secret": bob}, "not the key of the operator 'ann'"),
                ({"operator": "eve", "secret": bob}, "nobody is enrolled as 'eve'"),
                ({"operator": "ann", "secret": ann, "token": "00000000"}, "nothing waits"),
            ):
                with pytest.raises(UserError, match=says):
                    await wish(home, "max_gross", "0.6", **over)
            asked = await wish(home, "max_gross", "0.6", "calm again", operator="ann", secret=ann)
            token = {"token": asked["asked"]}
            # the answer comes over another socket than what is on record
            on_record = await home.desk.hear(ApprovalAsked)
            assert (on_record.by.split()[0], on_record.subject) == ("ann", "max_gross")
            with pytest.raises(UserError, match="another operator must confirm"):
                await wish(home, "max_gross", "0.6", operator="ann", secret=ann, **token)
            with pytest.raises(UserError, match="something else"):
                await wish(home, "max_gross", "0.7", operator="bob", secret=bob, **token)
            assert [c.n for c in home.desk.of(LimitChange)] == [1]
            await confirmed(home, 2, "max_gross", "0.6", operator="bob", secret=bob, **token)
            change = home.desk.of(LimitChange)[-1]
            assert (change.by.split()[0], change.confirmed_by.split()[0], change.why) == (
                "ann",
                "bob",
                "calm again",
            )
            with pytest.raises(UserError, match="already"):
                await wish(home, "max_gross", "0.6", operator="bob", secret=bob, **token)
            # whoever removes the keys of the others does not gain by it
            for file in (home.home / "keys" / "operators").iterdir():
                file.unlink()
            with pytest.raises(UserError, match="takes two operators"):
                await wish(home, "max_gross", "0.7")

    asyncio.run(scenario())


def test_kill_of_a_bot_cancels_and_stops_that_bot_alone() -> None:
    async def scenario() -> None:
        async with running() as home:
            trend = await home.rest(3, agent="strategy/trend")
            other = await home.rest(2, agent="strategy/other")
            said = await home.kill("bot:strategy/trend")
            (account,) = said["accounts"]
            assert (account["cancels_sent"], account["confirmed"], account["unconfirmed"]) == (3, 3, [])
            assert (home.cancelled(trend), home.cancelled(other)) == ({e.cid for e in trend}, set())
            assert await refused(home, 100, agent="strategy/trend") == "last_look:halted"
            assert await refused(home, 101, agent="") == "last_look:halted"  # nobody knows whose it is
            await taken(home, 102, agent="strategy/other")
            assert home.desk.of(Killed)[-1].standing == (("bot:strategy/trend", "cancel", "test"),)
            await home.release("bot:strategy/trend")
            await taken(home, 103, agent="strategy/trend")

    asyncio.run(scenario())


def test_release_takes_two_operators_where_any_is_enrolled() -> None:
    async def scenario() -> None:
        async with running() as home:
            operators = Operators(home.home / "keys" / "operators")
            ann, bob = operators.enrol("ann"), operators.enrol("bob")
            await home.kill()

            def release(reason: str = "looked", *more: str) -> dict[str, Any]:
                return killing.release(home.home, ("firm",), reason, *more)

            for more, says in ((("ann", bob), "not the key"), ((), "takes two operators")):
                with pytest.raises(UserError, match=says):
                    await asyncio.to_thread(release, "looked", *more)
            asked = await asyncio.to_thread(release, "looked", "ann", ann)
            assert [each["scope"] for each in asked["standing"]] == ["firm"]
            said = await home.desk.hear(ApprovalAsked)
            assert (said.what, said.subject, said.by.split()[0], said.why) == (
                "release",
                "firm",
                "ann",
                "looked",
            )
            assert await refused(home, 1) == "last_look:halted"
            for more, says in (
                (("ann", ann, asked["asked"]), "another operator must confirm"),
                (("bob", bob, "0badf00d"), "nothing waits"),
            ):
                with pytest.raises(UserError, match=says):
                    await asyncio.to_thread(release, "", *more)
            # a kill in between is another one than was looked at
            await home.kill()
            with pytest.raises(UserError, match="nothing waits"):
                await asyncio.to_thread(release, "", "bob", bob, asked["asked"])
            asked = await asyncio.to_thread(release, "looked twice", "ann", ann)
            done = await asyncio.to_thread(release, "", "bob", bob, asked["asked"])
            assert done["standing"] == []
            await taken(home, 2)
            (line,) = [each for each in home.kill_file.read_text().splitlines() if '"release"' in each]
            assert all(word in line for word in ("ann as ", "confirmed by bob", "looked twice"))

    asyncio.run(scenario())
