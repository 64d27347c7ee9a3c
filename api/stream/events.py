"""From records of the journal's copy to events of the channels.

Problem: a client that was away must be told all it missed, in order, by whichever process serves it then. So
there is no list of events: which events there are, and their offsets, is a pure function of the journal, and
``data`` is the row as REST shows it now, never older than the event.

Not here: who gets them (`broker`).

Invariant: reading two ranges one after the other gives the events of reading them as one.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple

import msgspec
from pydantic import BaseModel

from api.queries.tables import FILLS, ORDERS, ROUNDS
from api.schemas.orders import Fill, Order, fill_of, order_of
from api.schemas.rounds import Round, round_of
from api.wire import show_time
from parley.messages import KIND_OF, Void, decode, decode_envelope
from runtime.postgres.reading import Reading, Row

RECORDS_AT_ONCE: Final = 5000

_TRIGGER, _CFP, _DECISION, _VOID = (KIND_OF[name] for name in ("Trigger", "Cfp", "Decision", "Void"))
_INTENT, _FILL, _ACK = KIND_OF["Intent"], KIND_OF["Fill"], KIND_OF["Ack"]
_OF_ORDERS: Final[dict[int, str]] = {
    _INTENT: "order.created",
    KIND_OF["CancelIntent"]: "order.cancel_asked",
    _ACK: "order.acknowledged",
    KIND_OF["VenueReject"]: "order.rejected",
    KIND_OF["Unknown"]: "order.unknown",
    KIND_OF["OrderEvent"]: "order.updated",
    _FILL: "order.filled",
    _VOID: "order.voided",
}
_KINDS: Final = sorted({_TRIGGER, _CFP, _DECISION, *_OF_ORDERS})
_KEY: Final[LiteralString] = " WHERE tenant_id = %s AND run_id = %s"
_RECORDS: Final[LiteralString] = (
    "SELECT seq, kind, round, body, committed_at FROM parley.journal" + _KEY + " AND stream = 'desk'"
    " AND seq > %s AND seq <= %s AND kind = ANY(%s) ORDER BY seq"
)


class Event(NamedTuple):
    """An event, encoded once for all who get it; ``at`` is the wall time of its commit."""

    channel: str
    off: int
    at: datetime
    raw: bytes


class _Rows(NamedTuple):
    rounds: Mapping[bytes, Row]
    orders: Mapping[bytes, Row]
    fills: Mapping[int, Row]


async def read_events(reading: Reading, run: str, after: int, through: int) -> list[Event]:
    """Return the events of the records `after` < seq <= `through`, in order."""
    records = await reading.rows(_RECORDS, (reading.tenant, run, after, through, _KINDS))
    if not records:
        return []
    iids = {record["seq"]: _iids(record) for record in records if record["kind"] in _OF_ORDERS}
    rows = _Rows(
        await _rounds(reading, run, {bytes(each["round"]) for each in records if _is_of_round(each)}),
        await _orders(reading, run, {iid for each in iids.values() for iid in each}),
        await _fills(reading, run, [each["seq"] for each in records if each["kind"] == _FILL]),
    )
    events: list[Event] = []
    for record in records:
        events += _of_record(record, run, rows, iids.get(record["seq"], ()))
    return events


def _of_record(record: Row, run: str, rows: _Rows, iids: Sequence[bytes]) -> Iterable[Event]:
    seq, kind = record["seq"], record["kind"]
    row = rows.rounds.get(bytes(record["round"])) if _is_of_round(record) else None
    if row is not None:
        if kind in (_TRIGGER, _CFP):
            if row["opened_seq"] == seq:
                yield _event("rounds", "round.opened", record, Round, round_of(row, run))
        elif kind == _DECISION or row["outcome"] == "void":  # what changed hands inside no void undoes
            word = "round.decided" if kind == _DECISION else "round.voided"
            yield _event("rounds", word, record, Round, round_of(row, run))
    for iid in iids:
        order = rows.orders.get(iid)
        if order is not None:
            yield _event("orders", _OF_ORDERS[kind], record, Order, order_of(order, run))
    if kind == _FILL and seq in rows.fills:
        yield _event("fills", "fill.created", record, Fill, fill_of(rows.fills[seq], run))


def _event(channel: str, word: str, record: Row, model: type[BaseModel], fields: dict[str, Any]) -> Event:
    data = model.model_validate(fields).model_dump_json().encode()
    head = msgspec.json.encode(
        {
            "t": "ev",
            "ch": channel,
            "off": record["seq"],
            "ts": show_time(record["committed_at"]),
            "type": word,
        }
    )
    return Event(channel, record["seq"], record["committed_at"], head[:-1] + b',"data":' + data + b"}")


def _is_of_round(record: Row) -> bool:
    return record["kind"] in (_TRIGGER, _CFP, _DECISION, _VOID)


def _iids(record: Row) -> tuple[bytes, ...]:
    message = decode(decode_envelope(bytes(record["body"])).body)
    if isinstance(message, Void):
        return tuple(message.iids)
    return (bytes(getattr(message, "iid", b"")),)


async def _rounds(reading: Reading, run: str, ids: set[bytes]) -> dict[bytes, Row]:
    query = "SELECT " + ROUNDS.columns + " FROM " + ROUNDS.table + _KEY + " AND round = ANY(%s)"
    found = await reading.rows(query, (reading.tenant, run, list(ids))) if ids else []
    return {bytes(row["round"]): row for row in found}


async def _orders(reading: Reading, run: str, ids: set[bytes]) -> dict[bytes, Row]:
    query = "SELECT " + ORDERS.columns + " FROM " + ORDERS.table + _KEY + " AND iid = ANY(%s)"
    found = await reading.rows(query, (reading.tenant, run, list(ids))) if ids else []
    return {bytes(row["iid"]): row for row in found}


async def _fills(reading: Reading, run: str, seqs: list[int]) -> dict[int, Row]:
    # The venue may tell a fill twice; only the record that made the row is an event.
    query = "SELECT " + FILLS.columns + " FROM " + FILLS.table + _KEY + " AND seq = ANY(%s)"
    found = await reading.rows(query, (reading.tenant, run, seqs)) if seqs else []
    return {row["seq"]: row for row in found}
