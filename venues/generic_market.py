"""The public streams of any venue, one symbol at a time.

Not here: where candles, trades and books come from (`generic_client`). Invariant: a book's number grows with
everything that changes in it, and is the venue's own number wherever that grows.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from venues.generic_client import UnifiedClient

_LEVELS: Final = 25


class Seen(NamedTuple):
    """What a book was when it was last looked at."""

    state: tuple[object, ...]
    number: int


class GenericMarket:
    """Market words of a venue nobody certified."""

    most_symbols = 1

    def __init__(self) -> None:
        self._seen: dict[object, Seen] = {}

    def book_number(self, book: Mapping[str, Any]) -> int:
        told = next((each for each in (book["nonce"], book["timestamp"]) if each is not None), None)
        tops = [tuple((level[0], level[1]) for level in book[side][:_LEVELS]) for side in ("bids", "asks")]
        seen = self._seen.get(book["symbol"], Seen((), -1))
        if told is None and not any(tops):
            return seen.number
        state = (book["nonce"], book["timestamp"], *tops)
        if state != seen.state:
            seen = Seen(state, max(seen.number + 1, int(told or 0)))
            self._seen[book["symbol"]] = seen
        return seen.number

    async def stands(
        self, client: UnifiedClient, streams: Sequence[str], symbols: Sequence[str], timeframe: str
    ) -> bool:
        return client.stands((stream, symbol) for stream in streams for symbol in symbols)
