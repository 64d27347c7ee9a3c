"""A client order id of ours as Hyperliquid takes it: 128 bits in hex, a `cloid`.

Ours are five characters of the tenant and 26 of base 32, which are a keyed hash of 128 bits
(`parley.ids.client_order_id`). The cloid is that hash itself, so it follows from the intent alone, in every
life of a gateway, and no table is kept. The tag is left out: one account belongs to one tenant, and the
hash is keyed by tenant and account, so no two ids of an account differ in the tag alone.

Not here: minting ids. Invariant: among ids with the same tag the map is one to one; what is no such id has no
cloid, so it can be neither sent nor found.
"""

import base64
import re
from typing import Final

_CLOID: Final = re.compile(r"0x[0-9a-f]{32}")
_OURS: Final = re.compile(r"[a-z2-7]{5}([a-z2-7]{26})")


def cloid_of(cid: str) -> str | None:
    """Return the cloid of a client order id of ours, None when it is not one."""
    found = _OURS.fullmatch(cid)
    if found is None:
        return None
    raw = base64.b32decode(found[1].upper() + "======")
    # the last character has two bits more than the hash: were they set, a second text would mean the same
    if base64.b32encode(raw).decode().rstrip("=").lower() != found[1]:
        return None
    return "0x" + raw.hex()


def cid_of(cloid: str, tag: str) -> str | None:
    """Return a cloid as the id of ours that it would be with this tag, None when it is no cloid.

    Whose tag it was the venue does not know: another program's cloid looks the same.
    """
    if not _CLOID.fullmatch(cloid):
        return None
    return tag + base64.b32encode(bytes.fromhex(cloid[2:])).decode().rstrip("=").lower()


def wire_id(cid: str) -> str:
    """Return what the venue calls an order with this client order id; what is none of ours stays as it is."""
    return cloid_of(cid) or cid
