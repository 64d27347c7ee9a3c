"""Which order of the venue is which of ours, where the venue may not repeat our client order id.

Problem: a trade on a private stream often names only the venue's id of its order, which is first told by the
answer to the send; and the trade may come before that answer. Or the venue repeats our id with a word of its
own before it. So a name nobody knows yet is held back while an answer is outstanding, and not taken for
somebody else's.

Not here: what is done with an order. Invariant: what was learned once is not changed.
"""

import contextlib
from collections.abc import Iterator


class OrderIds:
    """Client order ids and the venue's, of one account."""

    def __init__(self) -> None:
        self._cids: dict[str, str] = {}
        self._venue_ids: dict[str, str] = {}
        self._sent: set[str] = set()
        self._outstanding = 0

    def learn(self, cid: str, venue_id: str) -> None:
        """Note that the venue calls an order of ours so."""
        self._cids.setdefault(venue_id, cid)
        self._venue_ids.setdefault(cid, venue_id)

    def cid(self, venue_id: str) -> str:
        """Return our id of an order, empty while nobody knows."""
        return self._cids.get(venue_id, "")

    def venue_id(self, cid: str) -> str:
        """Return the venue's id of an order, empty while nobody knows."""
        return self._venue_ids.get(cid, "")

    @contextlib.contextmanager
    def sending(self, cid: str) -> Iterator[None]:
        """Say that an order of this id is sent, and its answer outstanding, which may name it."""
        self._sent.add(cid)
        self._outstanding += 1
        try:
            yield
        finally:
            self._outstanding -= 1

    def is_sent(self, cid: str) -> bool:
        """Whether an order of exactly this id was sent from here."""
        return cid in self._sent

    def may_come(self, cid: str, venue_id: str) -> bool:
        """Whether an order that a message calls so, and nobody knows, may yet be told to be ours."""
        return self._outstanding > 0 and venue_id not in self._cids and cid not in self._sent
