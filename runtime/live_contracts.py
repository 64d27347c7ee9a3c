"""What a running desk's screen says of contracts: their marks, and what the next funding payment will be.

Not here: what was paid (it is in the equity). Invariant: a rate or a time that nobody told is shown as
unknown, never as nothing to pay; so is a payment that is due already.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from parley.instruments import Instrument
from parley.messages import Mark, MarketBatch, Position, decode, decode_envelope
from parley.money import decimal
from runtime.output import money, price, when

_UNKNOWN = "unknown"


class ContractMarks:
    """The newest mark of each contract among ``instruments``."""

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._instruments = {name: each for name, each in sorted(instruments.items()) if each.is_contract}
        self._marks: dict[str, Mark] = {}

    def __bool__(self) -> bool:
        return bool(self._instruments)

    def take(self, records: Iterable[bytes]) -> None:
        """Read the marks in records of batches, oldest first."""
        for record in records:
            try:
                batch = decode(decode_envelope(record).body)
            except msgspec.MsgspecError:
                continue
            if isinstance(batch, MarketBatch):
                self._marks.update({mark.symbol: mark for mark in batch.marks})

    def rows(self, positions: Sequence[Position], now: int) -> list[tuple[str, str, str, str, str]]:
        """Say at a market time of each contract (symbol, mark, rate, when it is paid next, what we pay)."""
        held = {each.symbol: each.qty for each in positions}
        return [self._row(symbol, held.get(symbol, Decimal(0)), now) for symbol in self._instruments]

    def _row(self, symbol: str, qty: Decimal, now: int) -> tuple[str, str, str, str, str]:
        mark, instrument = self._marks.get(symbol), self._instruments[symbol]
        if mark is None:
            return symbol, _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN if qty else ""
        rate = _UNKNOWN if mark.rate is None else f"{mark.rate:+.4%}"
        due = when(mark.next_funding)[:16] if mark.next_funding > now else _UNKNOWN
        pays = ""
        if qty:
            pays = _UNKNOWN if _UNKNOWN in (rate, due) else _payment(qty, mark, instrument.quote)
        return symbol, price(decimal(mark.px), instrument), rate, due, pays


def _payment(qty: Decimal, mark: Mark, quote: str) -> str:
    paid = qty * decimal(mark.px) * decimal(mark.rate or 0.0)
    return f"{'pays' if paid >= 0 else 'gets'} {money(abs(paid))} {quote}"
