"""Where an agent runs changes nothing it says: in process, over sockets, and after its process was killed.

Not here: Ray (tests/integration/test_ray_driver.py), the desk's own end (tests/kill).
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from parley.bus import MISSED, Ask
from parley.messages import KIND_OF, Late, decode, decode_envelope
from runtime.bootstrap import assemble
from runtime.journal import JournalReader
from runtime.socket_transport import SocketTransport
from tests.kit.placements import Fed, Hosts, config_of, feed, seated
from tests.kit.recorded import recorded_day
from tests.kit.units import short_folder

NAMED = {KIND_OF[name]: name for name in ("Decision", "Intent", "Late", "Silence")}


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory, market_data: Path) -> Path:
    """A desk's journal of a recorded day: more than 2,000 rounds."""
    return recorded_day(tmp_path_factory.mktemp("day"), market_data)


def count(fed: Fed) -> dict[str, int]:
    kinds = [kind for kind, _ in fed.said.values()]
    return {name: kinds.count(kind) for kind, name in NAMED.items()}


def test_agents_in_processes_of_their_own_say_the_same(journal: Path) -> None:
    async def scenario() -> None:
        with short_folder() as folder:
            run = config_of(journal)
            async with seated(run, str(folder / "a.sock")) as (transport, _):
                apart = await feed(journal, transport)
                status = transport.status()
        together = await feed(journal, assemble(run).transport)
        counted = count(together)
        assert counted["Decision"] >= 2000
        assert counted["Intent"] > 0
        assert counted["Late"] == 0
        assert apart.said == together.said
        pids = {each["pid"] for each in status.values()}
        assert len(pids) == len(run.agents)
        assert os.getpid() not in pids
        assert all(each["frames_in"] > 100 and each["missed"] == 0 for each in status.values())

    asyncio.run(scenario())


@pytest.mark.parametrize("kills", [20, pytest.param(300, marks=pytest.mark.long)])
def test_agents_killed_at_any_moment_come_back_as_who_they_were(journal: Path, kills: int) -> None:
    """Silent while away, the same agent afterwards; a replay that leaves out what was missed agrees."""

    async def scenario() -> None:
        with short_folder() as folder:
            run = config_of(journal)
            async with seated(run, str(folder / "a.sock")) as (transport, hosts):
                victims = sorted(transport.seats) * (kills // len(transport.seats) + 1)
                killed: list[str] = []
                killing = kill(transport, hosts, victims[:kills], random.Random(5), killed)
                killer = asyncio.create_task(killing)
                with JournalReader(journal) as reader:
                    records = reader.count

                async def turn(n: int) -> None:
                    """Let killer and newcomers have their turn; the market waits for the killer."""
                    await asyncio.sleep(0.003)
                    while not killer.done() and len(killed) < 0.6 * kills * n / records:
                        await asyncio.sleep(0.003)

                apart = await feed(journal, transport, between=turn)
                killer.cancel()
                lives = sum(seat.lives for seat in transport.seats.values())
                assert len(killed) >= kills // 2
                assert lives >= len(transport.seats) + len(killed) // 2  # the last are not back yet
        missed = missed_asks(apart)
        counted = count(apart)
        assert counted["Late"] == len(missed) > 0

        def late(ask: Ask) -> int:
            return MISSED if (ask.agent, ask.seq) in missed else 0

        again = await feed(journal, assemble(run, late=late).transport)
        assert count(again) == counted
        assert again.said == apart.said

    asyncio.run(scenario())


async def kill(
    transport: SocketTransport, hosts: Hosts, victims: list[str], dice: random.Random, killed: list[str]
) -> None:
    """End processes with SIGKILL, each once it has caught up, and start the next life of each."""
    for victim in victims:
        await asyncio.sleep(dice.uniform(0, 0.2))
        while not transport.seats[victim].is_ready:
            await asyncio.sleep(0.01)
        hosts.processes[victim].send_signal(signal.SIGKILL)
        await hosts.processes[victim].wait()
        killed.append(victim)
        await hosts.start(victim)


def missed_asks(fed: Fed) -> set[tuple[str, int]]:
    """Name the asks that were recorded as not heard in time: (agent, seq)."""
    found: set[tuple[str, int]] = set()
    for kind, body in fed.said.values():
        if kind == KIND_OF["Late"]:
            envelope = decode_envelope(body)
            message = decode(envelope.body)
            assert isinstance(message, Late)
            found.add((message.agent, envelope.cause))
    return found
