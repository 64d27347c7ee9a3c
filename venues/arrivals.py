"""Says at once that something arrived on one of ccxt.pro's sockets, without a `watch_*` call for each.

Problem: whoever reads ccxt's caches has to know when to look. A call that waits for one message costs more
than the message, and looking by the clock costs half a period on the way of each event. So the sockets
themselves are asked: an epoll of our own, edge-triggered, which the loop watches as one more file.

Not here: what arrived (ccxt reads it as ever; nothing of it is touched), what a lost socket means
(`venues.ccxt_feed`).

Invariant: `told` is called after ccxt has read what woke it, and not while more comes in: who reads the
caches has to look by the clock as well. That it is called too often costs a look, too seldom a wait.
"""

import asyncio
import select
from collections.abc import Callable, Mapping
from typing import Any, Final

# From the bytes to ccxt's caches, in turns of the loop: a task reads a message and its callback handles it;
# of several that came together the first one goes that way, and the others behind it go it once more.
_TURNS: Final = 6


class Arrivals:
    """Watches sockets for one event loop; make it inside that loop.

    ``told`` is called when something arrived on any of them.
    """

    def __init__(self, told: Callable[[], None]) -> None:
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._watched: dict[str, object] = {}
        self._left = 0
        self._loop.add_reader(self._epoll.fileno(), self._woken)

    def watch(self, clients: Mapping[str, Any]) -> None:
        """Watch the sockets of ccxt.pro's clients, by address, as far as they are connected."""
        for url, client in clients.items():
            connection = client.connection
            if connection is None or self._watched.get(url) is connection:
                continue
            self._watched[url] = connection
            found = connection.get_extra_info("socket")
            if found is not None and found.fileno() >= 0:  # else it is closed again
                self._epoll.register(found.fileno(), select.EPOLLIN | select.EPOLLET)

    def close(self) -> None:
        """Watch nothing more."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _woken(self) -> None:
        self._epoll.poll(0)
        if self._left == 0:
            self._loop.call_soon(self._turn)
        self._left = _TURNS  # of what came last: what comes together is told together

    def _turn(self) -> None:
        self._left -= 1
        if self._left:
            self._loop.call_soon(self._turn)
        else:
            self._told()
