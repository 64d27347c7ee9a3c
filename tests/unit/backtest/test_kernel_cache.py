"""Compiled kernels on disk: what is broken or gone is compiled again, and only the newest stay."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import llvmlite.binding as llvm
import pytest

from backtest import kernel_cache
from backtest.kernel_cache import KEPT, MachineCode, digest_of, load_kernel, prune, store_kernel

# A kernel as numba would call it: twice the argument as result, no exception.
TWICE = """
define i32 @twice(ptr %result, ptr %thrown, i64 %argument) {
    %double = add i64 %argument, %argument
    store i64 %double, ptr %result
    ret i32 0
}
define i32 @throws(ptr %result, ptr %thrown, i64 %argument) {
    ret i32 1
}
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def made(symbol: str = "twice", *needed: str) -> MachineCode:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # A name of its own for each: all of a process lie in one engine.
    text = TWICE if symbol == "throws" else TWICE.replace("@twice", f"@{symbol}")
    machine = llvm.Target.from_default_triple().create_target_machine()
    return MachineCode(symbol, needed, machine.emit_object(llvm.parse_assembly(text)))


def test_what_is_stored_is_loaded_and_runs() -> None:
    stored = store_kernel("a", made("twice_a"))
    loaded = load_kernel("a")

    assert stored is not None
    assert loaded is not None
    assert (stored(21), loaded(4)) == (42, 8)
    assert load_kernel("b") is None


def test_a_broken_file_is_compiled_again() -> None:
    store_kernel("a", made("twice_b"))
    path = kernel_cache.cache_folder() / "a.o"
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)

    assert load_kernel("a") is None


def test_what_is_not_there_to_be_called_means_to_compile() -> None:
    # LLVM would end the process over it.
    assert store_kernel("a", made("twice_c", "no_such_function_anywhere")) is None
    assert load_kernel("a") is None
    assert store_kernel("b", made("twice_d", "numba_frexp", "strlen")) is not None


def test_an_exception_of_a_kernel_is_one() -> None:
    kernel = store_kernel("a", made("throws"))

    assert kernel is not None
    with pytest.raises(RuntimeError, match="raised an exception"):
        kernel(1)


def test_the_newest_stay_and_the_rest_goes(tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        file = tmp_path / f"{number}.o"
        file.write_bytes(b"")
        os.utime(file, (number, number))
    (tmp_path / "of_numba" / "deep").mkdir(parents=True)
    (tmp_path / "of_numba" / "deep" / "index.nbi").write_bytes(b"")
    (tmp_path / "old.part").write_bytes(b"")
    os.utime(tmp_path / "old.part", (1, 1))
    (tmp_path / "new.part").write_bytes(b"")

    prune(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {
        "new.part", *(f"{number}.o" for number in range(3, KEPT + 3)),
    }  # fmt: skip


def test_using_a_kernel_keeps_it(tmp_path: Path) -> None:
    store_kernel("a", made("twice_e"))
    path = kernel_cache.cache_folder() / "a.o"
    os.utime(path, (1, 1))

    load_kernel("a")

    assert path.stat().st_mtime > 1


def test_a_home_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    kernel = store_kernel("a", made("twice_f"))

    assert kernel is not None
    assert kernel(1) == 2
    assert load_kernel("a") is None


def test_another_source_or_version_is_another_kernel(tmp_path: Path) -> None:
    source = tmp_path / "kernel.py"
    source.write_text("one")
    first = digest_of([source], ["1"])

    assert digest_of([source], ["1"]) == first
    assert digest_of([source], ["2"]) != first
    source.write_text("two")
    assert digest_of([source], ["1"]) != first


def test_the_interpreter_keeps_its_lock_while_a_kernel_runs() -> None:
    # Callbacks take it again; giving it up in between would let other threads see a half-done simulation.
    assert issubclass(kernel_cache._SIGNATURE, ctypes._CFuncPtr)
    assert kernel_cache._SIGNATURE._flags_ & 0x4  # FUNCFLAG_PYTHONAPI
