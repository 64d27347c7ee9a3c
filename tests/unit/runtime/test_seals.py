"""Seals: what was changed, left out, repeated, moved or signed by somebody else is not opened."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.errors import ProtocolError
from parley.messages import Envelope
from runtime.frames import FrameDecoder, Link, control, frame_of, pack
from runtime.gateway_door import Introductions, introduction
from runtime.seals import CODE_SIZE, KEY_SIZE, Seal, new_key
from tests.kit.sandbox import ROOT

KEY = bytes(range(KEY_SIZE))


def said(n: int) -> Envelope:
    return control(f"word {n}", sender="desk", to="gateway")


def sealed(*texts: bytes, key: bytes = KEY) -> list[bytes]:
    seal = Seal(key)
    return [seal.close(each) for each in texts]


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_what_was_sealed_is_opened_in_order(texts: list[bytes]) -> None:
    opener = Seal(KEY)

    assert [opener.open(each) for each in sealed(*texts)] == texts


@given(st.binary(min_size=1, max_size=60), st.data())
def test_one_bit_anywhere_spoils_it(text: bytes, data: st.DataObject) -> None:
    (whole,) = sealed(text)
    at = data.draw(st.integers(0, len(whole) * 8 - 1))
    spoilt = bytearray(whole)
    spoilt[at // 8] ^= 1 << at % 8

    with pytest.raises(ProtocolError, match="frame 1 is not of whoever holds the key"):
        Seal(KEY).open(bytes(spoilt))


@pytest.mark.parametrize("order", [(1,), (0, 0), (0, 2)], ids=["first left out", "repeated", "one left out"])
def test_frame_fits_only_its_place(order: tuple[int, ...]) -> None:
    frames = sealed(b"a", b"b", b"c")
    opener = Seal(KEY)

    *before, last = order
    for at in before:
        opener.open(frames[at])
    with pytest.raises(ProtocolError):
        opener.open(frames[last])


@pytest.mark.parametrize(
    "raw",
    [b"", b"x" * (CODE_SIZE - 1), pack(said(1))[4:], *sealed(pack(said(1))[4:], key=new_key())],
    ids=["empty", "short", "no seal", "another key"],
)
def test_frame_without_the_right_seal_is_no_frame(raw: bytes) -> None:
    decoder = FrameDecoder()
    decoder.seal = Seal(KEY)

    with pytest.raises(ProtocolError):
        decoder.feed(frame_of(raw))


def test_key_of_another_size_is_none() -> None:
    with pytest.raises(ProtocolError, match="a key has 32 bytes, was 3"):
        Seal(b"abc")


def test_link_seals_each_frame_once_also_what_the_socket_did_not_take() -> None:
    """`send_now` hands the rest of a frame to the transport: sealed again it would be garbage."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    taken = os.write(write, b"x" * 10_000_000)
    os.read(read, 4096)  # a page is free again: less than the frame
    link = Link()
    transport = _Transport()
    link._transport, link._fd = transport, write  # type: ignore[assignment]
    link.sign(KEY)

    big = control("y" * 6000, sender="desk", to="gateway")
    link.send_now(pack(big))
    link.send(said(2))

    os.set_blocking(read, False)
    got = b""
    while len(got) < 20_000_000:
        try:
            got += os.read(read, 1 << 20)
        except BlockingIOError:
            break
    os.close(read)
    os.close(write)
    decoder = FrameDecoder()
    decoder.seal = Seal(KEY)
    assert decoder.feed(got[taken - 4096 :] + transport.written) == [big, said(2)]


class _Transport:
    written = b""

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return len(self.written)

    def write(self, data: bytes) -> None:
        self.written += data


def test_introductions_name_the_last_desk_and_a_spoilt_line_nobody() -> None:
    read, write = os.pipe()
    try:
        told = Introductions(read)
        assert told.last() is None
        line = introduction(7, KEY)
        os.write(write, line[:10])
        assert told.last() is None
        os.write(write, line[10:] + introduction(8, KEY)[:-1])
        first = told.last()
        assert first is not None
        assert (first.pid, bytes.fromhex(first.key)) == (7, KEY)
        os.write(write, b"\n")
        last = told.last()
        assert last is not None
        assert last.pid == 8
        for spoilt in (b"{}\n", b'{"pid":9,"key":"00"}\n', b'{"pid":9,"key":"zz"}\n', b"\xff\n"):
            os.write(write, introduction(7, KEY) + spoilt)
            assert told.last() is None
        os.write(write, introduction(7, KEY))
        os.close(write)
        write = -1
        assert told.last() is not None, "who introduced it may end before it does"
    finally:
        os.close(read)
        if write >= 0:
            os.close(write)


READS = "import os; from runtime.seals import read_key; k = read_key(); print(k.hex(), os.read(0, 9))"


@pytest.mark.parametrize("size", [KEY_SIZE, KEY_SIZE - 1])
def test_key_is_read_from_standard_input_and_gone_from_there(size: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READS], cwd=ROOT, input=KEY[:size], capture_output=True, check=False
    )
    if size == KEY_SIZE:
        assert done.stdout.decode().split() == [KEY.hex(), "b''"]
    else:
        assert b"must hold a key of 32 bytes, it held 31" in done.stderr
