"""How a venue numbers the messages of a book, as data, and what a number says about the next message.

Problem: a missed message makes a book wrong without any sign of it. Venues number their messages so that a
gap shows, each in its own way: Binance spot counts every change, its futures name the message before, others
count messages or only send a checksum. One function judges them all by a row of the table.

Not here: what happens then (`book`), reading a venue's frames (`venues`).

Invariant: FITS is only said where the numbers prove that nothing is missing; doubt is a GAP.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, Literal

import msgspec


class Verdict(Enum):
    """What a message is to a book: known already, the next one, or not provably the next one."""

    OLD = "old"
    FITS = "fits"
    GAP = "gap"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's numbering.

    ``link`` is how a message follows: ``number`` (its first id is at most one above the last), ``previous``
    (it names the last id), ``checksum`` (no ids: every message carries a checksum of the book instead).
    ``snapshot`` says whether the snapshot is asked for on the side, so that messages before it are held, or
    comes in the stream, right before its messages.
    """

    link: Literal["number", "previous", "checksum"]
    snapshot: Literal["asked", "in_stream"]


# Binance's own procedure for spot: drop u <= lastUpdateId; a message with U > last + 1 shows a gap.
_BINANCE_SPOT: Final = Rule(link="number", snapshot="asked")
# For its futures: drop u < lastUpdateId, begin with U <= lastUpdateId <= u (or pu <= lastUpdateId, which
# proves the same), then pu is the last u.
_BINANCE_FUTURES: Final = Rule(link="previous", snapshot="asked")

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "binance": _BINANCE_SPOT,
        "binanceus": _BINANCE_SPOT,
        "binanceusdm": _BINANCE_FUTURES,
        "binancecoinm": _BINANCE_FUTURES,
        "kucoin": Rule(link="number", snapshot="asked"),
        "bybit": Rule(link="number", snapshot="in_stream"),
        "okx": Rule(link="previous", snapshot="in_stream"),
        "kraken": Rule(link="checksum", snapshot="in_stream"),
    }
)
"""Rules by ccxt's names of venues."""


def judge(
    rule: Rule, last_id: int, is_joined: bool, first_id: int, final_id: int, prev_id: int | None
) -> Verdict:
    """Say what a message is to a book at `last_id`; not yet joined means that this is the snapshot's id.

    A message tells the final sizes of all levels that changed in it, so one that begins before the last id
    and ends behind it is complete, too.
    """
    if rule.link == "checksum":
        return Verdict.FITS
    if first_id > final_id:
        return Verdict.GAP
    if rule.link == "number":
        if final_id <= last_id:
            return Verdict.OLD
        return Verdict.FITS if first_id <= last_id + 1 else Verdict.GAP
    if is_joined:
        if final_id <= last_id:
            return Verdict.OLD
        return Verdict.FITS if prev_id == last_id else Verdict.GAP
    if final_id < last_id:
        return Verdict.OLD
    # Futures' symbols share their ids, so a snapshot's may lie between two messages: the one behind it holds
    # all changes since the one that it names.
    is_around = first_id <= last_id or (prev_id is not None and prev_id <= last_id)
    return Verdict.FITS if is_around else Verdict.GAP
