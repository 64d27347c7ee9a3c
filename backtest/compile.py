"""Compiles the kernels of `parley.kernels` with numba, if they are not on disk already (`kernel_cache`).

The kernels are plain functions that call each other by name. Here each becomes a function of numba's whose
names lead to the others; the few that touch memory (`parley.kernels.ports`) are replaced by machine code.
Numba would optimise and assemble every one of them with all it calls inside, again and again on the way up:
here they are only translated, and the entry point that holds them all is optimised and assembled once.

Not here: semantics.
"""

import types
from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import llvmlite  # type: ignore[import-untyped]
import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils
from numba.core import types as nb
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.extending import intrinsic

import parley.kernels
from backtest import order_lists, python_objects
from backtest.kernel_cache import Kernel, MachineCode, digest_of, load_kernel, store_kernel
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
    touch,
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
    touch,
    values,
    wallet,
)
_PLAIN_PYTHON = ("exact", "settings", "ports", "codes", "records")
_WORD = ir.IntType(64)
_SIGNATURE = nb.int64(nb.int64)
# Kernels allocate nothing: without numba's counting of references their code needs nothing of numba's to run.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
_njit: Any = numba.njit
# No function is ever called from Python through numba.
_BARE = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_numbers = count()


def _pointer(builder: Any, address: Any, index: Any, kind: Any) -> Any:
    return builder.gep(builder.inttoptr(address, kind.as_pointer()), [index])


@intrinsic
def _load_float(typing: Any, address: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(builder, args[0], args[1], ir.DoubleType()))

    return nb.float64(nb.int64, nb.int64), generate


@intrinsic
def _fetch(typing: Any, address: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        place = builder.bitcast(_pointer(builder, args[0], args[1], ir.DoubleType()), byte)
        # To read, keep in every cache, data.
        builder.call(hint, [place, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return nb.none(nb.int64, nb.int64), generate


@intrinsic
def _store_float(typing: Any, address: Any, index: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(builder, args[0], args[1], ir.DoubleType()))
        return context.get_dummy_value()

    return nb.none(nb.int64, nb.int64, nb.float64), generate


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
    ports.load_float: _load_float,
    ports.fetch: _fetch,
    ports.store_float: _store_float,
    ports.load_int: _load_int,
    ports.store_int: _store_int,
    ports.load_byte: _load_byte,
    ports.store_byte: _store_byte,
    ports.pair_at: _record_at(PAIR),
    ports.trade_at: _record_at(TRADE),
    ports.order_at: _record_at(ORDER),
    ports.tick_at: _record_at(TICK),
    ports.tier_at: _record_at(TIER),
    **python_objects.PORTS,
}


def _sources() -> list[Path]:
    folder = Path(parley.kernels.__file__).parent
    ours = [Path(__file__), Path(order_lists.__file__), Path(python_objects.__file__)]
    return [*sorted(folder.glob("*.py")), *ours]


class _Silent:
    """Where a function's surroundings would be registered for Python: nobody calls a piece from there."""

    def set_env(self, name: str, environment: object) -> None:
        pass


class _Piece(JITCodeLibrary):  # type: ignore[misc]
    """The code of one function, neither optimised nor assembled: it is only ever a part of an entry point."""

    @property
    def codegen(self) -> _Silent:
        return _Silent()

    def add_llvm_module(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout
        self._final_module.link_in(ll_module)

    def finalize(self) -> None:
        self._raise_if_finalized()
        for library in self._linking_libraries:
            self._reload_init.update(library._reload_init)
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0

    def _get_module_for_linking(self) -> Any:
        self._ensure_finalized()
        whole = self._final_module.clone()
        seen, waiting = {self}, list(self._linking_libraries)
        while waiting:
            library = waiting.pop()
            if library in seen:
                continue
            seen.add(library)
            if isinstance(library, _Piece):
                whole.link_in(library._final_module, preserve=True)
                waiting += library._linking_libraries
            else:
                whole.link_in(library._get_module_for_linking(), preserve=True)
        for function in whole.functions:
            if not function.is_declaration and function.linkage.name == "external":
                function.linkage = "linkonce_odr"
        return whole


class _PieceCompiler(Compiler):  # type: ignore[misc]
    """Numba's way from a function to code, with the code left as a piece."""

    def __init__(self, typing: Any, target: Any, library: Any, *rest: Any) -> None:
        piece = _Piece(target.codegen(), f"piece {next(_numbers)}")
        super().__init__(typing, target, piece, *rest)


def _kernels() -> dict[Any, Any]:
    """Every kernel function to its compiled form."""
    found: list[types.FunctionType] = []
    for module in (*_COMPILED, order_lists):
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
        compiled[function] = _njit(**_OPTIONS, **_BARE, pipeline_class=_PieceCompiler)(twin)
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
def entry_point(function: Callable[[Any], int]) -> Kernel:
    """Return the compiled kernel, called with the desk's address."""
    name = f"{_digest()}-{function.__name__}"
    return load_kernel(name) or _compiled(function, name)


@cache
def _digest() -> str:
    return digest_of(_sources(), (numba.__version__, llvmlite.__version__, np.__version__))


def _compiled(function: Callable[[Any], int], name: str) -> Kernel:
    names = {**globals(), "_kernel": _kernels()[function]}
    run = types.FunctionType(_entry.__code__, names, "_entry")
    run.__module__ = __name__
    made = _njit(_SIGNATURE, **_OPTIONS, **_BARE)(run)
    library = (result := made.overloads[_SIGNATURE.args]).library
    needed = [each.name for each in library._final_module.functions if each.is_declaration]
    code = MachineCode(
        symbol=result.fndesc.llvm_func_name,
        needed=tuple(name for name in needed if not name.startswith("llvm.")),
        content=library._get_compiled_object(),
    )
    kernel = store_kernel(name, code)
    if kernel is None:
        raise RuntimeError(f"the kernel {function.__name__} needs one of {code.needed}, which is not there")
    return kernel
