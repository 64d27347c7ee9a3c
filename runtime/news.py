"""What an agent from outside has still to work off, with what a later word made needless left out.

Problem: by the clock the market does not wait for one that is behind. A batch of prices alone is worth
nothing once a newer one is there: only their newest books are, together.

Not here: who works it off (`agent_server`).

Invariant: words leave in the order they came; a batch that closed a candle is never left out.
"""

import queue
from collections import deque
from collections.abc import Callable

import msgspec

from parley.messages import MarketBatch, StateView, decode, encode
from runtime.wave_frames import FromDesk, Told


class News:
    """A queue of words; ``left_out`` hears the seq of a batch that was folded into a later one."""

    def __init__(self, left_out: Callable[[int], None]) -> None:
        self._came: queue.SimpleQueue[FromDesk | None] = queue.SimpleQueue()
        self._waiting: deque[FromDesk] = deque()
        self._left_out = left_out
        self._is_over = False

    def put(self, word: FromDesk) -> None:
        """Add a word; from any thread."""
        self._came.put(word)

    def end(self) -> None:
        """Let `get` give nothing any more; from any thread."""
        self._is_over = True
        self._came.put(None)

    def get(self) -> FromDesk | None:
        """Wait for the next word and return it; None at the end."""
        while True:
            while not self._waiting or not self._came.empty():
                word = self._came.get()
                if word is None or self._is_over:
                    return None
                self._waiting.append(word)
            if self._is_over:
                return None
            first = self._waiting.popleft()
            if not self._fold(first):
                return first

    def _fold(self, first: FromDesk) -> bool:
        """Put a batch of prices alone into the next batch, if that is here already; whether it was."""
        earlier = _batch(first)
        if earlier is None or earlier.bars or not isinstance(first, Told):
            return False
        for n, word in enumerate(self._waiting):
            if not isinstance(word, Told):
                return False
            message = decode(bytes(word.body))
            if isinstance(message, MarketBatch):
                if not word.wants:
                    return False
                body = msgspec.Raw(encode(_together(earlier, message)))
                self._waiting[n] = Told(word.seq, word.now, word.nth, word.wants, body)
                self._left_out(first.seq)
                return True
            if not isinstance(message, StateView):
                return False
        return False


def _batch(word: FromDesk) -> MarketBatch | None:
    if not isinstance(word, Told) or not word.wants:
        return None
    message = decode(bytes(word.body))
    return message if isinstance(message, MarketBatch) else None


def _together(earlier: MarketBatch, later: MarketBatch) -> MarketBatch:
    books = {book.symbol: book for book in (*earlier.books, *later.books)}
    marks = {mark.symbol: mark for mark in (*earlier.marks, *later.marks)}
    return msgspec.structs.replace(
        later, books=tuple(books.values()), marks=tuple(marks.values()),
        prints=(*earlier.prints, *later.prints),
        gaps=(*earlier.gaps, *later.gaps), skipped=earlier.skipped + later.skipped + 1,
    )  # fmt: skip
