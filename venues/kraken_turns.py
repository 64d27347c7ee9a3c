"""One private request after the other, because Kraken refuses a number that is not above the last one it saw.

Problem: every signed request carries a number, and the venue refuses whichever has one below one that it has
seen (`EAPI:Invalid nonce`, https://docs.kraken.com/api/docs/guides/spot-rest-auth). Requests that are under
way together travel on several connections and may arrive in another order, so a good order could be refused
for a question that overtook it.

So each waits until the one before was answered, but not for long: a request that hangs holds up nobody. If
it should arrive at last it is refused, which is just what is wanted of one that is late.

Not here: the numbers (ccxt makes them). Invariant: turns begin in the order in which they were asked for.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

_PATIENCE_S: Final = 0.5


class _Turn:
    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.done = asyncio.Event()


class Turns:
    """The private requests of one key."""

    def __init__(self) -> None:
        self._last: _Turn | None = None

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn; it lasts until the block ends."""
        before, mine = self._last, _Turn()
        self._last = mine
        try:
            if before is not None and not before.done.is_set():
                await before.begun.wait()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PATIENCE_S):
                        await before.done.wait()
            mine.begun.set()
            yield
        finally:
            mine.begun.set()
            mine.done.set()
