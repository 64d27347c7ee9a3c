"""What a venue says its contracts are worth, and whether an order's own prices can be of that market.

Problem: what an order costs is worked out from the prices that it names, and a wrong desk names any. Whoever
sells a contract for a hundredth of what it is worth owes a hundred times what was counted. So the gateway
asks the venue itself for its marks, and an order that opens may not be far from them.

A mark is some moments old, so it is no collar: ``most_bps`` is the collar and what the market may have moved
since. After `OLD_NS` nobody knows any more.

Not here: when the venue is asked (`gateway`), what else an order may not (`lastlook`).

Invariant: nothing that a desk said and no fill's price becomes a mark.
"""

from decimal import Decimal
from typing import Final

from parley.messages import Intent

OLD_NS: Final = 120_000_000_000
_BPS: Final = Decimal(10_000)


class Marks:
    """The venue's last word on each contract, by asset."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[Decimal, int]] = {}

    def say(self, asset: str, px: Decimal, now_mono: int) -> None:
        """Note what the venue said was worth ``px`` when it was asked, monotonic ns; no price is no word."""
        if px.is_finite() and px > 0:
            self._said[asset] = (px, now_mono)

    def of(self, asset: str, now_mono: int) -> Decimal | None:
        """Return a contract's mark; None: it is not known, or too old."""
        px, asked = self._said.get(asset, (None, 0))
        return None if px is None or now_mono - asked > OLD_NS else px


def bps_beyond(px: Decimal, of: Decimal, side: str) -> Decimal:
    """Return by how much a price is worse for its side than another, in hundredths of a percent."""
    return (px - of if side == "buy" else of - px) / of * _BPS


def off_mark(intent: Intent, mark: Decimal | None, most_bps: int) -> tuple[str, str] | None:
    """Return (code, detail) when a sound order names a price that cannot be of the market the mark is of.

    The price it was judged by is to be near on both sides; a limit may be far where it cannot trade.
    """
    if mark is None:
        return "no_mark", f"the venue's mark is not known, or older than {OLD_NS // 10**9} s"
    known = []
    if intent.ref_px is not None:
        known.append(("ref_px", intent.ref_px, abs(bps_beyond(intent.ref_px, mark, intent.side))))
    if intent.px is not None:
        known.append(("px", intent.px, bps_beyond(intent.px, mark, intent.side)))
    for name, px, off in known:
        if off > most_bps:
            return "mark", f"{name} {px} is {off:.0f} bps off the venue's mark {mark}, at most {most_bps}"
    return None


__all__ = ["OLD_NS", "Marks", "bps_beyond", "off_mark"]
