"""Who may speak to a gateway: the desk its supervisor names, under that life's key (settled 20).

Problem: two desks, an older life of one, or any process of the same user could open the socket and ask for
orders. So whoever starts desks says of each, on the gateway's standard input, which process it is and under
which key it speaks; what anybody else says is refused, and the refusal is on record.

Not here: keys and codes (`seals`), what a desk may ask for (`lastlook`), how refusals are told (`alarms`).

Invariant: of a gateway that is told its desks, nobody is let in before it was told of one, and the last one
told is the only one let in.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

import msgspec

from runtime.frames import Link
from runtime.seals import KEY_SIZE

TURN: Final = b'{"turn":true}\n'
"""The line that tells a spare gateway to take the place of one that is gone."""
_CHUNK: Final = 4096
Refused = Callable[[str, str], None]


class Desk(msgspec.Struct, frozen=True):
    """A life of a desk: its process and the key it signs with, hexadecimal."""

    pid: int
    key: str


def introduction(pid: int, key: bytes) -> bytes:
    """Return the line that tells a gateway of a desk."""
    return msgspec.json.encode(Desk(pid, key.hex())) + b"\n"


class Introductions:
    """What a supervisor says of its desks, a line each, on a descriptor; read without waiting."""

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self._last: Desk | None = None
        self._has_turn = False
        self._is_over = False  # whoever speaks has hung up
        os.set_blocking(descriptor, False)

    async def turn(self) -> bool:
        """Wait for a spare's turn; False when whoever could give it has hung up."""
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._descriptor, heard.set)
        try:
            while not self._has_turn and not self._is_over:
                await heard.wait()
                heard.clear()
                self.last()
        finally:
            loop.remove_reader(self._descriptor)
        return self._has_turn

    def last(self) -> Desk | None:
        """Return the desk that was named last; None before the first, and after a line that is none."""
        while part := self._read():
            *lines, self._rest = (self._rest + part).split(b"\n")
            for line in lines:
                if line + b"\n" == TURN:
                    self._has_turn = True
                else:
                    self._last = _desk(line)
        return self._last

    def _read(self) -> bytes:
        try:
            part = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return b""
        self._is_over = not part
        return part


def _desk(line: bytes) -> Desk | None:
    try:
        told = msgspec.json.decode(line, type=Desk)
        return told if len(bytes.fromhex(told.key)) == KEY_SIZE else None
    except (msgspec.MsgspecError, ValueError):
        return None


class Door:
    """Looks at everybody who connects; ``wanted`` 0 and no ``introductions``: any process of this user."""

    def __init__(self, wanted: int, introductions: Introductions | None, refused: Refused) -> None:
        self._wanted = wanted
        self._introductions = introductions
        self._refused = refused

    def watch(self, link: Link) -> None:
        """Put on record why a link is closed, if what came over it is the reason."""
        link.on_refused = lambda why: self._refused(f"process {link.peer_pid}", why)

    def admits(self, link: Link) -> bool:
        """Whether a process may speak as the desk; if not, it is hung up on."""
        self.watch(link)
        wanted, key = self._wanted, b""
        if self._introductions is not None:
            desk = self._introductions.last()
            if desk is None:
                link.refuse("no desk was named yet")
                return False
            wanted, key = desk.pid, bytes.fromhex(desk.key)
        if wanted and link.peer_pid != wanted:
            link.refuse(f"only process {wanted} may send orders, this is {link.peer_pid}")
            return False
        link.expect(key)
        return True
