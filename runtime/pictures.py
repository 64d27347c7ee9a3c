"""Files that only save time: a picture of some state, with a digest of itself in front.

Not made durable: who was killed finds it again, and after a power cut the digest tells. Not here: what is in
it, and whether it still fits (`kept_firm`, `kept_snapshots`).

Invariant: what is read is what was written, whole, or nothing.
"""

from hashlib import blake2b
from pathlib import Path
from typing import Final, TypeVar

import msgspec

T = TypeVar("T")
_DIGEST: Final = 16


def write_picture(path: Path, picture: object) -> int:
    """Write a picture, readable by its owner only, and return its size, bytes.

    Raises
    ------
    OSError
        When it cannot be written; nothing is left of it then.
    """
    raw = msgspec.msgpack.encode(picture)
    try:
        path.touch(mode=0o600)
        path.write_bytes(blake2b(raw, digest_size=_DIGEST).digest() + raw)
    except OSError:
        path.unlink(missing_ok=True)  # half of it takes room that the journal may need
        raise
    return len(raw)


def read_picture(path: Path, kind: type[T]) -> T | None:
    """Return a picture; None when there is none, or it is not whole, or is of another kind."""
    try:
        raw = path.read_bytes()
        if blake2b(raw[_DIGEST:], digest_size=_DIGEST).digest() != raw[:_DIGEST]:
            return None
        return msgspec.msgpack.decode(raw[_DIGEST:], type=kind)
    except (OSError, msgspec.MsgspecError):
        return None
