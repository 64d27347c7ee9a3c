"""Our client order ids as Kraken takes them.

Problem: Kraken takes a text of at most 18 characters or 32 hexadecimal digits
(https://docs.kraken.com/api/docs/rest-api/add-order, `cl_ord_id`), and ours are five characters of the tenant
and 26 of base 32, a keyed hash of 128 bits (`parley.ids.client_order_id`). So the hash goes out in hex. The
tag is left out: one account belongs to one tenant.

Not here: minting ids. Invariant: among ids of one tenant the map is one to one; what cannot be mapped is not
sent.
"""

import base64
import re
from typing import Final

_OURS: Final = re.compile(r"[a-z2-7]{5}([a-z2-7]{26})")
_SHORT: Final = re.compile(r"[a-zA-Z0-9]{1,18}")
_HEX: Final = re.compile(r"[0-9a-f]{32}")


def wire_id(cid: str) -> str:
    """Return what the venue calls an order with this client order id; what is none of ours stays."""
    found = _OURS.fullmatch(cid)
    if found is None:
        return cid
    raw = base64.b32decode(found[1].upper() + "======")
    # the last character has two bits more than the hash: were they set, a second text would mean the same
    back = base64.b32encode(raw).decode().rstrip("=").lower()
    return raw.hex() if back == found[1] else cid


def cid_of(client_id: str, tag: str) -> str | None:
    """Return what the venue calls an order as the id of ours that it would be with this tag; None: of nobody.

    Whose tag it was the venue does not know: another program's 32 digits look the same.
    """
    bare = same(client_id)
    if not _HEX.fullmatch(bare):
        return None
    return tag + base64.b32encode(bytes.fromhex(bare)).decode().rstrip("=").lower()


def sent(cid: str) -> str:
    """Return an id as it is sent.

    Raises
    ------
    ValueError
        When the venue takes no such id.
    """
    found = wire_id(cid)
    if _HEX.fullmatch(found) or _SHORT.fullmatch(found):
        return found
    raise ValueError(
        f"expected 1 to 18 of [a-zA-Z0-9], or a tag of 5 and 128 bits in 26 of base 32, got {cid!r}"
    )


def same(client_id: str) -> str:
    """Return an id so that the venue's ways to write one can be compared: it also knows one with dashes."""
    bare = client_id.replace("-", "").lower()
    return bare if _HEX.fullmatch(bare) else client_id
