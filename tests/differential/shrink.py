"""Make a case that differs smaller, as long as it still differs.

Problem: a difference in six pairs, four hundred candles and thirty options tells little; the same
difference in one pair and five candles with two options tells nearly everything.

Not here: what "differs" means: the caller's ``fails`` decides.

Invariant: the result fails, and none of the steps below makes it smaller and lets it still fail (within the
number of tries).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from tests.differential.case import Case, Frames

TRIES = 150
LEAST_CANDLES = 3
# Options that a case without them still runs; the others have no neutral value.
NEUTRAL: dict[str, Any] = {
    "stake_amount": 100.0, "max_open_trades": -1, "dry_run_wallet": 100_000.0, "tradable_balance_ratio": 1.0,
    "amend_last_stake_amount": False, "fee": 0.0, "position_stacking": False, "enable_protections": False,
}  # fmt: skip
NEEDED = {
    "timeframe", "can_short", "stoploss", "stake_currency", "trading_mode", "margin_mode", "exchange",
    "pairlists", "entry_pricing", "exit_pricing", "last_stake_amount_min_ratio", "use_custom_stoploss",
    "use_custom_roi", "position_adjustment_enable", "timeframe_detail", *NEUTRAL,
}  # fmt: skip


def shrink(case: Case, fails: Callable[[Case], bool], tries: int = TRIES) -> Case:
    """Return the smallest case found that still ``fails``, with at most ``tries`` tries."""
    left = tries
    changed = True
    while changed and left > 0:
        changed = False
        for smaller in _smaller(case):
            left -= 1
            if left < 0:
                break
            if fails(smaller):
                case, changed = smaller, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    # The largest steps first.
    if len(case.pairs) > 1:
        for pair in case.pairs:
            yield _with_pairs(case, [name for name in case.pairs if name != pair])
    yield from _fewer_candles(case)
    for name in case.hooks:
        yield case.but(hooks={other: text for other, text in case.hooks.items() if other != name})
    for name, value in NEUTRAL.items():
        if name in case.config and case.config[name] != value:
            yield case.but(config={**case.config, name: value})
    for field in ("config", "attributes"):
        given: dict[str, Any] = getattr(case, field)
        for name in sorted(given.keys() - NEEDED):
            yield case.but(**{field: {other: value for other, value in given.items() if other != name}})
    if case.config.get("timeframe_detail"):
        config = {name: value for name, value in case.config.items() if name != "timeframe_detail"}
        yield case.but(config=config, detail={})


def _with_pairs(case: Case, pairs: list[str]) -> Case:
    config = {**case.config, "exchange": {**case.config["exchange"], "pair_whitelist": pairs}}
    kept: dict[str, Any] = {
        name: {pair: value for pair, value in getattr(case, name).items() if pair in pairs}
        for name in ("markets", "tiers", "frames", "detail", "funding", "mark")
    }
    return case.but(config=config, **kept)


def _fewer_candles(case: Case) -> Iterator[Case]:
    begin = min(frame["date"].iloc[0] for frame in case.frames.values())
    end = max(frame["date"].iloc[-1] for frame in case.frames.values())
    length = end - begin
    for part in (2, 4, 8, 16, 64, 256):
        step = length / part
        for first, last in ((begin, end - step), (begin + step, end)):
            frames = _cut(case.frames, first, last)
            if all(len(frame) >= LEAST_CANDLES for frame in frames.values()):
                smaller = case.but(frames=frames)
                if _size(smaller) < _size(case):
                    yield smaller


def _cut(frames: Frames, first: pd.Timestamp, last: pd.Timestamp) -> Frames:
    return {
        pair: frame[(frame["date"] >= first) & (frame["date"] <= last)].reset_index(drop=True)
        for pair, frame in frames.items()
    }


def _size(case: Case) -> int:
    return sum(len(frame) for frame in case.frames.values())
