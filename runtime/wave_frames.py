"""What a desk and the process of one agent say to each other: frames ``length:u32 little-endian | msgpack``.

The process dials the desk and says `Hello`; the desk answers `Welcome` with all it needs to be that agent:
its spec, the universe, its last snapshot; then come the frames told since, then live ones. Bodies are the
messages of `parley.messages`, encoded as in the journal.

Not here: sockets (`agent_socket`), who waits for whom (`socket_transport`, `agent_server`).

Invariant: one connection carries its frames in the order they were sent, so an agent sees what it would see
in process, in the same order.
"""

import struct
from typing import Final

import msgspec

from parley.agent import AgentEnv, AgentSpec
from parley.errors import ProtocolError
from parley.messages import Ballot, Cfp, Counter, Review

VERSION: Final = 1
QUESTIONS: Final = frozenset({Cfp, Ballot, Review, Counter})  # the rest is news
MAX_FRAME: Final = 64 * 1024 * 1024
_LENGTH: Final = struct.Struct("<I")


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The first word of an agent's process; of two with one name the higher incarnation counts."""

    agent: str
    incarnation: int
    pid: int
    version: int = VERSION


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """What a process needs to be the agent; an empty snapshot means that it begins anew."""

    spec: AgentSpec
    env: AgentEnv
    seed: int
    snapshot: bytes


class Told(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """One message for the agent; without ``wants`` its answers are not heard."""

    seq: int
    now: int
    nth: int
    wants: bool
    body: msgspec.Raw


class Answered(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """What the agent said to the message ``seq``; ``took_ns`` is its own time for it."""

    seq: int
    messages: tuple[msgspec.Raw, ...]
    fault: str
    took_ns: int


class SnapshotPlease(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Ask for the state after all frames before this one."""

    through: int


class SnapshotIs(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """The state after the frame ``through``."""

    through: int
    state: bytes


class Mark(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """Sent behind what an agent has to catch up with, and sent back when it has."""

    number: int


class Unable(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """The process cannot be this agent; the text says why."""

    why: str


class Leave(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """The desk ends; the process need not come back."""


class Mute(msgspec.Struct, frozen=True, array_like=True, tag=10, gc=False):
    """The agent is paused: it followed the message ``seq`` and will not answer it."""

    seq: int


class Beat(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """The process lives and has nothing else to say; said every 0.1 s of a quiet line."""


class View(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """The account's state that was told before the snapshot: to be seen, not to be handled again."""

    body: msgspec.Raw


FromDesk = Welcome | View | Told | SnapshotPlease | Mark | Leave
FromAgent = Hello | Answered | Mute | SnapshotIs | Mark | Unable | Beat

_encode = msgspec.msgpack.Encoder().encode
_of_desk = msgspec.msgpack.Decoder(FromDesk)
_of_agent = msgspec.msgpack.Decoder(FromAgent)


def frame(word: FromDesk | FromAgent) -> bytes:
    """Return the bytes of a word."""
    raw = _encode(word)
    return _LENGTH.pack(len(raw)) + raw


class Cutter:
    """Cuts a byte stream into the raw bytes of its words, however it was split on the way."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes; return the words that are complete now.

        Raises
        ------
        ProtocolError
            When a length is not possible; the stream is of no use any more.
        """
        buffer = self._buffer
        buffer += data
        words: list[bytes] = []
        start, end = 0, len(buffer)
        while end - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if not 0 < length <= MAX_FRAME:
                raise ProtocolError(f"a frame must have 1 to {MAX_FRAME} bytes, was {length}")
            body = start + _LENGTH.size
            if end - body < length:
                break
            words.append(bytes(buffer[body : body + length]))
            start = body + length
        del buffer[:start]
        return words


def from_desk(raw: bytes) -> FromDesk:
    """Read a word of the desk.

    Raises
    ------
    ProtocolError
        When it is none.
    """
    try:
        return _of_desk.decode(raw)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"no word of a desk: {error}") from error


def from_agent(raw: bytes) -> FromAgent:
    """Read a word of an agent's process.

    Raises
    ------
    ProtocolError
        When it is none.
    """
    try:
        return _of_agent.decode(raw)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"no word of an agent: {error}") from error
