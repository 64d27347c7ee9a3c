"""A gateway or hub in another one's place waits for a venue that nobody can reach; a first one does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import ccxt
import pytest

from parley.errors import ConfigError, UserError
from runtime import gateway, hub
from runtime.gateway_config import GatewayConfig, NullConfig
from venues.ccxt_client import asked
from venues.ccxt_feed import CcxtFeed
from venues.limits import NoLimits
from venues.meter import Meter
from venues.port import NotReached, Venue, VenueError

CONFIG = GatewayConfig(
    account="main", socket="", journal="", instruments="", venue=NullConfig(symbols=(), balances={}),
    limits=cast(Any, None),
)  # fmt: skip


class Feed:
    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.meter = Meter(NoLimits())

    async def connect(self) -> dict[str, Any]:
        if (answer := self.answers.pop(0)) is not None:
            self.meter.faults.failed("markets", answer)
            raise answer
        return {}

    async def balances(self) -> tuple[tuple[str, Decimal], ...]:
        return (("USDT", Decimal(5)),)

    async def unasked(self) -> tuple[()]:
        return ()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (gateway, hub):
        monkeypatch.setattr(module, "Backoff", lambda: type("B", (), {"pause_s": lambda self: 0.001})())


def test_hub_that_takes_over_asks_until_somebody_answers() -> None:
    feed = Feed(UserError("away"), UserError("away"), None)
    asyncio.run(hub._connect(cast(CcxtFeed, feed), waits=True))
    assert feed.answers == []


@pytest.mark.parametrize(("error", "waits"), [(UserError("away"), False), (ConfigError("no pair"), True)])
def test_first_hub_and_one_that_was_told_something_wrong_do_not_wait(error: Exception, waits: bool) -> None:
    with pytest.raises(UserError) as caught:
        asyncio.run(hub._connect(cast(CcxtFeed, Feed(error, None)), waits=waits))
    assert caught.value is error


def open_venue(feed: Feed, *, again: bool, stops: bool = False) -> Any:
    async def run() -> Any:
        stop = asyncio.Event()
        if stops:
            stop.set()
        return await gateway._open_venue(CONFIG, cast(Venue, feed), stop if again else None)

    return asyncio.run(run())


def test_gateway_that_takes_over_asks_until_somebody_answers() -> None:
    feed = Feed(NotReached("away"), NotReached("away"), None)
    _, balance, _ = open_venue(feed, again=True)
    assert balance.assets == (("USDT", Decimal(5)),)
    assert feed.answers == []
    assert feed.meter.faults.take() is None  # else the first beat told of them as of now


@pytest.mark.parametrize(
    ("error", "again", "stops"),
    [
        (NotReached("away"), False, False),
        (VenueError("bad key"), True, False),
        (NotReached("away"), True, True),
    ],
)
def test_gateway_does_not_wait_for_what_will_not_come(error: Exception, again: bool, stops: bool) -> None:
    feed = Feed(error, None)
    with pytest.raises(UserError, match="the venue 'null' cannot be used"):
        open_venue(feed, again=again, stops=stops)
    assert feed.answers == [None]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ccxt.ExchangeNotAvailable, NotReached), (ccxt.RequestTimeout, NotReached),
        (ccxt.NetworkError, NotReached), (ccxt.OnMaintenance, NotReached),
        (ccxt.DDoSProtection, VenueError), (ccxt.RateLimitExceeded, VenueError),
        (ccxt.InvalidNonce, VenueError), (ccxt.AuthenticationError, VenueError),
    ],
)  # fmt: skip
def test_only_silence_is_not_reached(error: Callable[[str], Exception], kind: type[Exception]) -> None:
    async def request() -> None:
        raise error("x")

    with pytest.raises(VenueError) as caught:
        asyncio.run(asked("markets", request()))
    assert type(caught.value) is kind
