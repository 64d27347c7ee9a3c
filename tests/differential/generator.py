"""Draw a case from its seed, number and level.

Problem: a run of thousands of cases must be replayable one by one, and the engine learns freqtrade's features
one after the other; a level names how much a case may use.

Not here: the draws of each part (`candles`, `signals`, `options`, `markets`, `hooks`).

Invariant: `draw_case(seed, number, level)` is a function of its arguments.
"""

from __future__ import annotations

from typing import Any

from tests.differential import markets, options
from tests.differential.candles import Market, draw_candles, draw_market, merge
from tests.differential.case import TIMEFRAME_MS, Case, Frames
from tests.differential.dice import Dice
from tests.differential.hooks import draw_asks, draw_hooks, draw_leverage
from tests.differential.options import EXTRAS, FUTURES, HOOKS, SPOT
from tests.differential.signals import add_signals

LEVELS = (SPOT, FUTURES, EXTRAS, HOOKS)
START_MS = 1_709_251_200_000 - 3 * 86_400_000  # three days before a month begins: 2024-03-01
CANDLES = 1_200  # of all pairs together, about


def draw_case(seed: int, number: int, level: int) -> Case:
    """Return case ``number`` of ``seed``, using features up to ``level`` (1 to 4)."""
    if level not in LEVELS:
        raise ValueError(f"level must be one of {LEVELS!r}, was {level!r}")
    dice = Dice(seed, number, f"level {level}")
    count = dice.pick((1, 2, 3, 3, 4, 6))
    volatility = dice.pick((0.001, 0.003, 0.003, 0.01, 0.03))
    config, attributes = options.draw_options(dice.part("options"), level, count, volatility)
    is_futures = config["trading_mode"] == "futures"
    names = [markets.pair_name(index, is_futures=is_futures) for index in range(count)]
    config["exchange"]["pair_whitelist"] = names
    if config["margin_mode"] == "cross" and isinstance(config["dry_run_wallet"], dict):
        config["dry_run_wallet"] = config["dry_run_wallet"][
            "USDT"
        ]  # else freqtrade asks the venue for a rate
    hooks = {"leverage": draw_leverage(dice.part("leverage"))} if is_futures and dice.chance(0.85) else {}
    if level >= HOOKS:
        more, needed = draw_hooks(dice.part("hooks"), volatility, is_futures=is_futures)
        hooks.update(more)
        attributes.update(needed)
        attributes.update(draw_asks(dice.part("asks")))
    moves = {name: draw_market(dice.part(name), volatility) for name in names}
    mode = dice.pick(
        (markets.TICK_SIZE, markets.TICK_SIZE, markets.DECIMAL_PLACES, markets.SIGNIFICANT_DIGITS)
    )
    drawn = _draw_frames(dice.part("candles"), moves, attributes, config)
    if "funding" in drawn and dice.chance(0.2):
        config["futures_funding_rate"] = dice.pick((0, 0.0001))
    if level >= EXTRAS:
        config.update(draw_timerange(dice.part("timerange"), drawn["frames"]))
    return Case(
        seed=seed, number=number, level=level, config=config, attributes=attributes, hooks=hooks,
        precision_mode=mode,
        markets={
            name: markets.draw_record(dice.part(f"{name} record"), name, moves[name], mode) for name in names
        },
        tiers={name: markets.draw_tiers(dice.part(f"{name} tiers")) for name in names} if is_futures else {},
        frames=drawn["frames"], detail=drawn["detail"], funding=drawn.get("funding", {}),
        mark=drawn.get("mark", {}),
    )  # fmt: skip


def draw_timerange(dice: Dice, frames: Frames) -> dict[str, str]:
    """Return a time range that leaves every pair some candles, in some cases."""
    if not dice.chance(0.3):
        return {}
    first = min(int(frame["date"].iloc[0].timestamp()) for frame in frames.values())
    last = max(int(frame["date"].iloc[-1].timestamp()) for frame in frames.values())
    # Pairs begin in the first third and end in the last.
    begin, end = (
        first + int((last - first) * share) for share in (dice.between(0, 0.3), dice.between(0.7, 1))
    )
    if dice.chance(0.5):
        begin, end = begin - begin % 3600, end - end % 3600
    begins, ends = dice.pick(((begin, end), (begin, end), (begin, ""), ("", end)))
    return {"timerange": f"{begins}-{ends}"}


def _draw_frames(
    dice: Dice, moves: dict[str, Market], attributes: dict[str, Any], config: dict[str, Any]
) -> dict[str, Frames]:
    step = TIMEFRAME_MS[attributes["timeframe"]]
    fine = TIMEFRAME_MS.get(config.get("timeframe_detail", ""), 0)
    count = max(CANDLES // max(len(moves), 3), 100)
    # Some cases cross the end of a month, where freqtrade looks at the prices' decimals anew.
    start = START_MS + (dice.whole(0, 700) * step if dice.chance(0.5) else 0)
    frames: Frames = {}
    detail: Frames = {}
    for index, (name, market) in enumerate(moves.items()):
        own = dice.part(name)
        # All but the first pair may come late or end early.
        late, early = (own.whole(0, count // 3) if index and own.chance(0.3) else 0 for _ in range(2))
        begins = start + late * step
        if fine:
            detail[name] = draw_candles(own, market, begins, fine, (count - late - early) * (step // fine))
            candles = merge(detail[name], step)
            if own.chance(0.2):
                detail[name] = detail[name].iloc[own.whole(0, 30) :].reset_index(drop=True)
        else:
            candles = draw_candles(own, market, begins, step, count - late - early)
        frames[name] = add_signals(own.part("signals"), candles, with_short=attributes["can_short"])
    drawn = {"frames": frames, "detail": detail}
    if config["trading_mode"] == "futures":
        end = start + count * step
        every = dice.pick((markets.HOUR_MS, 8 * markets.HOUR_MS))
        both = {
            name: markets.draw_funding(dice.part(f"{name} funding"), market, start, end, every)
            for name, market in moves.items()
        }
        drawn["funding"] = {name: pair[0] for name, pair in both.items()}
        drawn["mark"] = {name: pair[1] for name, pair in both.items()}
    return drawn
