"""The stream: what comes, what a client that was away is told, who is cut off."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest

from tests.kit.api_process import ApiProcess
from tests.kit.database import fresh_database
from tests.kit.journal_load import Load, begin, write_cycle
from tests.kit.shipping import ShipperProcess, last_seq

PATIENCE_S = 60.0
CHANNELS = ("rounds", "orders", "fills")
# What a cycle of `journal_load` comes to: four rounds opened and decided, two orders made, accepted, filled.
EVENTS = {"rounds": 8, "orders": 6, "fills": 2}


class Desk:
    """A journal that grows on demand, with a shipper and an API behind it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "desk.journal"
        self.database = fresh_database()
        self.notes: Load = begin(self.path)
        self.cycles = 0
        self.shipper = ShipperProcess(folder, self.database, self.path)
        self.api = ApiProcess(folder, self.database)

    def grow(self, cycles: int = 1, *, wait: bool = True) -> None:
        """Write rounds and wait until they are in the read model."""
        for _ in range(cycles):
            write_cycle(self.notes, self.cycles)
            self.cycles += 1
        if wait:
            self.shipper.wait_shipped(self.path)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api.port}/api/v1/stream"


@contextmanager
def running_desk(folder: Path) -> Iterator[Desk]:
    desk = Desk(folder)
    desk.shipper.start()
    try:
        desk.shipper.wait_shipped(desk.path)
        desk.api.start()
        yield desk
    finally:
        desk.api.kill()
        desk.shipper.kill()
        desk.notes.writer.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with running_desk(tmp_path) as made:
        yield made


