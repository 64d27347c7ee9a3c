"""Who gets through a gateway's door: its desk alone; what it refused is written down, a mistake is one line.

Not here: seals themselves (tests/unit/runtime/test_seals.py), what a desk may ask for (`test_gateway`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import pytest

from parley.messages import KIND_OF, Ack, Alarm, Intent, VenueReject, decode
from runtime.frames import frame_of, pack, wrap
from runtime.gateway_door import introduction
from runtime.journal import JournalReader
from runtime.kill_switch import DOUBTS
from runtime.seals import new_key
from tests.kit.sandbox import ROOT
from tests.kit.units import FakeDesk, UnitEndedError, gateway_config, make_intent, short_folder, start, unit

CONNECTS = """\
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
peer.settimeout(10)
try:
    sys.exit(len(peer.recv(1)))
except ConnectionResetError:
    sys.exit(0)
"""
M = TypeVar("M", Alarm, Intent)


class Gateway:
    """A gateway of the null venue that is told its desks."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process = process
        self.folder = folder
        self.socket = folder / "gw.sock"

    def introduce(self, pid: int) -> bytes:
        """Name a desk, and return its key."""
        key = new_key()
        assert self._process.stdin is not None
        self._process.stdin.write(introduction(pid, key))
        return key

    async def connect(self, key: bytes = b"") -> FakeDesk:
        desk = await FakeDesk.connect(self.socket)
        desk.link.sign(key)
        return desk

    async def refuses(self, desk: FakeDesk) -> None:
        """Wait until a desk was hung up on; it got nothing done."""
        await desk.until(lambda: desk.lost is not None)
        assert desk.of(Ack) == desk.of(VenueReject) == []

    async def end(self) -> None:
        self._process.terminate()
        assert await self._process.wait() == 0

    def journaled(self, kind: type[M]) -> list[M]:
        """What its journal holds of one kind, once it has ended."""
        with JournalReader(self.folder / "gw.journal") as journal:
            said = [decode(each.body) for each in journal.records(kinds=[KIND_OF[kind.__name__]])]
        return [each for each in said if isinstance(each, kind)]


@contextlib.asynccontextmanager
async def gateway() -> AsyncIterator[Gateway]:
    """Run one; `Gateway.end` ends it in order."""
    with short_folder() as folder:
        config = folder / "gateway.json"
        config.write_text(json.dumps(gateway_config(folder, None, kill_socket=str(folder / "kill.sock"))))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "runtime.gateway", "--config", str(config), "--introduced", cwd=ROOT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            assert json.loads(await process.stdout.readline())["ready"]
            running = Gateway(process, folder)
            yield running
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def test_only_the_desk_that_was_named_is_heard_and_every_refusal_is_on_record() -> None:
    async def run() -> None:
        async with gateway() as home:
            own = os.getpid()
            await home.refuses(await home.connect())  # nobody was named yet
            key = home.introduce(own)

            stranger = subprocess.run([sys.executable, "-c", CONNECTS, str(home.socket)], check=False)
            assert stranger.returncode == 0, "it was told something"

            desk = await home.connect(key)
            desk.send(make_intent(1))
            await desk.hear(Ack)

            for forged in (b"", new_key()):  # of the right process, without the key or under another one
                thief = await home.connect(forged)
                thief.send(make_intent(2))
                await home.refuses(thief)

            desk = await home.connect(key)
            desk.send(make_intent(3))
            await desk.hear(Ack)
            repeated = frame_of(b"a" * 16 + pack(wrap(make_intent(4), sender="desk", to="gateway"))[4:])
            desk.link.sign(b"")
            desk.link.send_frame(repeated)  # into the desk's own stream
            await desk.until(lambda: desk.lost is not None)

            home.introduce(own + 1)
            await home.refuses(await home.connect(key))
            await home.end()

            assert [(each.about, each.subject, each.detail) for each in home.journaled(Alarm)] == [
                ("refused", f"process {own}", "no desk was named yet"),
                ("refused", home.journaled(Alarm)[1].subject, home.journaled(Alarm)[1].detail),
                ("refused", f"process {own}", "frame 1 is not of whoever holds the key of this link"),
                ("refused", f"process {own}", "frame 1 is not of whoever holds the key of this link"),
                ("refused", f"process {own}", "frame 3 is not of whoever holds the key of this link"),
                ("refused", f"process {own}", f"only process {own + 1} may send orders, this is {own}"),
            ]
            assert home.journaled(Alarm)[1].detail.startswith(f"only process {own} may send orders, this is ")
            assert [each.n for each in home.journaled(Alarm)] == [1, 2, 3, 4, 5, 6]
            assert {each.iid for each in home.journaled(Intent)} == {make_intent(1).iid, make_intent(3).iid}

    asyncio.run(run())


