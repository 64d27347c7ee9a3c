"""An agent from outside in its own process: nobody waits for it over news, and it answers calls meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable

import pytest

from parley.agent import AgentEnv, AgentSpec
from parley.bus import Answer, Ask, Wave
from parley.messages import Analysed, Cfp, MarketBatch, Message, Refuse
from runtime.agent_socket import open_listener
from runtime.overheard import Overheard
from runtime.socket_transport import SocketTransport
from tests.kit.placements import Hosts
from tests.kit.units import short_folder

ME = "strategy/slow"
ENV = AgentEnv(tenant="t", account="a", quote="USDT", symbols=(), instruments={}, tf_ns=60_000_000_000)
MULL_S = 0.4
Scenario = Callable[[SocketTransport, Hosts, list[Analysed]], Awaitable[None]]


def at_desk(scenario: Scenario, **params: object) -> None:
    spec = AgentSpec(
        id=ME, role="strategy", factory="tests.kit.muller:make", subscriptions=("MarketBatch",),
        own_rounds=True, outside=True, params={"mull_s": MULL_S, **params},
    )  # fmt: skip

    async def run() -> None:
        with short_folder() as folder:
            address = str(folder / "a.sock")
            heard: list[Analysed] = []
            transport = SocketTransport(
                [spec], lambda: ENV, 1, open_listener(address), overheard=heard.append
            )
            hosts = Hosts(address)
            try:
                await hosts.start(ME)
                await transport.assembled(60)
                await scenario(transport, hosts, heard)
            finally:
                transport.close()
                await hosts.stop()

    asyncio.run(run())


def put(transport: SocketTransport, seq: int, message: Message, stage: str = "tell") -> Answer:
    (answer,) = transport.exchange(Wave(stage, [Ask(ME, seq, 0, message, seq)], 5_000_000_000))
    transport.rest()
    return answer


def batch(step: int) -> MarketBatch:
    return MarketBatch(step=step, t=step)


def call(transport: SocketTransport, seq: int) -> str:
    cfp = Cfp(
        symbols=("BTC/USDT",), budget_hint=1, horizon_ms=1, min_edge_bps=0.0, state_version=1, t=0,
        reduce_only=False, md_seq=0, to_agents=(ME,), round=b"r" * 16,
    )  # fmt: skip
    (said,) = put(transport, seq, cfp, "call").messages
    assert isinstance(said, Refuse)
    return said.code


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not what():
            await asyncio.sleep(0.005)


def test_news_are_put_without_waiting_and_calls_are_answered_meanwhile() -> None:
    async def scenario(transport: SocketTransport, hosts: Hosts, heard: list[Analysed]) -> None:
        began = time.monotonic()
        for step in (1, 2, 3):
            assert put(transport, step, batch(step)) == Answer(ME, ())
        assert call(transport, 4).startswith("seen 0")  # from memory: it is still over the first batch
        assert heard == []
        assert transport.is_mulling
        await until(lambda: not transport.is_mulling)
        assert time.monotonic() - began >= MULL_S
        seen = [each.ready[0].t_candle for each in heard]
        assert seen in ([3], [1, 3], [2, 3])  # what was old news when its turn came is left out
        assert call(transport, 5).startswith(f"seen {len(seen)}")

    at_desk(scenario)


def test_what_it_raises_and_what_it_may_not_say_are_faults_of_its_own() -> None:
    async def scenario(transport: SocketTransport, hosts: Hosts, heard: list[Analysed]) -> None:
        for step in (1, 2, 3):
            put(transport, step, batch(step))
            await until(lambda: not transport.is_mulling)
        assert [bool(each.faults) for each in heard] == [True, True, False]
        assert heard[0].faults == ("KeyError: 'close'",)
        assert "Refuse" in heard[1].faults[0]

    at_desk(scenario, mull_s=0.01, raises=1, wrong=2)


def test_a_killed_process_follows_what_was_told_and_is_not_asked_before() -> None:
    async def scenario(transport: SocketTransport, hosts: Hosts, heard: list[Analysed]) -> None:
        for step in range(1, 4):
            put(transport, step, batch(step))
            await until(lambda: not transport.is_mulling)
        os.kill(hosts.processes[ME].pid, signal.SIGKILL)
        await until(lambda: transport.seats[ME].line is None)
        assert put(transport, 4, batch(4)).missed  # it hears of it when it is back
        await hosts.start(ME)
        await until(lambda: transport.seats[ME].is_ready)
        assert call(transport, 5) == "seen 0 followed 4"
        assert len(heard) == 3

    at_desk(scenario, mull_s=0.01)


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_market_in_lock_step_waits_for_it_but_not_for_ever(is_stopped: bool) -> None:
    async def scenario(transport: SocketTransport, hosts: Hosts, heard: list[Analysed]) -> None:
        admitted: list[Analysed] = []

        async def admit(message: Analysed) -> None:
            admitted.append(message)

        overheard = Overheard(admitted.append)
        overheard.in_lockstep = True
        transport._overheard = overheard.take  # what the desk gives it
        if is_stopped:
            os.kill(hosts.processes[ME].pid, signal.SIGSTOP)
        assert not put(transport, 1, batch(1)).missed
        await overheard.hear_out(transport, admit, 1.0 if is_stopped else 30.0)
        assert len(admitted) == (0 if is_stopped else 1)
        assert not transport.is_mulling
        if is_stopped:
            os.kill(hosts.processes[ME].pid, signal.SIGCONT)

    at_desk(scenario)
