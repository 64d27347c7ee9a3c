"""What agents from outside say when nobody is asking, and how a market in lock-step waits for it.

Problem: such an agent takes its time over news, so its word comes between cascades. By the clock it is
admitted when it comes. In lock-step the market must not go on before it, and to be quicker is no advantage.

Not here: carrying (`socket_transport`), what follows from it (`orchestrator.firm`).

Invariant: in lock-step what was said to one batch is admitted before the next, in the order of agents.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from parley.messages import Analysed
from runtime.socket_transport import SocketTransport

log = logging.getLogger(__name__)

OUTSIDE: Final = "outside"  # who sends it to the desk
LOOK_S: Final = 0.0005


class Overheard:
    """Holds what was said back in lock-step, and passes it on at once otherwise."""

    def __init__(self, arrived: Callable[[Analysed], None]) -> None:
        self.in_lockstep = False
        self._arrived = arrived
        self._said: list[Analysed] = []

    def take(self, message: Analysed) -> None:
        """Take what an agent said."""
        if self.in_lockstep:
            self._said.append(message)
        else:
            self._arrived(message)

    async def hear_out(
        self, remote: SocketTransport, admit: Callable[[Analysed], Awaitable[None]], patience_s: float
    ) -> None:
        """Wait until nobody mulls over news, and have admitted what they said; again while that is news."""
        deadline = time.monotonic() + patience_s
        while remote.is_mulling or self._said:
            if remote.is_mulling and time.monotonic() < deadline:
                await asyncio.sleep(LOOK_S)
                continue
            late = remote.give_up() if remote.is_mulling else []
            if late:
                log.warning("agents_not_waited_for agents=%s", ",".join(late))
            said, self._said = sorted(self._said, key=lambda each: each.agent), []
            for message in said:
                await admit(message)
            if late:
                return
