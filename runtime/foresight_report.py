"""Whether strategies know the future, as people and programs read it.

Not here: finding out (`freqtrade_bridge.lookahead`). Invariant: a strategy that was not checked is not said
to be clean.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console

from freqtrade_bridge.lookahead import Foresight
from freqtrade_bridge.report import plain

_SHOWN: Final = 8


def show_foresight(out: Console, foresight: Mapping[str, Foresight]) -> None:
    """Print what was found, by strategy."""
    for name, found in foresight.items():
        if found.biases:
            out.print(
                f"{name} knows the future; at an exchange it would trade differently:", style="bold red"
            )
        for bias in found.biases[:_SHOWN]:
            out.print(f"  {bias}", style="red", soft_wrap=True, markup=False)
        if len(found.biases) > _SHOWN:
            out.print(f"  and {len(found.biases) - _SHOWN} more columns; --json has all", style="red")
        for why in found.unsure:
            out.print(
                f"{name}: not checked for look-ahead: {why}", style="yellow", soft_wrap=True, markup=False
            )
        if found.is_clean and not found.unsure:
            out.print(f"{name}: no look-ahead at {found.moments} moments", style="dim")


def told_foresight(foresight: Mapping[str, Foresight]) -> dict[str, Any]:
    """Return what was found, for JSON."""
    told: dict[str, Any] = plain({
        name: {
            "moments": each.moments,
            "biases": [{**asdict(bias), "text": str(bias)} for bias in each.biases],
            "unsure": list(each.unsure),
        }
        for name, each in foresight.items()
    })  # fmt: skip
    return told
