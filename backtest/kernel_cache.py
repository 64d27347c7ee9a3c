"""Compiled kernels on disk: one file of machine code each, loaded without the compiler.

Problem: numba's own cache wakes its whole typing machinery to load a function, half a second and twenty
megabytes, and never deletes anything. Here a kernel is an object file, named after a digest of everything it
was made of, and a new one takes the place of the oldest.

Not here: compiling (`compile`). Invariant: a file is there whole or not at all, and what it holds is checked
before it is run; a file that is missing, broken or deleted by another process means to compile again, never
an error. Whoever can write this folder can run code here: it is the user's own and nobody else's.
"""

import ctypes
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import llvmlite.binding as llvm  # type: ignore[import-untyped]
from numba import _helperlib

Kernel = Callable[[int], int]
"""A compiled kernel, called with an address; holds the interpreter's lock."""

KEPT: Final = 18
"""Files that stay: three kernels for each of the last few versions, checkouts and machines of a home."""
_STALE_S: Final = 3600.0
_SEAL: Final = hashlib.sha256().digest_size
# Numba's way of calling: where the result goes, where an exception goes, the argument; 0 if all went well.
_SIGNATURE: Final = ctypes.PYFUNCTYPE(
    ctypes.c_int32, ctypes.POINTER(ctypes.c_int64), ctypes.POINTER(ctypes.c_void_p), ctypes.c_int64
)
_HELPERS: Final[dict[str, int]] = _helperlib.c_helpers  # type: ignore[attr-defined]
"""What numba has of its own for Python's arithmetic, by name."""
_PROCESS: Final = ctypes.CDLL(None)


class MachineCode(NamedTuple):
    """An object file, the name of its kernel, and the names of what it calls outside of it."""

    symbol: str
    needed: tuple[str, ...]
    content: bytes


def cache_folder() -> Path:
    """Return the folder of compiled kernels."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")  # noqa: TID251 - a cache, no setting
    return home / "parley" / "kernels"


def digest_of(sources: Iterable[Path], versions: Iterable[str]) -> str:
    """Name what a kernel is made of: sources, versions of what compiles them, this machine's processor."""
    processor = (llvm.get_default_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    digest = hashlib.sha256(" ".join((*versions, *processor)).encode())
    for path in sources:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def load_kernel(name: str) -> Kernel | None:
    """Return the kernel of this name, or None if it must be compiled."""
    path = cache_folder() / f"{name}.o"
    try:
        content = path.read_bytes()
        os.utime(path)  # the oldest is the one nobody used for longest
    except OSError:
        return None
    sealed, code = content[:_SEAL], content[_SEAL:]
    if hashlib.sha256(code).digest() != sealed:
        return None
    symbols, _, machine_code = code.partition(b"\0")
    symbol, *needed = symbols.decode().split("\n")
    return _loaded(MachineCode(symbol, tuple(needed), machine_code))


def store_kernel(name: str, made: MachineCode) -> Kernel | None:
    """Write a kernel where there is room for it, and return it ready to be called."""
    code = "\n".join((made.symbol, *made.needed)).encode() + b"\0" + made.content
    folder = cache_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=folder, suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        Path(part).replace(folder / f"{name}.o")
        prune(folder)
    except OSError:
        # A home that cannot be written, or a full disk: the kernel runs, the next process compiles again.
        pass
    return _loaded(made)


def prune(folder: Path) -> None:
    """Delete all but the newest kernels, what numba left here before, and parts of writes that were cut off.

    Another process may delete the same files at the same time, and may need one that goes: it compiles it.
    """
    files, now = [], time.time()  # noqa: TID251 - the age of files
    for path in folder.iterdir():
        try:
            written = path.stat().st_mtime
        except FileNotFoundError:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.suffix == ".o":
            files.append((written, path))
        elif now - written > _STALE_S:
            path.unlink(missing_ok=True)
    for _, path in sorted(files, reverse=True)[KEPT:]:
        path.unlink(missing_ok=True)


def _loaded(made: MachineCode) -> Kernel | None:
    # LLVM ends the process over a name it does not know.
    if not all(_is_known(name) for name in made.needed):
        return None
    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(made.content))
    engine.finalize_object()
    native = _SIGNATURE(engine.get_function_address(made.symbol))

    def kernel(address: int) -> int:
        status, thrown = ctypes.c_int64(), ctypes.c_void_p()
        if native(ctypes.byref(status), ctypes.byref(thrown), address):
            raise RuntimeError("a compiled kernel raised an exception, which none may")
        return status.value

    return kernel


def _is_known(name: str) -> bool:
    if llvm.address_of_symbol(name) is not None:
        return True
    address = _HELPERS.get(name.removeprefix("numba_"))
    if address is None:
        try:
            address = ctypes.cast(getattr(_PROCESS, name), ctypes.c_void_p).value
        except AttributeError:
            return False
    llvm.add_symbol(name, address)
    return True


@cache
def _engine() -> Any:
    # Lives as long as the process: the machine code is in it.
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
