"""A journal's inputs fed once more through a firm whose agents are somewhere else.

Everything that came from outside is admitted with the stamps it had, as a replay does; what differs is the
transport. So two placements can be compared over real rounds, byte for byte.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from orchestrator.cascade import Cascade, groups_in
from parley.bus import Answer, Transport, Wave
from parley.messages import Fill, decode, decode_envelope
from runtime.agent_socket import open_listener
from runtime.bootstrap import env_of, make_firm, specs_of
from runtime.journal import JournalReader
from runtime.refold import EXTERNAL
from runtime.run_config import RunConfig, run_config
from runtime.socket_transport import SocketTransport


@dataclass
class Fed:
    """What a firm said to a journal's inputs: (kind, envelope) by seq."""

    run: RunConfig
    said: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    waves: int = 0


def config_of(journal: Path) -> RunConfig:
    """Read what a journal's run was made of."""
    with JournalReader(journal) as reader:
        return run_config(reader.run()["config"])


async def feed(
    journal: Path, transport: Transport, *, between: Callable[[int], object] = lambda n: None
) -> Fed:
    """Admit a journal's external messages; ``between`` is called after each and may await.

    Agents that miss something may order less than the journal's did: no fill is of more than was ordered.
    """
    fed = Fed(config_of(journal))
    firm = make_firm(fed.run)
    with JournalReader(journal) as reader:
        for n, record in enumerate(reader.records()):
            envelope = decode_envelope(record.body)
            if envelope.sender not in EXTERNAL:
                continue
            message = decode(envelope.body)
            if isinstance(message, Fill) and (order := firm.account.orders.get(message.iid)) is not None:
                message = replace(message, qty=min(message.qty, order.intent.qty - order.filled))
                if message.qty <= 0:
                    continue
            firm.table.epoch = envelope.epoch
            cascade = firm.admit(
                message, envelope.sender,
                t_event=envelope.t_event, t_mono=envelope.t_mono, t_recv=envelope.t_recv,
            )  # fmt: skip
            _drain(cascade, transport, fed)
            transport.rest()
            waits = between(n)
            if waits is not None:
                await waits  # type: ignore[misc]
    return fed


def _drain(cascade: Cascade, transport: Transport, fed: Fed) -> None:
    def exchange(wave: Wave) -> Sequence[Answer]:
        fed.waves += 1
        return transport.exchange(wave)

    for group in groups_in(cascade, exchange):
        fed.said.update({seq: (kind, body) for seq, kind, _, body in group.records})


class Hosts:
    """Processes of agents that dial one desk."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self._lives: dict[str, int] = {}

    async def start(self, agent: str) -> asyncio.subprocess.Process:
        """Start the next life of an agent."""
        self._lives[agent] = self._lives.get(agent, 0) + 1
        self.processes[agent] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "runtime.agent_server", "--address", self.address, "--agent", agent,
            "--incarnation", str(self._lives[agent]), stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        return self.processes[agent]

    async def stop(self) -> None:
        """End them all."""
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                process.kill()
        for process in self.processes.values():
            await process.wait()


@asynccontextmanager
async def seated(run: RunConfig, address: str) -> AsyncIterator[tuple[SocketTransport, Hosts]]:
    """Give a desk's transport with every agent of the run in a process of its own."""
    transport = SocketTransport(specs_of(run), lambda: env_of(run), run.desk.seed, open_listener(address))
    hosts = Hosts(address)
    try:
        await asyncio.gather(*(hosts.start(agent) for agent in transport.seats))
        await transport.assembled(60)
        yield transport, hosts
    finally:
        transport.close()
        await hosts.stop()
