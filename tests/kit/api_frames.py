"""WebSocket frames of random shape: messages that are meant, JSON that is not, and bytes that are no frames.

Not here: what an API has to answer. Invariant: what is drawn depends on hypothesis alone.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from dataclasses import dataclass

from hypothesis import strategies as st

CHANNELS = ("rounds", "orders", "fills")
PATIENCE_S = 5.0
KEYS = st.sampled_from(["t", "id", "ch", "since", "epoch", "off", "x", ""])
JSON_VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(10**40), 10**40), st.floats(), st.text(max_size=20),
        st.sampled_from(["sub", "unsub", "ping", *CHANNELS, "\x00", "\U0001f600", "9" * 500]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=5),
    ),
    max_leaves=12,
)  # fmt: skip
SINCE = st.fixed_dictionaries(
    {"epoch": st.one_of(st.text(max_size=40), st.just("small")), "off": st.integers(-(10**20), 10**20)}
)
MEANT = st.one_of(
    st.fixed_dictionaries(
        {"t": st.just("sub"), "id": st.integers(-5, 2**70), "ch": st.sampled_from([*CHANNELS, "nothing"])},
        optional={"since": st.one_of(SINCE, JSON_VALUES)},
    ),
    st.fixed_dictionaries({"t": st.just("unsub"), "id": st.integers(0, 9), "ch": st.sampled_from(CHANNELS)}),
    st.just({"t": "ping"}),
)
TEXTS = st.one_of(
    MEANT.map(json.dumps), MEANT.map(json.dumps), JSON_VALUES.map(json.dumps), st.text(max_size=60),
    st.sampled_from(
        ["[" * 5000, '{"t":' * 2000, "1e999999", '{"t":"sub","t":"ping"}', "NaN", "", "9" * 15_000]
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """A frame as it goes over the wire; ``length`` may lie about the payload."""

    first: int
    payload: bytes
    is_masked: bool = True
    length: int | None = None

    def encode(self) -> bytes:
        size = len(self.payload) if self.length is None else self.length
        mark = 0x80 if self.is_masked else 0
        if size < 126:
            head = struct.pack("!BB", self.first, mark | size)
        elif size < 65536:
            head = struct.pack("!BBH", self.first, mark | 126, size)
        else:
            head = struct.pack("!BBQ", self.first, mark | 127, size)
        if not self.is_masked:
            return head + self.payload
        mask = b"\x01\x02\x03\x04"
        return head + mask + bytes(byte ^ mask[n % 4] for n, byte in enumerate(self.payload))


CLOSE = Frame(0x88, struct.pack("!H", 1000))


def _text(text: str) -> Frame:
    return Frame(0x81, text.encode("utf-8", "surrogatepass"))


WELL_FORMED = TEXTS.map(_text)
ODD = st.builds(
    Frame, st.integers(0, 255), st.binary(max_size=200), st.booleans(),
    st.one_of(st.none(), st.none(), st.sampled_from([0, 125, 126, 65_536, 2**31, 2**62])),
)  # fmt: skip
FRAMES = st.lists(st.one_of(WELL_FORMED, WELL_FORMED, WELL_FORMED, ODD), min_size=1, max_size=6)


def exchange(port: int, frames: list[Frame], until: bytes = b"") -> bytes:
    """Open a stream, send frames, wait for a word if one is named, hang up, and return all that came."""
    key = base64.b64encode(os.urandom(16)).decode()
    hello = (
        f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    told = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(hello.encode())
        while b'"hello"' not in told:
            part = connection.recv(4096)
            if not part:
                return told
            told += part
        try:
            for frame in frames:
                connection.sendall(frame.encode())
            while until not in told:
                told += connection.recv(65536)
            connection.sendall(CLOSE.encode())
            if any(frame.length is not None for frame in frames):
                connection.shutdown(socket.SHUT_WR)  # what is missing of a frame is not waited for
            while part := connection.recv(65536):
                told += part
        except (ConnectionError, TimeoutError, OSError):
            pass  # it may hang up on what is no frame
    return told
