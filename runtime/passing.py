"""Whether an order may leave a gateway now: kills, the last look, and the limits a person changed.

Not here: the rules (`lastlook`, `followed`), the kill file (`kill_switch`).

Invariant: it changes nothing but what the venue's meter counts, and what the desk is told of that. An exit
passes a kill that flattens and the desk's limits, never the gateway's own caps. With real money the worth
that a changed limit is a share of hangs on no price that the desk names.
"""

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from parley.budget import Rank
from parley.instruments import ZERO, Instrument, assets_of, exchange_of, is_contract, plain
from parley.messages import LAST_LOOK, UNGUARDED, Intent
from runtime.credits import Credits
from runtime.followed import Followed
from runtime.kill_switch import KillSwitch
from runtime.lastlook import HALTED, Counters, Limits, reduces, refusal
from venues.dead_man import may_rest, switches_of
from venues.limits import Request
from venues.meter import words
from venues.port import Venue

_UNGUARDED: Final = UNGUARDED.removeprefix(LAST_LOOK)
NOT_HELD: Final = ("stop_opens", "more than is held, with all that works beside it")


class Passing:
    """What an order passes between desk and venue; ``brought`` is what the account had of its own."""

    def __init__(
        self, own: Limits, counters: Counters, instruments: Mapping[str, Instrument], venue: Venue,
        brought: Mapping[str, Decimal], kills: KillSwitch, followed: Followed, credits: Credits,
    ) -> None:  # fmt: skip
        self._own = own
        self._counters = counters
        self._instruments = instruments
        self._venue = venue
        self._brought = brought
        self._kills = kills
        self._followed = followed
        self._credits = credits
        self._switches = switches_of(venue)

    def refusal(self, intent: Intent, now_mono: int) -> tuple[str, str] | None:
        """Return (code, detail) when an order must not be written down as one that leaves."""
        self._see(intent, now_mono)
        opens = not self.reduces(intent, is_counted=False)
        no = refusal(
            intent, self._counters, self._caps(intent) if opens else self._own, self._instruments,
            row=self._venue.capabilities, now_mono=now_mono, halted=self._stopped(intent, is_counted=False),
        )  # fmt: skip
        if no is None and opens:
            if intent.trigger is not None:
                return NOT_HELD
            return self._followed.refusal(intent) or self._unguarded(intent)
        return no

    def unsendable(self, intent: Intent) -> tuple[str, str] | None:
        """Return (code, detail) when an order must not leave now; None: it has been paid for at the venue."""
        if time.monotonic_ns() >= intent.send_by:
            return "too_late", "it waited past send_by"
        if stopped := self._stopped(intent, is_counted=True):
            return HALTED, stopped
        if not self.reduces(intent, is_counted=True):
            if intent.trigger is not None:
                return NOT_HELD
            # a limit may have been tightened while it waited, and a promise have run out
            no = (
                self._followed.refusal(intent)
                or self._followed.too_large(intent, self._counters, self._caps(intent))
                or self._unguarded(intent)
            )
            if no is not None:
                return no
        meter = self._venue.meter.of(intent.symbol)
        lack = meter.take(Request.SEND)
        if lack is not None and self.reduces(intent, is_counted=True):
            lack = meter.take(Request.SEND, Rank.REDUCE)
        self._credits.look()
        return None if lack is None else words(lack)

    def reduces(self, intent: Intent, *, is_counted: bool) -> bool:
        """Whether an order can only bring a position nearer to zero; ``is_counted``: `lastlook.reduces`."""
        held = self._brought.get(assets_of(intent.symbol)[0], ZERO)
        return reduces(intent, self._counters, held, is_counted=is_counted)

    def _unguarded(self, intent: Intent) -> tuple[str, str] | None:
        """Return (code, detail) when it may rest and the exchange would not cancel it if we fell silent."""
        switch = self._switches.get(exchange_of(intent.symbol)) if may_rest(intent) else None
        why = switch.refusal(plain(intent.symbol)) if switch is not None else ""
        return (_UNGUARDED, f"the exchange's own dead man's switch is not set: {why}") if why else None

    def _see(self, intent: Intent, now_mono: int) -> None:
        """Have the worth of the account worked out by an order's price, or by what is known without it."""
        if not self._own.capital:
            self._followed.see(intent)
            return
        base = assets_of(intent.symbol)[0]
        if is_contract(base):
            known = self._counters.contracts.marks.of(base, now_mono)
        else:
            known = self._counters.traded.get(intent.symbol)
        self._followed.see(replace(intent, ref_px=known))

    def _stopped(self, intent: Intent, *, is_counted: bool) -> str:
        """Say which kill keeps an order from leaving; exits pass one that flattens, stops do not."""
        kill = self._kills.stop_of(intent.symbol, intent.agent)
        leaves = kill is not None and kill.mode == "flatten" and intent.trigger is None
        if kill is None or (leaves and self.reduces(intent, is_counted=is_counted)):
            return ""
        return f"killed: {kill.scope}, {kill.mode}: {kill.reason}"

    def _caps(self, intent: Intent) -> Limits:
        if not self._followed.is_changed:
            return self._own
        own, positions = self._own, self._counters.positions
        brought = own.capital or self._brought  # with real money only a part of the account is the desk's
        has = {
            asset: brought.get(asset, ZERO) + positions.get(asset, ZERO) for asset in {*brought, *positions}
        }
        return self._followed.caps(intent, own, has)
