"""Hostility as a protocol meets it, put together from the switches.

Not here: the door and the plans, which stand outside of every protocol (`process`). Invariant: what was not
switched on is a part that does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from venues.sandbox.hostility.events import AccountWay, MarketWay, PrivateWay, PublicWay, StraightWay
from venues.sandbox.hostility.lists import Lists
from venues.sandbox.hostility.notes import Notes
from venues.sandbox.hostility.requests import RequestFates
from venues.sandbox.hostility.settings import EventShares, HostilityConfig, MarketShares


@dataclass(frozen=True, slots=True)
class Hostility:
    """The parts; `stop` ends what they do by the clock."""

    requests: RequestFates
    lists: Lists
    private: PrivateWay
    public: PublicWay
    stop: Callable[[], None]


def hostility_of(config: HostilityConfig, seed: int, notes: Notes, flush: Callable[[], None]) -> Hostility:
    """Put together what was switched on; `flush` writes what is queued for connections."""
    straight = StraightWay()
    requests = RequestFates(config, seed, notes)
    requests.after_late = flush
    account_way = AccountWay(config.private, seed, notes)
    account_way.flush = flush

    def stop() -> None:
        requests.stop()
        account_way.stop()

    return Hostility(
        requests,
        Lists(config.lookup_lag_ms, config.page_limit),
        straight if config.private == EventShares() else account_way,
        straight if config.public == MarketShares() else MarketWay(config.public, seed, notes),
        stop,
    )
