"""Ask a socket of ccxt.pro for a sign of life, and know by its answer that all before it has been read.

Problem: ccxt notes a subscription when it asks for it and not when the venue agrees, and a venue that only
acknowledges a request tells the outcome on its stream. A socket answers in order, so an answer to a ping
shows that what was said before has been read. Of that answer ccxt keeps only the time, in ms.

Not here: which names a venue's subscriptions have. Invariant: an answer counts for who asked before it.
"""

import asyncio
import time
from collections.abc import Collection
from typing import Any, Final

import ccxt

from venues.ccxt_client import MS

NO_PONG: Final = (OSError, ccxt.BaseError)  # a TimeoutError is an OSError
_PATIENCE_S: Final = 1.0
_SPINS: Final = 25  # turns of the loop; a sandbox has answered by then
_POLL_S: Final = 0.0002


class Pongs:
    """Pings one socket; ``ping`` is what the venue takes for one."""

    def __init__(self, ping: object) -> None:
        self._ping = ping
        self._one = asyncio.Lock()
        self._begun = 0
        self._done = 0
        self._standing: object = None

    async def stands(self, client: Any, names: Collection[str]) -> bool:
        """Whether one socket has everything of these names, and the venue answered after the last of them."""
        socket = socket_of(client, names)
        if socket is None:
            return False
        if self._standing is not socket:
            try:
                await self.ping(socket)
            except NO_PONG:
                return False
            self._standing = socket
        return True

    async def ping(self, socket: Any) -> None:
        """Wait for the answer to a ping that is sent from now on; who waits at once shares one."""
        wanted = self._begun + 1
        async with self._one:
            if self._done >= wanted:
                return
            self._begun += 1
            async with asyncio.timeout(_PATIENCE_S):
                while socket.lastPong == time.time_ns() // MS:
                    await asyncio.sleep(_POLL_S)  # a second answer within the same ms could not be told
                before = socket.lastPong
                await socket.send(self._ping)
                spins = 0
                while socket.lastPong == before:
                    spins += 1
                    await asyncio.sleep(0 if spins < _SPINS else _POLL_S)
            self._done = self._begun


def socket_of(client: Any, names: Collection[str]) -> Any:
    """Return the socket on which ccxt asked for everything of these names."""
    wanted = frozenset(names)
    return next((each for each in list(client.clients.values()) if set(each.subscriptions) >= wanted), None)
