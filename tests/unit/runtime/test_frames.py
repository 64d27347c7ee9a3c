"""Frames: any split of any bytes gives whole envelopes in order or a protocol error, nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from parley.errors import ProtocolError, UserError
from parley.messages import Envelope, Heartbeat, decode
from runtime import frames
from runtime.frames import CONTROL, FrameDecoder, Link, connect, control, listen, pack, wrap


def beat(n: int) -> Envelope:
    message = Heartbeat(unit="desk", incarnation=n, epoch=1, head=b"", t=n)
    return wrap(message, sender="desk", to="gateway", seq=n)


GOOD_BODY = pack(beat(1))[4:]


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fr-") as name:
        yield Path(name)


@given(st.lists(st.integers(0, 2**40), max_size=8), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_any_split_gives_the_envelopes_in_order(numbers: list[int], cuts: list[int]) -> None:
    sent = [beat(n) for n in numbers]
    stream = b"".join(pack(each) for each in sent)
    decoder = FrameDecoder()
    got: list[Envelope] = []
    at = 0
    while at < len(stream):
        size = cuts[at % len(cuts)]
        got += decoder.feed(stream[at : at + size])
        at += size

    assert got == sent
    assert decoder.pending == 0


@given(st.binary(min_size=1, max_size=200))
def test_garbage_is_a_protocol_error_or_an_unfinished_frame(raw: bytes) -> None:
    decoder = FrameDecoder(max_frame=1000)
    with contextlib.suppress(ProtocolError):
        decoder.feed(raw)
        assert decoder.pending <= 1004


def changed(at: int, byte: int) -> bytes:
    return GOOD_BODY[:at] + bytes([byte]) + GOOD_BODY[at + 1 :]


@example(GOOD_BODY)
@given(
    st.binary(min_size=1, max_size=60)
    | st.builds(changed, st.integers(0, len(GOOD_BODY) - 1), st.integers(0, 255))
)
def test_frame_of_any_body_is_a_protocol_error_or_an_envelope(body: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        for each in FrameDecoder().feed(len(body).to_bytes(4, "little") + body):
            assert isinstance(each, Envelope)


@pytest.mark.parametrize("length", [0, 101, 2**32 - 1])
def test_frame_beyond_the_limit_is_refused_before_it_is_read(length: int) -> None:
    with pytest.raises(ProtocolError):
        FrameDecoder(max_frame=100).feed(length.to_bytes(4, "little"))


def test_length_is_little_endian_and_counts_the_envelope() -> None:
    frame = pack(beat(1))

    assert int.from_bytes(frame[:4], "little") == len(frame) - 4


def test_wrapped_message_comes_back() -> None:
    envelope = beat(9)

    assert decode(envelope.body) == Heartbeat(unit="desk", incarnation=9, epoch=1, head=b"", t=9)
    assert envelope.kind != CONTROL
    assert control("closed:7", sender="desk", to="hub").body == b"closed:7"


def test_links_talk_both_ways_over_a_private_socket() -> None:
    async def run(path: Path) -> None:
        heard: list[Envelope] = []
        echoed: asyncio.Queue[Envelope] = asyncio.Queue()
        pids: list[int] = []

        def greet(link: Link) -> None:
            pids.append(link.peer_pid)

            def echo(envelope: Envelope) -> None:
                heard.append(envelope)
                link.send(envelope)

            link.on_envelope = echo

        server = await listen(path, greet)
        link = await connect(path, echoed.put_nowait)
        sent = [beat(n) for n in range(100)]
        for each in sent:
            link.send(each)
        back = [await echoed.get() for _ in sent]
        assert back == heard == sent
        assert pids == [os.getpid()]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        link.close("done")
        server.close()

    with short_folder() as folder:
        asyncio.run(run(folder / "a.sock"))


def test_peer_that_breaks_the_contract_loses_its_link_only() -> None:
    async def run(path: Path) -> None:
        def greet(link: Link) -> None:
            def take(envelope: Envelope) -> None:
                if envelope.seq == 13:
                    raise ProtocolError("13")
                link.send(envelope)

            link.on_envelope = take

        server = await listen(path, greet)
        lost: asyncio.Queue[str] = asyncio.Queue()
        answers: asyncio.Queue[Envelope] = asyncio.Queue()
        bad = await connect(path, answers.put_nowait, lost.put_nowait)
        good = await connect(path, answers.put_nowait)
        bad.send(beat(13))
        await lost.get()
        good.send(beat(14))
        assert (await answers.get()).seq == 14
        assert not bad.is_open
        bad.send(beat(15))  # into the void, without an error
        good.close("done")
        server.close()

    with short_folder() as folder:
        asyncio.run(run(folder / "a.sock"))


def test_peer_that_does_not_read_loses_its_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_UNSENT", 200_000)

    async def run(path: Path) -> None:
        gone: asyncio.Queue[str] = asyncio.Queue()
        links: list[Link] = []

        def greet(link: Link) -> None:
            links.append(link)
            link.on_lost = gone.put_nowait

        server = await listen(path, greet)
        _, writer = await asyncio.open_unix_connection(str(path), limit=1024)
        while not links:
            await asyncio.sleep(0)
        while links[0].is_open:
            links[0].send(control("x" * 10_000, sender="a", to="b"))
        assert "unread" in await gone.get()
        writer.close()
        server.close()

    with short_folder() as folder:
        asyncio.run(run(folder / "a.sock"))


def test_stale_socket_is_replaced_and_a_served_one_is_not() -> None:
    async def run(path: Path) -> None:
        first = await listen(path, lambda link: None)
        with pytest.raises(UserError, match="another process serves"):
            await listen(path, lambda link: None)
        first.close()
        await first.wait_closed()
        path.unlink(missing_ok=True)  # Python 3.13 removes it on closing, 3.11 leaves it
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(str(path))  # what a killed process leaves: a path that nobody listens at
        assert path.is_socket()
        second = await listen(path, lambda link: None)
        second.close()

    with short_folder() as folder:
        asyncio.run(run(folder / "a.sock"))


@pytest.mark.parametrize("call", ["listen", "connect"])
def test_long_path_is_named_with_its_length(call: str) -> None:
    path = Path("/tmp/" + "x" * 103)

    async def run() -> None:
        if call == "listen":
            await listen(path, lambda link: None)
        else:
            await connect(path, lambda envelope: None)

    with pytest.raises(UserError, match=r"107 bytes.*108"):
        asyncio.run(run())
