"""The callbacks of a case's strategy as Parley's engine takes them.

Problem: a user's callbacks are methods of a class that freqtrade's resolver loads, and freqtrade swallows
what they raise; `freqtrade_bridge` does both. A case of level 2 has only `leverage`, for which seconds of
importing freqtrade would be a waste.

Not here: the texts of the callbacks (`hooks`).

Invariant: the names are those that freqtrade's backtest calls, older names counted under the newer.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.locks import LockBook
from tests.differential.case import STRATEGY, Case, Frames
from tests.differential.strategy import source_text, write_strategy

CALLED_AS = {
    "custom_sell": "custom_exit", "adjust_entry_price": "adjust_order_price",
    "adjust_exit_price": "adjust_order_price",
}  # fmt: skip
# Not part of the simulation: the strategy is started before it.
BEFORE = {"bot_start"}
PLAIN = {"leverage"}


def hook_names(case: Case) -> frozenset[str]:
    """Return the callbacks of `case` by the names freqtrade's backtest calls."""
    return frozenset(CALLED_AS.get(name, name) for name in case.hooks.keys() - BEFORE)


@dataclass(frozen=True)
class Bound:
    """Callbacks bound to an instance of the strategy; ``use_locks`` gives that instance a book of locks."""

    hooks: Mapping[str, Callable[..., Any]]
    use_locks: Callable[[LockBook], None] = lambda book: None
    # While it is entered, questions about the run are answered; gives what takes the simulation.
    asking: Callable[[], AbstractContextManager[Callable[[Any], None]]] = lambda: nullcontext(lambda _: None)


def bind_hooks(case: Case, frames: Frames) -> Bound:
    """Return the callbacks of the case's strategy, which may ask for these analysed frames."""
    if case.hooks.keys() <= PLAIN and not case.attributes.get("asks"):
        return Bound(_bind_plain(case))
    # Imported here: freqtrade takes seconds, and most runs have no callbacks.
    bridge = importlib.import_module("tests.differential.bridged")
    with tempfile.TemporaryDirectory(prefix="parley-differential-") as folder:
        path = write_strategy(case, Path(folder))
        bound: Bound = Bound(*bridge.bind(case, path, frames))
    return bound


def _bind_plain(case: Case) -> Mapping[str, Callable[..., Any]]:
    if not case.hooks:
        return {}
    text = source_text(case).replace("from freqtrade.strategy import IStrategy", "IStrategy = object")
    text = text.replace("from freqtrade.persistence import Trade", "Trade = None")
    names: dict[str, Any] = {}
    exec(text, names)
    strategy = names[STRATEGY]()
    return {name: getattr(strategy, name) for name in case.hooks}
