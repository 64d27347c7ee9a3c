"""Venues' frames of order books, read into messages of `parley.books`.

Problem: each venue writes levels, ids and snapshots in its own way; a book wants whole numbers in one form,
and a price it would have to round must not get through.

Not here: sockets, which numbering a venue has (`parley.books.RULES`), asking for snapshots.

Invariant: a frame is read whole or refused as a `ProtocolError`; the feed then drops its book
(`Stale.BAD_FRAME`) and asks for a snapshot. A frame of another stream gives None.
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

import msgspec

from parley.books import ASK, BID, Diff, Grid, Level, Levels, Snapshot, scaled
from parley.errors import ProtocolError
from venues.level_texts import Columns, ReadLevels, read_plain

_KRAKEN_CHECKED: Final = 10
_NOTHING: Final = msgspec.Raw()


class BestPrices(NamedTuple):
    """A venue's own statement of the best levels after an update id."""

    update_id: int
    bid: Level
    ask: Level


class _BinancePayload(msgspec.Struct):
    e: str = ""
    E: int = 0
    U: int | None = None
    u: int | None = None
    pu: int | None = None
    # Lists of levels in a depth message, the best price in a book ticker.
    b: msgspec.Raw = _NOTHING
    a: msgspec.Raw = _NOTHING
    B: msgspec.Raw = _NOTHING
    A: msgspec.Raw = _NOTHING


class _BinanceFrame(_BinancePayload):
    data: _BinancePayload | None = None
    lastUpdateId: int | None = None
    bids: msgspec.Raw = _NOTHING
    asks: msgspec.Raw = _NOTHING


class _BybitBook(msgspec.Struct):
    u: int
    b: msgspec.Raw
    a: msgspec.Raw


class _BybitFrame(msgspec.Struct):
    topic: str = ""
    type: str = ""
    ts: int = 0
    data: msgspec.Raw = msgspec.Raw()


_read_binance = msgspec.json.Decoder(_BinanceFrame).decode
_read_bybit = msgspec.json.Decoder(_BybitFrame).decode
_read_bybit_book = msgspec.json.Decoder(_BybitBook).decode
_read_text = msgspec.json.Decoder(str).decode


def binance(
    frame: bytes | str, grid: Grid, read: ReadLevels = read_plain
) -> Diff | Snapshot | BestPrices | None:
    """Read a frame of Binance spot or futures, alone or of a combined stream, or a REST snapshot.

    Raises
    ------
    ProtocolError
        When it is not a frame of Binance, or a number does not lie on the grid.
    """
    try:
        found = _read_binance(frame)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"expected a frame of Binance, {error}: {_shown(frame)}") from None
    if found.lastUpdateId is not None:
        return Snapshot(found.lastUpdateId, found.E, *_levels(found.bids, found.asks, grid, read, frame))
    payload: _BinancePayload = found if found.data is None else found.data
    if payload.e == "depthUpdate":
        if payload.U is None or payload.u is None:
            raise ProtocolError(f"expected levels with U and u: {_shown(frame)}")
        levels = _levels(payload.b, payload.a, grid, read, frame)
        return Diff(payload.U, payload.u, payload.pu, payload.E, *levels)
    # Spot names no event in its book tickers.
    if payload.e not in ("", "bookTicker") or payload.u is None:
        return None
    return BestPrices(
        payload.u, _level(payload.b, payload.B, frame, grid), _level(payload.a, payload.A, frame, grid)
    )


def bybit(frame: bytes | str, grid: Grid, read: ReadLevels = read_plain) -> Diff | Snapshot | None:
    """Read a frame of Bybit v5; its snapshots come in the stream.

    Raises
    ------
    ProtocolError
        When it is not a frame of Bybit, or a number does not lie on the grid.
    """
    try:
        found = _read_bybit(frame)
        if not found.topic.startswith("orderbook."):
            return None
        book = _read_bybit_book(found.data)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"expected a frame of Bybit, {error}: {_shown(frame)}") from None
    levels = _levels(book.b, book.a, grid, read, frame)
    if found.type == "snapshot":
        return Snapshot(book.u, found.ts, *levels)
    if found.type != "delta":
        raise ProtocolError(f"expected a snapshot or delta of Bybit, was {found.type!r}")
    return Diff(book.u, book.u, None, found.ts, *levels)


def kraken_checksum(levels: Levels) -> int:
    """Return Kraken's checksum: CRC32 of the digits of the ten best asks, then of the ten best bids.

    Kraken writes numbers with all decimals of the pair and leaves out the point and leading zeros, which is
    how a book's whole numbers read if its grid has as many decimals.
    """
    best = (*levels.top(ASK, _KRAKEN_CHECKED), *levels.top(BID, _KRAKEN_CHECKED))
    return zlib.crc32("".join(f"{price}{size}" for price, size in best).encode())


def _levels(
    bids: msgspec.Raw, asks: msgspec.Raw, grid: Grid, read: ReadLevels, frame: bytes | str
) -> Columns:
    try:
        return read(bids, asks, grid)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"expected lists of levels, {error}: {_shown(frame)}") from None


def _level(price: msgspec.Raw, size: msgspec.Raw, frame: bytes | str, grid: Grid) -> Level:
    try:
        return scaled(_read_text(price), grid.price_decimals), scaled(_read_text(size), grid.size_decimals)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"expected a best price and size as texts, {error}: {_shown(frame)}") from None


def _shown(frame: bytes | str) -> str:
    return repr(frame[:120])
