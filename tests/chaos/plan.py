"""What happens in a bout, drawn from its seed: the exchange's moods, fuses, blows from outside.

Not here: doing it (`bout`). Invariant: the same seed gives the same plan; what a run makes of it depends on
the machine's timing, which is the point.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Final

from tests.chaos import places

# What has to be said of an order before it is given up: short, so that a bout does not wait for it.
WINDOW_MS, LAG_MS, PATIENCE_MS = 1500, 120, 1500
_QUICK_NTH: Final = 6


@dataclass(frozen=True)
class Blow:
    """What is done from outside when no fuse burnt within ``after_s`` of everybody being ready.

    ``what``: kill, term, stop (then cont), stop_kill, zombie; ``victims`` by unit.
    """

    what: str
    victims: tuple[str, ...]
    after_s: float
    pause_s: float = 0.0


@dataclass(frozen=True)
class Plan:
    """One bout. ``hostility`` as the exchange takes it; ``position_cap`` of the gateway, in the quote.

    ``halts_at``: after so many kills nothing may open any more, 0: not before the end. A halt is for good,
    because what lifts it is a person.
    """

    seed: int
    kills: int
    speed: str
    candles: int
    hostility: dict[str, Any] = field(default_factory=dict)
    position_cap: int = 0
    halts_at: int = 0
    window_ms: int = WINDOW_MS

    def dice(self, what: str) -> random.Random:
        """Return the dice for one purpose."""
        return random.Random(f"{self.seed}/{what}")


HOSTILE: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"lost": 0.2, "failed": 0.1},
    {"late": 0.25, "late_ms": 600},
    {"dropped": 0.15, "throttled": 0.1},
    {
        "lost": 0.1, "failed": 0.1, "late": 0.1, "dropped": 0.05, "throttled": 0.05, "late_ms": 500,
        "lookup_lag_ms": 80,
    },
)  # fmt: skip


def plan_of(seed: int, mutant: str = "") -> Plan:
    """Draw a bout; that of a mutant has the mood in which its fault can show."""
    dice = random.Random(seed)
    mood = dict(dice.choice(HOSTILE)) if dice.random() < 0.6 else {}
    cap = dice.choice((0, 0, 6000))
    if mutant == "retry_with_the_same_id":
        mood = {"lost": 0.2, "failed": 0.1}
    if mutant == "three_look_ups_then_reject":
        mood = {"late": 0.3, "late_ms": 390, "lookup_lag_ms": 100}
    if mutant == "gate_skipped":
        cap = 6000
    speed = dice.choice(("max", "max", "max", "max", "6000"))
    kills = dice.randint(18, 26)
    halts_at = kills * 2 // 3 if dice.random() < 0.2 else 0
    return Plan(
        seed=seed, kills=kills, halts_at=halts_at, speed=speed,
        candles=dice.randint(80, 110) if speed == "max" else 300, hostility=mood, position_cap=cap,
    )  # fmt: skip


def fuse_of(dice: random.Random, unit: str) -> places.Fuse | None:
    """Lay a fuse in six of ten lives of a gateway or a desk."""
    if dice.random() > 0.65:
        return None
    place = dice.choice(places.GATEWAY if unit == "gateway" else places.DESK)
    nth = 1 if place in places.ONCE else dice.randint(1, _QUICK_NTH)
    if place in ("folding", "half_a_frame", *places.FAILING):
        nth = dice.randint(1, 60)
    return places.Fuse(place, nth, dice.choice((0, 0, dice.randint(1, 3000))))


def blow_of(dice: random.Random) -> Blow:
    """Draw a blow from outside."""
    after = dice.uniform(0.0, 0.12)
    pause = dice.uniform(0.02, 0.9)
    roll = dice.random()
    if roll < 0.45:
        return Blow("kill", dice.choice((("desk",), ("gateway",), ("desk", "gateway"))), after)
    if roll < 0.60:
        return Blow("term", dice.choice((("desk",), ("gateway",), ("desk", "gateway"))), after)
    if roll < 0.74:
        victims = dice.choice((("sandbox",), ("gateway",), ("desk",), ("hub",), ("gateway", "sandbox")))
        return Blow("stop", victims, after, pause)
    if roll < 0.86:
        return Blow(
            "stop_kill", dice.choice((("gateway",), ("desk",), ("desk", "gateway"))), after, pause / 3
        )
    return Blow("zombie", ("desk",), after, pause / 2)
