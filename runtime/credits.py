"""Tells a desk whether the venue has room for an order that opens, before it opens a round for one.

Problem: who finds out at the gateway that a limit of the venue is used up has negotiated for nothing, and
opens the next round for the same refusal. So the gateway says when the room is gone and when it is back, as a
`Strain` of level 3: what is held may still be left, whose part of the limits reaches further (`Rank`). Of
several venues one without room is enough (`venues.several_meter` says why).

Not here: the limits (`parley.budget`, `venues.meter`), what a desk under strain does (`orchestrator`).

Invariant: something is said only when the answer changed, or when the desk may not have heard the last one.
"""

from collections.abc import Callable
from typing import Final

from parley.messages import Message, Strain
from venues.limits import Request
from venues.meter import Asked, words

SOURCE: Final = "venue"
_REDUCE: Final = 3


class Credits:
    """What was last said of the room for orders at one venue's account; nothing was: there is room."""

    def __init__(self, meter: Asked, say: Callable[[Message], object]) -> None:
        self._meter = meter
        self._say = say
        self._level: int | None = 0

    def look(self) -> None:
        """Say whether an order may open now, if the answer is another than before."""
        lack = self._meter.lack(Request.SEND)
        level = 0 if lack is None else _REDUCE
        if level != self._level:
            self._level = level
            self._say(Strain(source=SOURCE, level=level, why="" if lack is None else words(lack)[1]))

    def again(self) -> None:
        """Say it to a desk that may know the word of another gateway, or none."""
        self._level = None
        self.look()
