"""Frames between processes: ``length:u32 little-endian | msgpack Envelope`` over Unix sockets.

Problem: desk, gateway, hub and hosts exchange envelopes at bar and order speed, and a peer that sends
garbage, lags or dies must cost its connection and nothing else. `FrameDecoder` is the codec without I/O;
`Link` is one connection of asyncio; `listen` and `connect` make links.

Not here: what an envelope means, who is to be trusted (`gateway_door`), seals (`seals`), where sockets lie
(`runtime.unit`).

Invariant: a link delivers whole envelopes in the order they were sent, or is closed; one that expects a seal
delivers nothing without. Nothing is buffered
without bound: a frame above the limit closes the link, and so does a peer that does not read.
Envelopes of kind `CONTROL` carry a short text for the peer's shell (flow control) and are never journaled.
"""

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

import msgspec

from parley.errors import ProtocolError, UserError
from parley.messages import KINDS, Envelope, Message, decode_envelope, encode
from runtime.seals import Seal

log = logging.getLogger(__name__)

CONTROL: Final = 0
MAX_FRAME: Final = 4 * 1024 * 1024
MAX_UNSENT: Final = 16 * 1024 * 1024
MAX_SOCKET_PATH: Final = 107
_LENGTH: Final = struct.Struct("<I")
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid of SO_PEERCRED

_encode_envelope = msgspec.msgpack.Encoder().encode


def pack(envelope: Envelope) -> bytes:
    """Return the frame of an envelope."""
    return frame_of(_encode_envelope(envelope))


def frame_of(raw: bytes) -> bytes:
    """Return the frame of an envelope that is encoded already."""
    return _LENGTH.pack(len(raw)) + raw


def wrap(
    message: Message,
    *,
    sender: str,
    to: str,
    tenant: str = "local",
    desk: int = 1,
    epoch: int = 0,
    seq: int = 0,
    round_: bytes = b"",
    cause: int = 0,
    t_event: int = 0,
    t_mono: int = 0,
    deadline: int = 0,
) -> Envelope:
    """Put a message into an envelope; kind and body follow from the message."""
    return Envelope(
        kind=KINDS[type(message)], tenant=tenant, desk=desk, epoch=epoch, seq=seq, round=round_,
        sender=sender, to=to, cause=cause, t_event=t_event, t_mono=t_mono, deadline=deadline,
        body=encode(message),
    )  # fmt: skip


def control(text: str, *, sender: str, to: str) -> Envelope:
    """Make a control envelope, such as ``closed:17``; it carries no message."""
    return Envelope(
        kind=CONTROL, tenant="", desk=0, epoch=0, seq=0, round=b"", sender=sender, to=to, cause=0,
        body=text.encode(),
    )  # fmt: skip


class FrameDecoder:
    """Cut a byte stream into envelopes, however it was split on the way."""

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self.seal: Seal | None = None  # that every frame has to bear
        self._max_frame = max_frame
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Envelope]:
        """Add bytes and return the envelopes that are complete now.

        Raises
        ------
        ProtocolError
            When a frame is empty, longer than the limit, without its seal or no envelope. The stream is of no
            use any more.
        """
        self._buffer += data
        envelopes: list[Envelope] = []
        start, end = 0, len(self._buffer)
        while end - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if not 0 < length <= self._max_frame:
                raise ProtocolError(f"a frame must have 1 to {self._max_frame} bytes, was {length}")
            body = start + _LENGTH.size
            if end - body < length:
                break
            raw = bytes(memoryview(self._buffer)[body : body + length])
            envelopes.append(_open(raw if self.seal is None else self.seal.open(raw)))
            start = body + length
        del self._buffer[:start]
        return envelopes


def _open(raw: bytes) -> Envelope:
    try:
        return decode_envelope(raw)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"a frame must hold an envelope, this one does not: {error}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"a frame must hold an envelope, this one does not: {error!r}") from error