class Client:
    """A client that keeps what it hears."""

    def __init__(self, socket_: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket_
        self.replies: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []

    async def say(self, **message: object) -> None:
        await self.socket.send_str(json.dumps(message))

    async def hear_until(self, good: Callable[[], bool]) -> None:
        """Take frames until enough has come; fail when it does not."""
        async with asyncio.timeout(PATIENCE_S):
            while not good():
                frame = await self.socket.receive()
                assert frame.type == aiohttp.WSMsgType.TEXT, (frame, self.socket.close_code)
                told = json.loads(frame.data)
                match told["t"]:
                    case "ev":
                        self.events.append(told)
                    case "evs":
                        self.events += told["items"]
                    case _:
                        self.replies.append(told)

    async def subscribe(self, channel: str, since: dict[str, Any] | None = None) -> dict[str, Any]:
        """Subscribe and return the answer."""
        before = len(self.replies)
        asked: dict[str, Any] = {"t": "sub", "id": 7, "ch": channel}
        await self.say(**asked, **({"since": since} if since else {}))
        await self.hear_until(lambda: len(self.replies) > before)
        told = self.replies[-1]
        assert (told["t"], told["id"], told["ch"]) == ("subbed", 7, channel)
        return told

    def of(self, channel: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["ch"] == channel]

    async def closed(self) -> int | None:
        """Read to the end and return the close code."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.socket.closed:
                await self.socket.receive()
        return self.socket.close_code


@asynccontextmanager
async def client(desk: Desk, **options: Any) -> AsyncIterator[Client]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(desk.url, protocols=("parley.v1",), **options) as opened,
    ):
        found = Client(opened)
        await found.hear_until(lambda: bool(found.replies))
        assert found.replies[0]["t"] == "hello"
        yield found


def has_heard(one: Client, wanted: int, grown: asyncio.Task[None]) -> bool:
    return len(one.events) >= wanted or grown.done()


def key(event: dict[str, Any]) -> tuple[str, int, str, str]:
    return event["ch"], event["off"], event["type"], event["data"]["id"]


async def whole(desk: Desk, channel: str) -> list[tuple[str, int, str, str]]:
    """Return all events of a channel from the beginning, in one go."""
    async with client(desk) as fresh:
        await fresh.subscribe(channel, {"epoch": "small", "off": 0})
        count = EVENTS[channel] * desk.cycles
        await fresh.hear_until(lambda: len(fresh.of(channel)) >= count)
        return [key(event) for event in fresh.of(channel)]


def test_new_rounds_orders_and_fills_come_as_rest_shows_them(desk: Desk) -> None:
    desk.grow(1)

    async def watch() -> list[dict[str, Any]]:
        async with client(desk) as one:
            for channel in CHANNELS:
                told = await one.subscribe(channel)
                assert (told["epoch"], told["recovered"]) == ("small", True)
            await asyncio.to_thread(desk.grow, 1)
            await one.hear_until(lambda: len(one.events) >= sum(EVENTS.values()))
            return one.events

    events = asyncio.run(watch())

    types = [(event["ch"], event["type"]) for event in events]
    assert types.count(("rounds", "round.opened")) == 4
    assert types.count(("rounds", "round.decided")) == 4
    assert types.count(("orders", "order.created")) == 2
    assert types.count(("orders", "order.acknowledged")) == 2
    assert types.count(("orders", "order.filled")) == 2
    assert types.count(("fills", "fill.created")) == 2
    for channel in CHANNELS:
        listed = {each["id"]: each for each in desk.api.items(f"/api/v1/{channel}")}
        newest = {event["data"]["id"]: event["data"] for event in events if event["ch"] == channel}
        assert newest
        assert newest == {name: listed[name] for name in newest}
        offsets = [event["off"] for event in events if event["ch"] == channel]
        assert offsets == sorted(offsets)


def test_client_that_was_away_again_and_again_misses_and_repeats_nothing(desk: Desk) -> None:
    rng = random.Random(5)
    heard: dict[str, list[tuple[str, int, str, str]]] = {channel: [] for channel in CHANNELS}
    place = dict.fromkeys(CHANNELS, 0)

    async def come_and_go() -> None:
        for _ in range(8):
            async with client(desk) as one:
                for channel in CHANNELS:
                    told = await one.subscribe(channel, {"epoch": "small", "off": place[channel]})
                    assert told["recovered"] is True
                grown = asyncio.create_task(asyncio.to_thread(desk.grow, rng.randint(1, 4)))
                wanted = rng.randint(1, 25)
                await one.hear_until(partial(has_heard, one, wanted, grown))
                # leaves in the middle of whatever is on its way; frames it never read are lost
                for channel in CHANNELS:
                    events = one.of(channel)
                    heard[channel] += [key(event) for event in events]
                    place[channel] = events[-1]["off"] if events else place[channel]
            await grown
            await asyncio.to_thread(desk.grow, 1)
        async with client(desk) as one:
            for channel in CHANNELS:
                await one.subscribe(channel, {"epoch": "small", "off": place[channel]})
            missing = sum(EVENTS.values()) * desk.cycles - sum(map(len, heard.values()))
            await one.hear_until(lambda: len(one.events) >= missing)
            for channel in CHANNELS:
                heard[channel] += [key(event) for event in one.of(channel)]

    asyncio.run(come_and_go())

    for channel in CHANNELS:
        assert heard[channel] == asyncio.run(whole(desk, channel))
        assert len(heard[channel]) == EVENTS[channel] * desk.cycles
        assert len(set(heard[channel])) == len(heard[channel])


def test_list_and_stream_meet_without_gap_or_repetition(shared: Desk) -> None:
    shared.grow(2)
    answer = shared.api.get("/api/v1/fills?limit=200")
    channel, epoch, off = (
        part.partition("=")[2] or part for part in answer.headers["x-stream-position"].split(";")
    )
    shared.grow(2)

    async def resume() -> list[str]:
        async with client(shared) as one:
            told = await one.subscribe(channel, {"epoch": epoch, "off": int(off)})
            assert told["recovered"] is True
            await one.hear_until(lambda: len(one.events) >= 4)
            return [event["data"]["id"] for event in one.events]

    listed = [each["id"] for each in answer.body["items"]]
    streamed = asyncio.run(resume())
    assert len(listed) >= len(streamed) == 4
    assert not {*listed} & {*streamed}
    assert {*listed, *streamed} == {each["id"] for each in shared.api.items("/api/v1/fills")}


@pytest.mark.parametrize(
    "since", [{"epoch": "another", "off": 3}, {"epoch": "small", "off": 10**9}, {"epoch": "", "off": 0}]
)
def test_place_that_is_not_known_is_not_recovered(shared: Desk, since: dict[str, Any]) -> None:
    async def ask() -> dict[str, Any]:
        async with client(shared) as one:
            return await one.subscribe("orders", since)

    told = asyncio.run(ask())

    assert (told["recovered"], told["off"]) == (False, last_seq(shared.path))


def test_new_run_is_a_new_epoch(desk: Desk) -> None:
    desk.grow(1)

    async def watch() -> Client:
        async with client(desk) as one:
            await one.subscribe("fills", {"epoch": "small", "off": 0})
            await one.hear_until(lambda: len(one.events) >= 2)
            await asyncio.to_thread(desk.grow, 1)
            await one.hear_until(lambda: len(one.events) >= 4)
            await asyncio.to_thread(next_run, desk)
            await one.hear_until(lambda: one.replies[-1].get("epoch") == "later")
            return one

    one = asyncio.run(watch())

    assert one.replies[-1] == {
        "t": "subbed", "id": 7, "ch": "fills", "epoch": "later", "off": 0, "recovered": False,
    }  # fmt: skip
    assert len(one.events) == 4


def next_run(desk: Desk) -> None:
    """Make a newer run known, as a shipper does before its first record."""
    with psycopg.connect(desk.database.admin) as connection:
        connection.execute(
            "INSERT INTO parley.runs SELECT tenant_id, 'later', desk, account, config,"
            " now() + interval '1 day' FROM parley.runs"
        )


def test_client_that_does_not_read_is_cut_off_and_the_others_are_not(tmp_path: Path) -> None:
    with running_desk(tmp_path) as desk:
        lazy = open_raw(desk.api.port)
        lazy.sendall(masked(json.dumps({"t": "sub", "id": 1, "ch": "orders"}).encode()))
        lazy.sendall(masked(json.dumps({"t": "sub", "id": 2, "ch": "rounds"}).encode()))
        cycles = 120  # more than the buffers on the way hold

        async def watch() -> int:
            async with client(desk) as eager:
                await eager.subscribe("fills")
                grown = asyncio.create_task(asyncio.to_thread(desk.grow, cycles))
                await eager.hear_until(lambda: len(eager.events) >= 2 * cycles)
                await grown
                return len({key(event) for event in eager.events})

        assert asyncio.run(watch()) == 2 * cycles
        cut = 'parley_ws_closed_total{code="4008"} 1.0'
        deadline = time.monotonic() + PATIENCE_S
        while cut not in desk.api.get("/metrics").body and time.monotonic() < deadline:
            time.sleep(0.1)

        assert closed_with(lazy) == 4008


def open_raw(port: int) -> socket.socket:
    """Open a stream whose client has next to no buffer and reads nothing by itself."""
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened.connect(("127.0.0.1", port))
    opened.sendall(
        b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: parley.v1\r\n\r\n"
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += opened.recv(1)
    assert b" 101 " in head
    return opened


def masked(payload: bytes) -> bytes:
    """Return a text frame as clients send it."""
    assert len(payload) < 126
    return bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload


def closed_with(opened: socket.socket) -> int | None:
    """Read what was left in the buffers and return the code of the close frame, None without one."""
    opened.settimeout(PATIENCE_S)
    data = b""
    with opened:
        while part := opened.recv(65536):
            data += part
    while data:
        size, start = data[1] & 127, 2
        if size == 126:
            size, start = int.from_bytes(data[2:4]), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10]), 10
        if data[0] & 15 == 8:
            return int.from_bytes(data[start : start + 2])
        data = data[start + size :]
    return None


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("{", 4400),
        ('{"t":"sub","id":1}', 4400),
        ('{"t":"sub","id":1,"ch":"orders","extra":1}', 4400),
        ('{"t":"sub","id":1,"ch":"orders","since":{"epoch":"small","off":-1}}', 4400),
        ('{"t":"sub","id":1,"ch":"tickers"}', 4404),
        ('{"t":"unsub","id":1,"ch":"nothing"}', 4404),
        ("x" * 20_000, 1009),
    ],
)
def test_what_cannot_be_meant_ends_the_connection(shared: Desk, said: str, code: int) -> None:
    async def talk() -> int | None:
        async with client(shared) as one:
            await one.socket.send_str(said)
            return await one.closed()

    assert asyncio.run(talk()) == code


def test_who_talks_too_much_is_cut_off(shared: Desk) -> None:
    async def talk() -> int | None:
        async with client(shared) as one:
            for _ in range(60):
                await one.say(t="ping")
            return await one.closed()

    assert asyncio.run(talk()) == 4429


def test_pings_are_answered_and_channels_left(shared: Desk) -> None:
    async def talk() -> list[str]:
        async with client(shared) as one:
            await one.say(t="ping")
            await one.hear_until(lambda: one.replies[-1]["t"] == "pong")
            await one.subscribe("orders")
            await one.say(t="unsub", id=9, ch="orders")
            await one.hear_until(lambda: one.replies[-1]["t"] == "unsubbed")
            await asyncio.to_thread(shared.grow, 1)
            await one.subscribe("fills", {"epoch": "small", "off": 0})
            await one.hear_until(lambda: len(one.of("fills")) >= 2)
            assert not one.of("orders")
            return [reply["t"] for reply in one.replies]

    assert asyncio.run(talk()) == ["hello", "pong", "subbed", "unsubbed", "subbed"]


def test_page_of_another_site_gets_no_stream(shared: Desk) -> None:
    async def knock(**headers: str) -> int:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.ws_connect(shared.url, headers=headers):
                    return 101
            except aiohttp.WSServerHandshakeError as error:
                return error.status

    assert asyncio.run(knock(Origin="https://evil.example")) == 421
    assert asyncio.run(knock(Host="evil.example")) == 421
    assert asyncio.run(knock(Origin=f"http://127.0.0.1:{shared.api.port}")) == 101


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One desk for tests that only talk."""
    with running_desk(tmp_path_factory.mktemp("stream")) as made:
        yield made


def test_server_that_ends_says_so(tmp_path: Path) -> None:
    with running_desk(tmp_path) as desk:

        async def watch() -> int | None:
            async with client(desk) as one:
                await one.subscribe("orders")
                ended = asyncio.create_task(asyncio.to_thread(desk.api.stop))
                code = await one.closed()
                assert await ended == 0
                return code

        assert asyncio.run(watch()) == 1012


def test_stream_goes_on_when_the_database_was_away(shared: Desk) -> None:
    async def watch() -> int:
        async with client(shared) as one:
            await one.subscribe("fills")
            with psycopg.connect(shared.database.admin, autocommit=True) as connection:
                for _ in range(3):
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name LIKE 'parley api%' AND datname = current_database()"
                    )
                    await asyncio.to_thread(shared.grow, 1)
            await one.hear_until(lambda: len(one.events) >= 6)
            return len({key(event) for event in one.events})

    assert asyncio.run(watch()) == 6
