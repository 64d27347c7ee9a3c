"""Orders of a batch: the desk's own fold, continued from where the database left it.

Problem: an order's state is worked out from facts that arrive batches apart. A shipper that remembered orders
would have to rebuild them after every kill. Instead each order's row carries its image; a batch takes up the
images it needs, folds its facts with `orchestrator.orders`, and writes the rows back.

Invariant: the rows equal a fold over the whole journal, wherever it was cut.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from orchestrator.orders import Order, Orders
from parley.errors import StateError
from parley.messages import CancelIntent, Decision, Intent, Void
from runtime.shipper.follow import Refused, Stream
from runtime.shipper.project import OrderMessage, Row
from runtime.shipper.values import amounts_json, clean

_encode = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(Order)


def wanted(messages: Iterable[tuple[int, OrderMessage]]) -> tuple[list[bytes], list[bytes]]:
    """Name the orders (iid) and decided proposals (pid) a batch needs from before."""
    opened: set[bytes] = set()
    decided: set[bytes] = set()
    iids: dict[bytes, None] = {}
    pids: dict[bytes, None] = {}
    for _, message in messages:
        match message:
            case Decision():
                decided.add(message.pid)
            case Intent():
                opened.add(message.iid)
                if message.pid not in decided:
                    pids[message.pid] = None
            case Void():
                iids.update(dict.fromkeys(iid for iid in message.iids if iid not in opened))
            case _:
                if message.iid not in opened:
                    iids[message.iid] = None
    return list(iids), list(pids)


class OrderFold:
    """Fold of one batch; `images` are stored orders by iid, `agents` who made earlier accepted proposals."""

    def __init__(
        self, images: Mapping[bytes, tuple[int, bytes]], agents: Mapping[bytes, str], t: int
    ) -> None:
        self.t = t
        self._orders = Orders()
        self._agents = dict(agents)
        self._seqs: dict[bytes, int] = {}
        self._changed: dict[bytes, int] = {}
        for iid, (seq, image) in images.items():
            stored = _decoder.decode(image)
            order = self._orders.open(stored.intent, stored.agent, stored.t)
            for name in Order.__struct_fields__:
                setattr(order, name, getattr(stored, name))
            self._seqs[iid] = seq

    def take(self, messages: Iterable[tuple[int, OrderMessage]]) -> None:
        """Fold messages in journal order.

        Raises
        ------
        Refused
            When they contradict each other.
        """
        for seq, message in messages:
            try:
                self._take(seq, message)
            except StateError as error:
                raise Refused(f"record {seq}: {error}") from error

    def _take(self, seq: int, message: OrderMessage) -> None:
        match message:
            case Decision():
                self.t = max(self.t, message.t)
                if message.action == "accept":
                    self._agents[message.pid] = message.agent
            case Intent():
                self._orders.open(message, self._agents.get(message.pid, ""), self.t)
                self._seqs[message.iid] = self._changed[message.iid] = seq
            case Void():
                for iid in message.iids:
                    if self._orders.get(iid) is not None:
                        self._orders.void(iid)
                        self._changed[iid] = seq
            case CancelIntent():
                if self._orders.get(message.iid) is not None:
                    self._orders.ask_cancel(message.iid)
                    self._changed[message.iid] = seq
            case _:
                if self._orders.apply(message):
                    self._changed[message.iid] = seq

    def rows(self, stream: Stream) -> list[Row]:
        """Return the rows of the orders that changed."""
        found = []
        for iid, changed in self._changed.items():
            order = self._orders.get(iid)
            if order is not None:
                found.append(_row(stream, order, self._seqs[iid], changed))
        return found


def _row(stream: Stream, order: Order, seq: int, changed: int) -> Row:
    i = order.intent
    return (
        stream.tenant,
        stream.run_id,
        i.iid,
        clean(i.cid),
        seq,
        changed,
        i.round,
        i.pid,
        clean(order.agent),
        i.leg,
        i.child,
        clean(i.account),
        clean(i.venue),
        clean(i.symbol),
        clean(i.side),
        clean(i.style),
        clean(i.tif),
        i.reduce_only,
        i.qty,
        i.px,
        i.ref_px,
        order.state.name.lower(),
        order.filled,
        order.quote,
        amounts_json(order.fees),
        clean(order.venue_id),
        clean(order.cause),
        order.t,
        _encode(order),
    )
