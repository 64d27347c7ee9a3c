"""What became of an order whose answer never came: found, or not accepted. Pure.

Problem: an order that a look-up does not find may still come into being, because its request is under way,
or because the venue's lists lag behind its matching. Taking the first "not found" for a no is how an order
comes to live that nobody knows of. Absence therefore counts only once the venue's own window for the request
is over, with the error of the clocks and the lag of its lists added, and twice, apart in time.

A doubt that lasts is told to a person: the order keeps its money and closes its symbol, and only somebody who
looks at the venue can end that. The alarm comes after a few failed look-ups, or a time, and again at growing
intervals.

A stop of which nobody heard the end locks its holding, exits too. A venue forgets what ended without a fill
before what traded; one that is in no list between these times has ended, and nothing of it traded.

Not here: asking the venue, journal, the desk (`doubts`).

Invariant: `learn` says `NOT_ACCEPTED` only when the venue cannot accept the order any more, as far as its
window, the measured clocks and the stated lag are true; what was seen once is never not accepted. It says
`ENDED` only of what would be listed if it were open or had traded. Times are monotonic ns of this machine: a
step of its wall clock changes nothing.
"""

from enum import Enum
from typing import Final

import msgspec

CLOCK_SLACK_NS: Final = 100_000_000  # time stamps are cut to ms, and clocks drift between two measurements
_EARLY_NS: Final = (0, 250_000_000, 1_000_000_000)  # most orders that exist are found long before the fence
_FIRST_PAUSE_NS: Final = 500_000_000
_LONGEST_PAUSE_NS: Final = 30_000_000_000
ALARM_FAILURES: Final = 6  # in a row: about 16 s of a venue that does not answer
ALARM_AFTER_NS: Final = 60_000_000_000
ALARM_AT_LEAST_NS: Final = 3_600_000_000_000


class Sight(Enum):
    """What one look-up came to; ABSENT: every list of the venue was read whole, and it is in none."""

    FOUND = "found"
    ABSENT = "absent"
    FAILED = "failed"


class Fate(Enum):
    """What is known of the order now."""

    OPEN = "open"
    FOUND = "found"
    NOT_ACCEPTED = "not accepted"
    ENDED = "ended without a fill"


class Doubt(msgspec.Struct, kw_only=True):
    """One order in doubt; mutable, changed here only.

    ``fence`` is when the venue takes its request no more, by exact clocks; ``clock_error`` the largest
    measured since it was sent, None before any measurement; ``lag`` what the venue's lists are behind;
    ``is_seen``: the venue has spoken of it. ``absent_at`` is when the first look-up began that counts.
    ``opened`` is since when nobody knows, ``alarmed_at`` when the last of ``alarms`` was raised.
    ``sure_until`` is how long the venue remembers how it ended, None for ever; ``traded_until`` how long it
    does if anything traded, None: not known.
    """

    fence: int
    lag: int
    clock_error: int | None = None
    is_seen: bool = False
    absent_at: int | None = None
    looks: int = 0
    failures: int = 0
    opened: int = 0
    alarms: int = 0
    sure_until: int | None = None
    traded_until: int | None = None
    alarmed_at: int = 0

    @property
    def counts_after(self) -> int | None:
        """When a look-up has to begin for its absence to count; None while nobody knows."""
        if self.clock_error is None:
            return None
        return self.fence + self.clock_error + CLOCK_SLACK_NS + self.lag


def measured(doubt: Doubt, clock_error: int) -> None:
    """Note how far the two clocks may be apart, ns."""
    doubt.clock_error = max(doubt.clock_error or 0, clock_error)


def learn(doubt: Doubt, sight: Sight, began: int) -> Fate:
    """Fold one look-up that ``began`` then."""
    doubt.looks += 1
    match sight:
        case Sight.FOUND:
            doubt.is_seen = True
            return Fate.FOUND
        case Sight.FAILED:
            doubt.failures += 1
            return Fate.OPEN
        case Sight.ABSENT:
            doubt.failures = 0
            return _absent(doubt, began)


def _absent(doubt: Doubt, began: int) -> Fate:
    counts_after = doubt.counts_after
    if counts_after is None or began <= counts_after:
        return Fate.OPEN
    if (fate := _meaning(doubt, began)) is Fate.OPEN:
        return Fate.OPEN
    if doubt.absent_at is None:
        doubt.absent_at = began
        return Fate.OPEN
    return fate if began - doubt.absent_at >= doubt.lag else Fate.OPEN


def _meaning(doubt: Doubt, began: int) -> Fate:
    """What it comes to if the order is in no list and stays out of them."""
    traded_until = doubt.traded_until
    if is_forgotten(doubt, began) and (traded_until is None or began >= traded_until):
        return Fate.OPEN
    if not doubt.is_seen:
        return Fate.NOT_ACCEPTED  # or it ended and was forgotten: nothing of it lives, and nothing traded
    return Fate.ENDED if is_forgotten(doubt, began) else Fate.OPEN


def is_forgotten(doubt: Doubt, now: int) -> bool:
    """Whether the venue may have forgotten how the order ended, so that its absence says nothing."""
    return doubt.sure_until is not None and now > doubt.sure_until


def next_look(doubt: Doubt, now: int) -> int:
    """When to look again, monotonic ns."""
    if doubt.failures:
        return now + _growing(doubt.failures)
    if doubt.looks < len(_EARLY_NS):
        return now + _EARLY_NS[doubt.looks]
    counts_after = doubt.counts_after
    if doubt.is_seen or counts_after is None or is_forgotten(doubt, now):
        return now + _growing(doubt.looks - len(_EARLY_NS) + 1)
    if doubt.absent_at is None:
        return max(now, counts_after + 1)
    return max(now, doubt.absent_at + doubt.lag)


def next_alarm(doubt: Doubt) -> int:
    """When a person has to hear of it if nothing is found out until then, monotonic ns."""
    if not doubt.alarms:
        return doubt.opened + ALARM_AFTER_NS
    return doubt.alarmed_at + min(ALARM_AFTER_NS << min(doubt.alarms - 1, 10), ALARM_AT_LEAST_NS)


def is_alarming(doubt: Doubt, now: int) -> bool:
    """Whether a person has to hear of it now."""
    return now >= next_alarm(doubt) or (not doubt.alarms and doubt.failures >= ALARM_FAILURES)


def alarmed(doubt: Doubt, now: int) -> None:
    """Note that an alarm was raised."""
    doubt.alarms += 1
    doubt.alarmed_at = now


def _growing(n: int) -> int:
    return min(_FIRST_PAUSE_NS << min(n - 1, 10), _LONGEST_PAUSE_NS)
