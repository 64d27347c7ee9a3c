"""What a market store says about its files: rows, span and hash of each, and what a venue was asked for.

Not here: the files. Invariant: the manifest is replaced in the same commit as the files it describes, so a
file that does not match it was changed by somebody else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import UserError

MANIFEST: Final = "manifest.json"
_VERSION: Final = 1
_BLOCK: Final = 1 << 20
Span = tuple[int, int]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One file, by its path in the store; times in ms."""

    rows: int
    first_ms: int
    last_ms: int
    size: int
    blake2b: str


class Manifest(msgspec.Struct, kw_only=True):
    """``asked`` are spans [from, to) in ms that a venue answered completely, by name of the series."""

    version: int = _VERSION
    files: dict[str, Entry] = {}
    asked: dict[str, list[Span]] = {}


def read_manifest(root: Path) -> Manifest:
    """Read a store's manifest; an empty one when there is none.

    Raises
    ------
    UserError
        When it is damaged or of another version.
    """
    path = root / MANIFEST
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return Manifest()
    except (OSError, msgspec.MsgspecError) as error:
        raise UserError(f"{str(path)!r} is no manifest of a market store: {error}") from None
    if found.version != _VERSION:
        raise UserError(f"the market store is of version {found.version}, this Parley reads {_VERSION}")
    return found


def encode(manifest: Manifest) -> bytes:
    """Write a manifest as text, the same for the same content."""
    manifest.files = dict(sorted(manifest.files.items()))
    manifest.asked = dict(sorted(manifest.asked.items()))
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def digest(path: Path) -> tuple[str, int]:
    """Return hash and size of a file."""
    hash_, size = hashlib.blake2b(digest_size=32), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            hash_.update(block)
            size += len(block)
    return hash_.hexdigest(), size


def joined(spans: Iterable[Span]) -> list[Span]:
    """Join spans that touch or overlap, in order; empty ones vanish."""
    done: list[Span] = []
    for first, end in sorted(spans):
        if end <= first:
            continue
        if done and first <= done[-1][1]:
            done[-1] = (done[-1][0], max(end, done[-1][1]))
        else:
            done.append((first, end))
    return done


def without(wanted: Span, covered: Iterable[Span]) -> list[Span]:
    """Return what of a span is not covered."""
    left, at = [], wanted[0]
    for first, end in joined(covered):
        if end <= at:
            continue
        if first >= wanted[1]:
            break
        if first > at:
            left.append((at, first))
        at = end
    if at < wanted[1]:
        left.append((at, wanted[1]))
    return left