class Link(asyncio.Protocol):
    """One connection. `on_envelope` is called for every envelope, `on_lost` once at the end.

    `on_refused` is called before that, when something that came or whoever connected is the reason.

    Guarantees: envelopes arrive in the order of the peer's `send`; an exception of the type ProtocolError
    from `on_envelope` closes this link only. `send` neither blocks nor fails: what cannot be delivered
    ends the link, and `on_lost` tells.
    """

    def __init__(
        self, on_connect: "Callable[[Link], None] | None" = None, max_frame: int = MAX_FRAME
    ) -> None:
        self.on_envelope: Callable[[Envelope], None] = _refuse_early
        self.on_lost: Callable[[str], None] = _ignore
        self.on_refused: Callable[[str], None] = _ignore
        self.peer_pid = 0
        self.peer_uid = -1
        self._on_connect = on_connect
        self._decoder = FrameDecoder(max_frame)
        self._transport: asyncio.Transport | None = None
        self._fd = -1
        self._why = "peer closed"
        self._seal: Seal | None = None

    def sign(self, key: bytes) -> None:
        """Seal whatever is sent from now on; with an empty key nothing is."""
        self._seal = Seal(key) if key else None

    def expect(self, key: bytes) -> None:
        """Take nothing from now on that is not sealed with a key; with an empty key everything."""
        self._decoder.seal = Seal(key) if key else None

    @property
    def is_open(self) -> bool:
        """Whether anything can still be sent."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def unsent(self) -> int:
        """Bytes the peer has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send(self, envelope: Envelope) -> None:
        """Queue an envelope; a peer with more than `MAX_UNSENT` bytes unread loses the link."""
        self.send_frame(pack(envelope))

    def send_frame(self, frame: bytes) -> None:
        """Queue a frame that was packed before, for several peers."""
        if self._transport is not None and not self._transport.is_closing():
            self._write(self._transport, self._sealed(frame))

    def _sealed(self, frame: bytes) -> bytes:
        return frame if self._seal is None else frame_of(self._seal.close(frame[_LENGTH.size :]))

    def _write(self, transport: asyncio.Transport, frame: bytes) -> None:
        transport.write(frame)
        if transport.get_write_buffer_size() > MAX_UNSENT:
            self.close(f"peer left more than {MAX_UNSENT} bytes unread", abort=True)

    def send_now(self, frame: bytes) -> None:
        """Write a frame to the socket at once; the transport would wait for the end of the loop's turn.

        Falls back to `send_frame` for what the socket does not take, and for everything while frames wait.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        frame = self._sealed(frame)
        if self._fd >= 0 and transport.get_write_buffer_size() == 0:
            with contextlib.suppress(OSError):  # full, or gone: the transport waits, or finds out and tells
                frame = frame[os.write(self._fd, frame) :]
        if frame:
            self._write(transport, frame)

    def close(self, why: str, abort: bool = False) -> None:
        """End the link; what was sent is still delivered unless `abort`."""
        if self._transport is not None and not self._transport.is_closing():
            self._why = why
            if abort:
                self._transport.abort()
            else:
                self._transport.close()

    def refuse(self, why: str) -> None:
        """End the link at once, because of who is at its other end or what came from there."""
        log.warning("link refused peer_pid=%d why=%s", self.peer_pid, why)
        self.on_refused(why)
        self.close(why, abort=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        connection = transport.get_extra_info("socket")
        self._fd = connection.fileno()
        self.peer_pid, self.peer_uid = peer_of(connection)
        if self.peer_uid != os.getuid():
            self.close(f"peer is of user {self.peer_uid}", abort=True)
        elif self._on_connect is not None:
            self._on_connect(self)

    def data_received(self, data: bytes) -> None:
        try:
            for envelope in self._decoder.feed(data):
                if not self.is_open:
                    return
                self.on_envelope(envelope)
        except ProtocolError as error:
            self.refuse(str(error))

    def eof_received(self) -> bool | None:
        if self._decoder.pending:
            self._why = f"peer closed in the middle of a frame, {self._decoder.pending} bytes of it came"
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fd = -1  # the number may soon belong to something else
        self.on_lost(str(exc) if exc is not None else self._why)


def _refuse_early(envelope: Envelope) -> None:
    raise ProtocolError(f"nobody listens on this link yet, got kind {envelope.kind}")


def _ignore(why: str) -> None:
    pass


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """Return (pid, uid) of the process at the other end, as the kernel knows it since the connect."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return pid, uid


def check_socket_path(path: Path) -> Path:
    """Return the path if a Unix socket can have it.

    Raises
    ------
    UserError
        When it has more than 107 bytes.
    """
    size = len(os.fsencode(path))
    if size > MAX_SOCKET_PATH:
        raise UserError(f"a socket path has at most {MAX_SOCKET_PATH} bytes, {str(path)!r} has {size}")
    return path


async def listen(path: Path, on_connect: Callable[[Link], None]) -> asyncio.AbstractServer:
    """Serve links on a Unix socket of mode 0600; a stale socket file is replaced.

    `on_connect` sets ``on_envelope`` and ``on_lost`` of each new link.

    Raises
    ------
    UserError
        When the path is too long, its folder is missing, or another process serves it.
    """
    check_socket_path(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _unlink_stale(path)
        listener.bind(str(path))
        # Nobody can connect between bind and listen, so the mode is in force before the first peer.
        path.chmod(0o600)
        return await asyncio.get_running_loop().create_unix_server(lambda: Link(on_connect), sock=listener)
    except OSError as error:
        listener.close()
        raise UserError(f"cannot serve the socket {str(path)!r}: {error}") from error
    except UserError:
        listener.close()
        raise


def _unlink_stale(path: Path) -> None:
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise UserError(f"another process serves the socket {str(path)!r}")


async def connect(
    path: Path, on_envelope: Callable[[Envelope], None], on_lost: Callable[[str], None] = _ignore
) -> Link:
    """Open a link to a Unix socket.

    Raises
    ------
    UserError
        When the path is too long, or nobody serves it.
    """
    check_socket_path(path)

    def introduce(link: Link) -> None:
        link.on_envelope = on_envelope
        link.on_lost = on_lost

    loop = asyncio.get_running_loop()
    try:
        _, link = await loop.create_unix_connection(lambda: Link(introduce), str(path))
    except OSError as error:
        raise UserError(f"cannot reach the socket {str(path)!r}: {error}") from error
    return link