def test_garbage_wrong_words_and_wrong_messages_are_on_record_and_a_flood_is_counted() -> None:
    async def run() -> None:
        async with gateway() as home:
            key = home.introduce(os.getpid())
            kill = await FakeDesk.connect(home.folder / "kill.sock")
            kill.say("please")
            await kill.until(lambda: kill.lost is not None)
            asking = await FakeDesk.connect(home.folder / "kill.sock")
            asking.say(DOUBTS)
            await asking.until(lambda: asking.controls == [f"{DOUBTS}:[]"])

            desk = await home.connect(key)
            desk.send(make_intent(1), tenant="other")
            await desk.until(lambda: desk.lost is not None)
            desk = await home.connect(key)
            desk.send(Ack(iid=b"x" * 16, venue_id="7", t_venue=0))
            await desk.until(lambda: desk.lost is not None)
            for _ in range(20):
                reader, writer = await asyncio.open_unix_connection(str(home.socket))
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                with contextlib.suppress(ConnectionError):
                    await reader.read()
                writer.close()

            desk = await home.connect(key)
            desk.send(make_intent(5))
            await desk.hear(Ack)
            await home.end()

            said = [each.detail for each in home.journaled(Alarm)]
            assert said[0] == "the kill socket takes 'kill' or 'doubts', was 'please'"
            assert said[1] == "a frame of tenant 'other' desk 1"
            assert said[2] == "a gateway takes no Ack"
            assert said[3].startswith("a frame must have 1 to 4194304 bytes, was ")
            assert len(said) == 11, "ten in a minute, and the rest"
            assert said[10] == "13 more were refused"
            assert home.journaled(Alarm)[-1].n == 23

    asyncio.run(run())


def test_garbage_costs_the_connection_and_not_the_gateway() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with unit("gateway", gateway_config(folder, None), folder) as gateway:
                _, writer = await asyncio.open_unix_connection(str(gateway.socket))
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                reader_end = await asyncio.open_unix_connection(str(gateway.socket))
                reader_end[1].close()
                desk = await FakeDesk.connect(gateway.socket)
                desk.send(make_intent())
                assert isinstance(await desk.hear(Ack), Ack)
                writer.close()

    asyncio.run(run())


def test_stranger_process_may_not_send_orders() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with unit("gateway", gateway_config(folder, None, desk_pid=1), folder) as gateway:
                desk = await FakeDesk.connect(gateway.socket)
                await desk.until(lambda: desk.lost is not None)
                assert desk.messages == []

    asyncio.run(run())


@pytest.mark.parametrize(
    ("over", "text"),
    [
        ({"jornal": "x"}, "journal"),
        ({"socket": "/tmp/" + "x" * 120}, "107"),
        ({"venue": {"kind": "ccxt", "symbols": ["BTC/USDT"], "keys_file": "/nowhere"}}, "/nowhere"),
    ],
)
def test_mistake_of_the_user_is_one_line_and_code_two(over: dict[str, object], text: str) -> None:
    async def run() -> None:
        with short_folder() as folder:
            with pytest.raises(UnitEndedError) as ended:
                await start("gateway", gateway_config(folder, None) | over, folder)
            assert ended.value.code == 2
            assert text in ended.value.errors
            assert len(ended.value.errors.strip().splitlines()) == 1

    asyncio.run(run())


def test_keys_others_can_read_are_refused() -> None:
    async def run() -> None:
        with short_folder() as folder:
            keys = folder / "open.json"
            keys.write_text(json.dumps({"api_key": "a", "secret": "b"}))
            keys.chmod(0o644)
            target: dict[str, object] = {"kind": "ccxt", "symbols": ["BTC/USDT"], "keys_file": str(keys)}
            target |= {"rest": "http://127.0.0.1:9"}
            with pytest.raises(UnitEndedError) as ended:
                await start("gateway", gateway_config(folder, None) | {"venue": target}, folder)
            assert (ended.value.code, "0600" in ended.value.errors) == (2, True)

    asyncio.run(run())
