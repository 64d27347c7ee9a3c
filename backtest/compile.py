"""Compiles the kernels of `parley.kernels` with numba, cached on disk.

The kernels are plain functions that call each other by name. Here each becomes a compiled function whose
names lead to the other compiled ones; the few that touch memory (`parley.kernels.ports`) are replaced by
machine code. Only the entry point is written to the cache: it carries the rest inside.

The cache folder is named after a digest of all kernel sources and of this file, because numba itself looks
only at the file of the entry point.

Not here: semantics.
"""

import ctypes
import hashlib
import os
import types
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types as nb
from numba.extending import intrinsic

import parley.kernels
from parley.kernels import (
    book,
    candle,
    doubles,
    entries,
    exits,
    funding,
    grid,
    liquidation,
    orders,
    ports,
    quiet,
    reading,
    simulate,
    steps,
    stops,
    values,
    wallet,
)
from parley.kernels.records import DESK, ORDER, PAIR, TICK, TIER, TRADE

_COMPILED = (
    book,
    candle,
    doubles,
    entries,
    exits,
    funding,
    grid,
    liquidation,
    orders,
    quiet,
    reading,
    simulate,
    steps,
    stops,
    values,
    wallet,
)
_PLAIN_PYTHON = ("exact", "settings", "ports", "codes", "records")
_WORD = ir.IntType(64)


def _pointer(builder: Any, address: Any, index: Any, kind: Any) -> Any:
    return builder.gep(builder.inttoptr(address, kind.as_pointer()), [index])


@intrinsic
def _call(typing: Any, port: Any, code: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_WORD, [_WORD])
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), [args[1]])

    return nb.int64(nb.int64, nb.int64), generate


@intrinsic
def _load_float(typing: Any, address: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(builder, args[0], args[1], ir.DoubleType()))

    return nb.float64(nb.int64, nb.int64), generate


@intrinsic
def _load_int(typing: Any, address: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(builder, args[0], args[1], _WORD))

    return nb.int64(nb.int64, nb.int64), generate


@intrinsic
def _store_int(typing: Any, address: Any, index: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(builder, args[0], args[1], _WORD))
        return context.get_dummy_value()

    return nb.none(nb.int64, nb.int64, nb.int64), generate


@intrinsic
def _load_byte(typing: Any, address: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte = builder.load(_pointer(builder, args[0], args[1], ir.IntType(8)))
        return builder.zext(byte, _WORD)

    return nb.int64(nb.int64, nb.int64), generate


@intrinsic
def _store_byte(typing: Any, address: Any, index: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte = builder.trunc(args[2], ir.IntType(8))
        builder.store(byte, _pointer(builder, args[0], args[1], ir.IntType(8)))
        return context.get_dummy_value()

    return nb.none(nb.int64, nb.int64, nb.int64), generate


def _record_at(dtype: np.dtype[np.void]) -> Any:
    record = numba.from_dtype(dtype)
    size = dtype.itemsize

    @intrinsic
    def at(typing: Any, address: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place = builder.add(args[0], builder.mul(args[1], ir.Constant(_WORD, size)))
            return builder.inttoptr(place, context.get_value_type(record))

        return record(nb.int64, nb.int64), generate

    return at


desk_at = _record_at(DESK)

_PORTS: dict[Any, Any] = {
    ports.call: _call,
    ports.load_float: _load_float,
    ports.load_int: _load_int,
    ports.store_int: _store_int,
    ports.load_byte: _load_byte,
    ports.store_byte: _store_byte,
    ports.pair_at: _record_at(PAIR),
    ports.trade_at: _record_at(TRADE),
    ports.order_at: _record_at(ORDER),
    ports.tick_at: _record_at(TICK),
    ports.tier_at: _record_at(TIER),
}


def _sources() -> list[Path]:
    folder = Path(parley.kernels.__file__).parent
    return [*sorted(folder.glob("*.py")), Path(__file__)]


def cache_folder() -> Path:
    """Where compiled kernels of exactly these sources lie."""
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__}".encode())
    for path in _sources():
        digest.update(path.read_bytes())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")  # noqa: TID251 - a cache, no setting
    return home / "parley" / "kernels" / digest.hexdigest()[:16]


def _kernels() -> dict[Any, Any]:
    """Every kernel function to its compiled form."""
    found: list[types.FunctionType] = []
    for module in _COMPILED:
        found += [
            thing
            for thing in vars(module).values()
            if isinstance(thing, types.FunctionType) and thing.__module__ == module.__name__
        ]
    compiled: dict[Any, Any] = dict(_PORTS)
    namespaces: dict[str, dict[str, Any]] = {}
    for function in found:
        names = namespaces.setdefault(function.__module__, dict(function.__globals__))
        twin = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__)
        twin.__module__ = function.__module__
        twin.__qualname__ = function.__qualname__
        compiled[function] = numba.njit(error_model="numpy")(twin)
    for names in namespaces.values():
        for name, thing in list(names.items()):
            if isinstance(thing, types.FunctionType) and thing in compiled:
                names[name] = compiled[thing]
    return compiled


def _kernel(desk: Any) -> int:
    raise NotImplementedError("stands for the compiled kernel")


def _entry(address: int) -> int:
    return _kernel(desk_at(address, 0))


@cache
def entry_point(function: Callable[[Any], int]) -> Callable[[int], int]:
    """The compiled kernel, called with the desk's address."""
    # One folder per entry point: numba's index knows them by this file's text alone.
    folder = cache_folder() / function.__name__
    options: Any = numba.config
    before = options.CACHE_DIR
    options.CACHE_DIR = str(folder)
    try:
        names = {**globals(), "_kernel": _kernels()[function]}
        run = types.FunctionType(_entry.__code__, names, "_entry")
        run.__module__ = __name__
        compiled = numba.njit(nb.int64(nb.int64), error_model="numpy", cache=True)(run)
    finally:
        options.CACHE_DIR = before
    return compiled  # type: ignore[no-any-return]


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
