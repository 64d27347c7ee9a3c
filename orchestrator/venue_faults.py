"""Which failures of calls to the venue this desk has counted already.

Problem: a gateway tells a desk that comes back what failed in the last minute once more, because the desk may
not have heard it; counted twice it would stop a firm whose venue is well.

Not here: what many failures lead to (the risk agent), when they are told again (`runtime.resync`).

Invariant: what is forgotten is older than what can be told again: a gateway says one a second.
"""

from collections import deque
from typing import Final

from parley.messages import VenueFault

KEPT: Final = 256


class VenueFaults:
    """The newest ones that were heard."""

    def __init__(self) -> None:
        self._heard: deque[VenueFault] = deque(maxlen=KEPT)

    def take(self, fault: VenueFault) -> None:
        """Remember one."""
        self._heard.append(fault)

    def is_news(self, fault: VenueFault) -> bool:
        """Whether it was not heard before; ``t`` tells it from all others."""
        return fault not in self._heard
