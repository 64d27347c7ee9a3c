"""Every module of kernels is compiled or named as plain Python: a forgotten one would not be linked."""

import pkgutil

import parley.kernels
from backtest.compile import _COMPILED, _PLAIN_PYTHON


def test_every_kernel_module_is_compiled_or_said_to_be_plain() -> None:
    there = {info.name for info in pkgutil.iter_modules(parley.kernels.__path__)}
    compiled = {module.__name__.rpartition(".")[2] for module in _COMPILED}

    assert compiled | set(_PLAIN_PYTHON) == there
    assert not compiled & set(_PLAIN_PYTHON)
