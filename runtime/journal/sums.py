"""Block hashes of a sealed journal, in a `.sum` file beside it.

The chain covers rows; the block hashes also cover what SQLite keeps around them (free
space, page headers, indexes) and tell which 64 kB of the file are damaged. Text, one line
each: header with block size, file size and chain head; the hash of every block; the hash
of all lines before. Only for sealed files: reading a live file here would drop the
writer's POSIX locks.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.journal.chain import Fault
from runtime.journal.schema import HASH_SIZE, JournalError

BLOCK_SIZE: Final = 65536
_HEADER = re.compile(rb"parley-journal-sum 1 block=65536 size=(\d{1,18}) head=([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class SumCheck:
    """Result of comparing a file with its sums; `head` is None when the header is damaged."""

    faults: tuple[Fault, ...]
    head: str | None


def sum_path(path: Path) -> Path:
    """Return the path of the sum file of a journal."""
    return path.with_name(path.name + ".sum")


def sync_directory(directory: Path) -> None:
    """Make renames and removals in a directory durable."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_sums(path: Path, head: bytes, *, durable: bool = True) -> None:
    """Hash a sealed journal and write its sum file; file, sums and directory are synced.

    The journal stays open until the sums have their name: closing it drops the locks this process has on it.

    Raises
    ------
    JournalError
        The file or its sums cannot be written or synced.
    """
    target = sum_path(path)
    partial = target.with_name(target.name + ".new")
    try:
        with path.open("rb") as data:
            hashes = _block_hashes(data.fileno())
            size = os.fstat(data.fileno()).st_size
            if durable:
                os.fsync(data.fileno())
            header = f"parley-journal-sum 1 block={BLOCK_SIZE} size={size} head={head.hex()}".encode()
            lines = [header, *hashes]
            text = b"".join(line + b"\n" for line in lines)
            with partial.open("wb") as sums:
                sums.write(text + _digest(text) + b"\n")
                sums.flush()
                if durable:
                    os.fsync(sums.fileno())
            partial.replace(target)
            if durable:
                sync_directory(path.parent)
    except OSError as error:
        raise JournalError(f"sums of {str(path)!r} could not be written: {error}") from error


def check_sums(path: Path) -> SumCheck:
    """Compare a sealed journal with its sum file; damage in either is located by line or block."""
    target = sum_path(path)
    try:
        text = target.read_bytes()
        with path.open("rb") as data:
            found = _block_hashes(data.fileno())
            size = os.fstat(data.fileno()).st_size
    except OSError as error:
        return SumCheck(
            (Fault(".sum", f"expected a readable file beside the sealed journal: {error}"),), None
        )
    faults: list[Fault] = []
    lines = text.split(b"\n")
    body, own = b"".join(line + b"\n" for line in lines[:-2]), lines[-2] if len(lines) > 1 else b""
    intact = lines[-1] == b"" and own == _digest(body)
    header = _HEADER.fullmatch(lines[0])
    if header is None:
        faults.append(Fault(".sum line 1", f"expected a header of version 1, was {lines[0][:120]!r}"))
    elif int(header[1]) != size:
        faults.append(Fault("file size", f"expected {int(header[1])} bytes, was {size}"))
    expected = lines[1:-2]
    for index in range(max(len(expected), len(found))):
        line = expected[index] if index < len(expected) else b""
        if index >= len(found) or line != found[index]:
            faults.append(_block_fault(index, line, found[index] if index < len(found) else None, intact))
    if not intact:
        damaged = any(fault.where.startswith(".sum") for fault in faults)
        where = ".sum" if damaged else f".sum line {max(len(lines) - 1, 1)}"
        faults.append(Fault(where, f"its own hash expected {_digest(body).decode()}, was {own[:80]!r}"))
    return SumCheck(tuple(faults), header[2].decode() if header else None)


def _block_fault(index: int, line: bytes, found: bytes | None, intact: bool) -> Fault:
    start = index * BLOCK_SIZE
    place = f"block {index} (offset {start}..{start + BLOCK_SIZE - 1})"
    if found is None:
        return Fault(place, "expected by the sums, the file ends before it")
    if intact:
        return Fault(
            place, f"expected {line.decode('ascii', 'replace') or 'no such block'}, was {found.decode()}"
        )
    return Fault(
        f".sum line {index + 2} or {place}", f"the line says {line[:80]!r}, the block has {found.decode()}"
    )


def _block_hashes(handle: int) -> list[bytes]:
    hashes = []
    offset = 0
    while block := os.pread(handle, BLOCK_SIZE, offset):
        hashes.append(_digest(block))
        offset += len(block)
    return hashes


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=HASH_SIZE).hexdigest().encode()
