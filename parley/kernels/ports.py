"""How a kernel reaches the outside: a call back to its driver, and memory by address.

In plain Python these functions run as they stand. The compiler of `backtest` replaces each by machine code of
the same meaning: `call` calls a Python function by its address, the others load and store without a copy.

Not here: what lies at the addresses (`records`), who keeps it alive (the driver).

Invariant: nothing else in this package knows addresses; every index is in range because the driver made the
tables large enough before it called.
"""

import ctypes

import numpy as np

from parley.kernels.records import ORDER, PAIR, TICK, TIER, TRADE

FAILED = 0
"""The place of a port where compiled code notes that a function raised; from then on it calls none."""


def call(port: int, code: int) -> int:
    """Ask the driver: call the function whose address its port has at this place, without arguments.

    Numbers and answer lie in the desk's box. Not 0: it raised, and the run must stop.
    """
    ctypes.cast(load_int(port, code), ctypes.py_object).value()
    return 0


def load_float(address: int, index: int) -> float:
    return ctypes.c_double.from_address(int(address) + 8 * int(index)).value


def fetch(address: int, index: int) -> None:
    """Say that this float is read soon: a hint to the processor, nothing else."""


def store_float(address: int, index: int, value: float) -> None:
    ctypes.c_double.from_address(int(address) + 8 * int(index)).value = float(value)


def load_int(address: int, index: int) -> int:
    return ctypes.c_int64.from_address(int(address) + 8 * int(index)).value


def store_int(address: int, index: int, value: int) -> None:
    ctypes.c_int64.from_address(int(address) + 8 * int(index)).value = int(value)


def load_byte(address: int, index: int) -> int:
    return ctypes.c_uint8.from_address(int(address) + int(index)).value


def store_byte(address: int, index: int, value: int) -> None:
    ctypes.c_uint8.from_address(int(address) + int(index)).value = int(value)


def _record(address: int, index: int, dtype: np.dtype[np.void]) -> np.void:
    place = int(address) + dtype.itemsize * int(index)
    memory = np.ctypeslib.as_array((ctypes.c_uint8 * dtype.itemsize).from_address(place))
    record: np.void = memory.view(dtype)[0]
    return record


def pair_at(address: int, index: int) -> np.void:
    return _record(address, index, PAIR)


def trade_at(address: int, index: int) -> np.void:
    return _record(address, index, TRADE)


def order_at(address: int, index: int) -> np.void:
    return _record(address, index, ORDER)


def tick_at(address: int, index: int) -> np.void:
    return _record(address, index, TICK)


def tier_at(address: int, index: int) -> np.void:
    return _record(address, index, TIER)
