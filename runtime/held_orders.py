"""Orders the gateway has made durable and may not send yet: they wait for their desk's word.

Problem: the desk's commit and the gateway's each cost an fsync, and one after the other they are half of an
order's way. A desk therefore hands an order over before its own commit and says ``release`` once that is
durable, or ``drop`` when it came back too late; the gateway meanwhile looks and commits.

Not here: looking, writing, sending (`gateway`).

Invariant: an order goes on only after both, its own record here and its desk's ``release``. Without the word
(a desk that died, a link that broke) it is dropped, and never sent.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from parley.errors import ProtocolError

RELEASE: Final = "release"
DROP: Final = "drop"


@dataclass(slots=True)
class _Order:
    go: Callable[[], None] | None = None
    drop: Callable[[], None] | None = None
    word: str = ""


class HeldOrders:
    """The orders of one desk, by the sequence number of their frames."""

    def __init__(self) -> None:
        self._orders: dict[int, _Order] = {}

    def expect(self, seq: int) -> None:
        """Note an order that passed the last look; its record is being written.

        Raises
        ------
        ProtocolError
            When an order of this number is waiting: a desk numbers each frame anew.
        """
        if seq in self._orders:
            raise ProtocolError(f"a new frame must have a new number, {seq} is in use")
        self._orders[seq] = _Order()

    def durable(self, seq: int, go: Callable[[], None], drop: Callable[[], None]) -> None:
        """Say that its record is on disk: ``go`` or ``drop`` is called now, or with the desk's word."""
        order = self._orders[seq]
        order.go, order.drop = go, drop
        self._settle(seq, order)

    def forget(self, seq: int) -> None:
        """Give up an order whose record was refused."""
        self._orders.pop(seq, None)

    def say(self, word: str, seqs: Iterable[int]) -> None:
        """Take the desk's word; one about an order that was refused meanwhile changes nothing."""
        for seq in seqs:
            order = self._orders.get(seq)
            if order is not None and not order.word:
                order.word = word
                self._settle(seq, order)

    def drop_all(self) -> None:
        """The desk can say nothing any more."""
        self.say(DROP, list(self._orders))

    def _settle(self, seq: int, order: _Order) -> None:
        if order.go is None or order.drop is None or not order.word:
            return
        del self._orders[seq]
        if order.word == RELEASE:
            order.go()
        else:
            order.drop()


def word_of(word: str, seqs: Iterable[int]) -> str:
    """Return the control text for some orders, as ``release:17,18``."""
    return f"{word}:{','.join(map(str, seqs))}"


def read_word(body: bytes) -> tuple[str, list[int]]:
    """Read a control text of `word_of`.

    Raises
    ------
    ProtocolError
        When it is neither ``release:`` nor ``drop:`` with numbers.
    """
    word, _, seqs = body.decode(errors="replace").partition(":")
    if word not in (RELEASE, DROP):
        raise ProtocolError(f"a gateway knows release: and drop:, was {body[:40]!r}")
    try:
        return word, [int(seq) for seq in seqs.split(",")]
    except ValueError:
        raise ProtocolError(f"{word}: must name sequence numbers, was {body[:40]!r}") from None
