"""Python's own objects, made by compiled code: its C functions, by address of the objects.

In plain Python these functions run as they stand; `compile` puts a call of the C function of the same meaning
in their place. An object is its address; one that is made here belongs to whoever made it.

Invariant: whoever calls these holds the interpreter's lock. A failure is address 0 or a number other than 0,
with the exception set: the caller stops at once and the exception shows when it returns to Python.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numba.core.types as nb
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils
from numba.extending import intrinsic

from parley.kernels import ports

_WORD, _INT, _FLOAT = ctypes.c_int64, ctypes.c_int, ctypes.c_double
_LOW = {_WORD: ir.IntType(64), _INT: ir.IntType(32), _FLOAT: ir.DoubleType()}
_HIGH = {_WORD: nb.int64, _INT: nb.int64, _FLOAT: nb.float64}
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "PyDict_Copy": (_WORD, _WORD),
    "PyDict_SetItem": (_INT, _WORD, _WORD, _WORD),
    "PyFloat_FromDouble": (_WORD, _FLOAT),
    "PyLong_FromLongLong": (_WORD, _WORD),
    "PyList_New": (_WORD, _WORD),
    "PyList_SetItem": (_INT, _WORD, _WORD, _WORD),
}
_python = {
    name: ctypes.PYFUNCTYPE(*signature)((name, ctypes.pythonapi)) for name, signature in _SIGNATURES.items()
}
_release = ctypes.PYFUNCTYPE(None, _WORD)(("Py_DecRef", ctypes.pythonapi))


def copy_dict(original: int) -> int:
    """A new dictionary with the same entries."""
    return int(_python["PyDict_Copy"](original))


def set_value(dictionary: int, key: int, value: int) -> int:
    """Set an entry; both keep their own hold of key and value."""
    return int(_python["PyDict_SetItem"](dictionary, key, value))


def new_float(value: float) -> int:
    """A new float."""
    return int(_python["PyFloat_FromDouble"](value))


def new_int(value: int) -> int:
    """A new integer."""
    return int(_python["PyLong_FromLongLong"](value))


def new_list(length: int) -> int:
    """A new list whose places must all be filled."""
    return int(_python["PyList_New"](length))


def fill_place(items: int, place: int, value: int) -> int:
    """Put an object into a list, which takes it over."""
    return int(_python["PyList_SetItem"](items, place, value))


def release(value: int) -> None:
    """Let go of an object."""
    _release(value)


def _compiled(name: str) -> Any:
    result, *arguments = _SIGNATURES.get(name, (None, _WORD))
    signature = (nb.none if result is None else _HIGH[result])(*(_HIGH[each] for each in arguments))

    def generate(context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        low = ir.VoidType() if result is None else _LOW[result]
        kind = ir.FunctionType(low, [_LOW[each] for each in arguments])
        answer = builder.call(cgutils.get_or_insert_function(builder.module, kind, name), given)
        if result is None:
            return context.get_dummy_value()
        return builder.sext(answer, _LOW[_WORD]) if result is _INT else answer

    # One shape per number of arguments: numba reads it off the function.
    shapes: dict[int, Callable[..., Any]] = {
        1: lambda typing, a: (signature, generate),
        3: lambda typing, a, b, c: (signature, generate),
    }
    return intrinsic(shapes[len(arguments)])


@intrinsic
def _call(typing: Any, port: Any, code: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        word = _LOW[_WORD]

        def of_python(name: str, result: Any) -> Any:
            return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, [word]), name)

        places = builder.inttoptr(given[0], word.as_pointer())
        failed = builder.gep(places, [word(ports.FAILED)])
        with builder.if_then(builder.icmp_signed("==", builder.load(failed), word(0))):
            function = builder.load(builder.gep(places, [given[1]]))
            answer = builder.call(of_python("PyObject_CallNoArgs", word), [function])
            builder.store(builder.zext(builder.icmp_signed("==", answer, word(0)), word), failed)
            # Does nothing with address 0.
            builder.call(of_python("Py_DecRef", ir.VoidType()), [answer])
        return builder.load(failed)

    return nb.int64(nb.int64, nb.int64), generate


PORTS: dict[Any, Any] = {
    ports.call: _call,
    copy_dict: _compiled("PyDict_Copy"),
    set_value: _compiled("PyDict_SetItem"),
    new_float: _compiled("PyFloat_FromDouble"),
    new_int: _compiled("PyLong_FromLongLong"),
    new_list: _compiled("PyList_New"),
    fill_place: _compiled("PyList_SetItem"),
    release: _compiled("Py_DecRef"),
}
