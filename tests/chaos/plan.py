"""What happens in a bout, drawn from its seed: the exchange's moods, fuses, blows from outside.

Not here: doing it (`bout`). Invariant: the same seed gives the same plan; what a run makes of it depends on
the machine's timing, which is the point.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.chaos import places
from tests.chaos.line import MOODS

# What has to be said of an order before it is given up: short, so that a bout does not wait for it...
WINDOW_MS, LAG_MS, PATIENCE_MS = 700, 120, 900
_MUTANT_WINDOW_MS: Final = 1500  # longer than what its venue is late
# ... but in one bout of six, which has what a gateway is told when nobody says anything.
REAL_WINDOW_MS, REAL_LAG_MS, REAL_PATIENCE_MS = 2000, 1000, 5000
_REAL: Final = 1 / 6
_LONG: Final = 1 / 8
VENUES: Final = ("", "", "", "bybit", "okx")
_QUICK_NTH: Final = 6


@dataclass(frozen=True)
class Blow:
    """What is done from outside when no fuse burnt within ``after_s`` of everybody being ready.

    ``what``: kill, term, stop (then cont), stop_kill, zombie, disk_full, or a mood of the line; ``victims``
    by unit.
    """

    what: str
    victims: tuple[str, ...]
    after_s: float
    pause_s: float = 0.0


@dataclass(frozen=True)
class Plan:
    """One bout. ``hostility`` as the exchange takes it; ``position_cap`` of the gateway, in the quote.

    ``venue`` is the protocol, empty: what the settings say. ``has_line``: between gateway and exchange is a
    line that breaks. ``inspect_s`` as the gateway takes it. ``is_deaf``: private events get lost for good.

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
    lag_ms: int = LAG_MS
    patience_ms: int = PATIENCE_MS
    venue: str = ""
    has_line: bool = False
    inspect_s: float = 0.0
    is_deaf: bool = False

    @property
    def is_by_the_clock(self) -> bool:
        """Whether the market waits for nobody; in lock-step it ends with its hub."""
        return self.speed != "max"

    @property
    def has_stops(self) -> bool:
        """Whether the exchange holds the stops: in every other bout at the one that can."""
        return self.seed % 2 == 1 and self.venue in ("", "binance")

    @property
    def has_understudy(self) -> bool:
        """Whether somebody keeps what a killed desk begins with: in two bouts of three."""
        return self.seed % 3 != 0

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
    {"cancels": {"lost": 0.2, "failed": 0.2, "late": 0.1, "dropped": 0.1, "throttled": 0.1}},
    {"private": {"duplicated": 0.2, "swapped": 0.2}, "public": {"duplicated": 0.05}},
    {"private": {"lost": 0.1}},
    {"throttled": 0.2, "ban": {"after": 4, "ms": 700}},
    {"maintenance": {"after_ms": 1500, "every_ms": 3000, "ms": 400}},
    {
        "lost": 0.06, "failed": 0.06, "late": 0.06, "late_ms": 500, "dropped": 0.05, "throttled": 0.05,
        "lookup_lag_ms": 80, "page_limit": 20, "clock_skew_ms": -40,
        "cancels": {"lost": 0.1, "failed": 0.1, "late": 0.05, "dropped": 0.1, "throttled": 0.1},
        "private": {"lost": 0.03, "duplicated": 0.1, "swapped": 0.1}, "public": {"duplicated": 0.02},
        "ban": {"after": 6, "ms": 700},
    },
)  # fmt: skip


def plan_of(seed: int, mutant: str = "") -> Plan:
    """Draw a bout; that of a mutant has the mood in which its fault can show."""
    dice = random.Random(seed)
    mood = dict(dice.choice(HOSTILE)) if dice.random() < 0.7 else {}
    cap = dice.choice((0, 0, 6000))
    if mutant == "retry_with_the_same_id":
        mood = {"lost": 0.2, "failed": 0.1}
    if mutant == "three_look_ups_then_reject":
        mood = {"late": 0.3, "late_ms": 390, "lookup_lag_ms": 100}
    if mutant == "gate_skipped":
        cap = 6000
    speed = dice.choice(("max", "max", "max", "max", "6000"))
    # each life of a desk folds all that was before it, so most bouts are short, and some are not
    is_long = dice.random() < _LONG
    kills = dice.randint(36, 44) if is_long else dice.randint(14, 20)
    halts_at = kills * 2 // 3 if dice.random() < 0.2 else 0
    is_deaf = bool(mood.get("private", {}).get("lost"))
    candles = 300 if is_long else dice.randint(90, 120)
    plan = Plan(
        seed=seed, kills=kills, halts_at=halts_at, speed=speed,
        candles=candles if speed == "max" else 400, hostility=mood, position_cap=cap,
        venue="" if mutant else dice.choice(VENUES), has_line=not mutant and dice.random() < 0.25,
        inspect_s=1.0 if is_deaf else 0.0, is_deaf=is_deaf,
    )  # fmt: skip
    if mutant:
        return replace(plan, window_ms=_MUTANT_WINDOW_MS, patience_ms=_MUTANT_WINDOW_MS)
    if dice.random() > _REAL:
        return plan
    return replace(plan, window_ms=REAL_WINDOW_MS, lag_ms=REAL_LAG_MS, patience_ms=REAL_PATIENCE_MS)


def fuse_of(dice: random.Random, unit: str) -> places.Fuse | None:
    """Lay a fuse in six of ten lives of a gateway or a desk."""
    if dice.random() > 0.65:
        return None
    place = dice.choice(places.GATEWAY if unit == "gateway" else places.DESK)
    nth = 1 if place in places.ONCE else dice.randint(1, _QUICK_NTH)
    if place in ("folding", "half_a_frame", *places.FAILING):
        nth = dice.randint(1, 60)
    return places.Fuse(place, nth, dice.choice((0, 0, dice.randint(1, 3000))))


def blow_of(dice: random.Random, *, has_line: bool = False, hits_hub: bool = False) -> Blow:
    """Draw a blow from outside; ``hits_hub``: the hub may be killed as well."""
    after = dice.uniform(0.0, 0.12)
    # most pauses are short: while nobody dies the market only runs on
    pause = dice.uniform(0.02, 0.9) if dice.random() < 0.2 else dice.uniform(0.005, 0.15)
    if has_line and dice.random() < 0.25:
        return Blow(dice.choice(MOODS), (), after, pause)
    if hits_hub and dice.random() < 0.3:
        what = dice.choice(("kill", "kill", "kill", "stop_kill", "term"))
        victims = dice.choice((("hub",), ("hub",), ("hub", "desk"), ("hub", "gateway")))
        return Blow(what, victims, after, pause / 3)
    roll = dice.random()
    if roll < 0.55:
        return Blow("kill", dice.choice((("desk",), ("gateway",), ("desk", "gateway"))), after)
    if roll < 0.67:
        return Blow("term", dice.choice((("desk",), ("gateway",), ("desk", "gateway"))), after)
    if roll < 0.76:
        victims = dice.choice((("sandbox",), ("gateway",), ("desk",), ("hub",), ("gateway", "sandbox")))
        return Blow("stop", victims, after, pause)
    if roll < 0.90:
        return Blow(
            "stop_kill", dice.choice((("gateway",), ("desk",), ("desk", "gateway"))), after, pause / 3
        )
    if roll < 0.94:
        return Blow("disk_full", dice.choice((("gateway",), ("desk",))), after)
    return Blow("zombie", ("desk",), after, pause / 2)
