"""Signal columns as bits, and whether candles follow each other without a gap: one pass over each column.

Invariant: a bit says what freqtrade's comparison or truth test of that value says; NaN is no signal.
"""

import numpy as np

from parley.kernels.codes import (
    ENTER_LONG,
    ENTER_LONG_SET,
    ENTER_SHORT,
    ENTER_SHORT_SET,
    EXIT_LONG,
    EXIT_LONG_SET,
    EXIT_SHORT,
    EXIT_SHORT_SET,
)
from parley.kernels.ports import load_byte, load_float, load_int, pair_at, store_byte

MISSING = 0
FLOATS = 1
WHOLE = 2
BYTES = 3


def read_columns(desk: np.void) -> int:
    """Fill the signal bits of every pair and note which pairs have no gap; returns 0."""
    for at in range(desk["pair_count"]):
        pair = pair_at(desk["pairs"], at)
        rows = pair["rows"]
        _add(pair["signals"], pair["enter_long"], pair["enter_long_kind"], rows, ENTER_LONG, ENTER_LONG_SET)
        _add(pair["signals"], pair["exit_long"], pair["exit_long_kind"], rows, EXIT_LONG, EXIT_LONG_SET)
        _add(
            pair["signals"], pair["enter_short"], pair["enter_short_kind"], rows, ENTER_SHORT, ENTER_SHORT_SET
        )
        _add(pair["signals"], pair["exit_short"], pair["exit_short_kind"], rows, EXIT_SHORT, EXIT_SHORT_SET)
        gaps = 0
        dates = pair["dates"]
        unit = desk["timeframe_ms"]
        for row in range(1, rows):
            if load_int(dates, row) - load_int(dates, row - 1) != unit:
                gaps += 1
        pair["gaps"] = gaps
    return 0


def _add(bits: int, column: int, kind: int, rows: int, is_one: int, is_set: int) -> None:
    if kind == FLOATS:
        for row in range(rows):
            value = load_float(column, row)
            if value == 1.0:
                store_byte(bits, row, load_byte(bits, row) | is_one | is_set)
            elif value != 0.0 and value == value:
                store_byte(bits, row, load_byte(bits, row) | is_set)
    elif kind == WHOLE:
        for row in range(rows):
            whole = load_int(column, row)
            if whole == 1:
                store_byte(bits, row, load_byte(bits, row) | is_one | is_set)
            elif whole != 0:
                store_byte(bits, row, load_byte(bits, row) | is_set)
    elif kind == BYTES:
        for row in range(rows):
            byte = load_byte(column, row)
            if byte == 1:
                store_byte(bits, row, load_byte(bits, row) | is_one | is_set)
            elif byte != 0:
                store_byte(bits, row, load_byte(bits, row) | is_set)
