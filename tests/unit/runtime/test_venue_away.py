"""A gateway or hub in another one's place waits for a venue that nobody can reach; a first one does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import ccxt
import msgspec
import pytest

from parley.budget import Lack
from parley.errors import ConfigError, UserError
from runtime import gateway, hub
from runtime.gateway_config import GatewayConfig, NullConfig
from runtime.gateway_log import Recovered
from runtime.lastlook import Counters
from runtime.real_money import RealMoney
from venues.capabilities import CAPABILITIES
from venues.ccxt_client import asked
from venues.ccxt_feed import CcxtFeed
from venues.faults import Faults
from venues.limits import NoLimits
from venues.meter import Meter
from venues.port import Denied, KeyRights, Venue, VenueError

CONFIG = GatewayConfig(
    account="main", socket="", journal="", instruments="", venue=NullConfig(symbols=(), balances={}),
    limits=cast(Any, None),
)  # fmt: skip
HARMLESS = KeyRights(trades=True, withdraws=False)


class Feed:
    """Answers as it is told to; the last of several answers is that to all later questions too."""

    capabilities = CAPABILITIES["binance"]
    lag_ns = 0

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.rights: list[Exception | KeyRights] = [HARMLESS]
        self.held = [Decimal(500)]
        self.offset_ms = 1.0
        self.meter = Meter(NoLimits())

    async def connect(self) -> dict[str, Any]:
        if (answer := self.answers.pop(0)) is not None:
            self.meter.faults.failed("markets", answer)
            raise answer
        return {}

    async def balances(self) -> tuple[tuple[str, Decimal], ...]:
        return (("USDT", self.held.pop(0) if len(self.held) > 1 else self.held[0]),)

    async def unasked(self) -> tuple[()]:
        return ()

    async def resting(self, tag: str) -> tuple[()]:
        return ()

    async def unfit(self) -> tuple[()]:
        return ()

    async def prepare(self) -> None:
        """Nothing has to be."""

    async def key_rights(self) -> KeyRights:
        said = self.rights.pop(0) if len(self.rights) > 1 else self.rights[0]
        if isinstance(said, Exception):
            raise said
        return said

    async def clock_offset_ms(self) -> float:
        return self.offset_ms


@pytest.fixture
def real(tmp_path: Path) -> GatewayConfig:
    wanted = RealMoney(quote="USDT", capital=Decimal(500), max_clock_offset_ms=100)
    return msgspec.structs.replace(CONFIG, journal=str(tmp_path / "gateway.journal"), real_money=wanted)


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


def begin(feed: Feed, *, again: bool, stops: bool = False, config: GatewayConfig = CONFIG) -> Any:
    async def run() -> Any:
        stop = asyncio.Event()
        if stops:
            stop.set()
        told, earlier = stop if again else None, Recovered(counters=Counters())
        return await gateway._account(config, cast(Venue, feed), earlier, told, is_first=not again)

    return asyncio.run(run())


@pytest.mark.parametrize("said", ["away", "banned", "too slow to be believed"])
def test_gateway_that_takes_over_asks_until_it_is_told(said: str) -> None:
    feed = Feed(VenueError(said), VenueError(said), None)
    _, _, balance, _ = begin(feed, again=True)
    assert balance.assets == (("USDT", Decimal(500)),)
    assert feed.answers == []
    assert feed.meter.faults.take() is None  # else the first beat told of them as of now


def test_gateway_that_takes_over_waits_for_the_end_of_a_ban(caplog: pytest.LogCaptureFixture) -> None:
    feed = Feed(VenueError("banned"), None)
    lacks = [Lack("address", 200_000_000, True), None]
    feed.meter = cast(Any, SimpleNamespace(lack=lambda request: lacks.pop(0), faults=Faults()))
    begin(feed, again=True)
    assert "venue_not_ready retry_s=0.2 banned" in caplog.text


@pytest.mark.parametrize(
    ("error", "again", "stops"),
    [
        (VenueError("away"), False, False),
        (Denied("bad key"), True, False),
        (VenueError("away"), True, True),
    ],
)
def test_gateway_does_not_wait_for_what_will_not_come(error: Exception, again: bool, stops: bool) -> None:
    feed = Feed(error, None)
    with pytest.raises(UserError, match="the venue 'null' cannot be used"):
        begin(feed, again=again, stops=stops)
    assert feed.answers == [None]


@pytest.mark.parametrize(
    "unknown", [VenueError("the service of keys is away"), VenueError("banned")], ids=["away", "banned"]
)
def test_gateway_that_takes_over_asks_again_what_the_key_may_do(
    real: GatewayConfig, unknown: Exception
) -> None:
    feed = Feed(None, None, None)
    feed.rights = [unknown, unknown, HARMLESS]
    _, _, balance, books = begin(feed, again=True, config=real)
    assert (balance.assets, books is not None) == ((("USDT", Decimal(500)),), True)

    first = Feed(None)
    first.rights = [unknown]
    with pytest.raises(UserError, match="it is not known what the API key may do"):
        begin(first, again=False, config=real)


@pytest.mark.parametrize(
    ("rights", "why"),
    [
        (Denied("no such key"), "it is not known what the API key may do"),
        (KeyRights(trades=True, withdraws=True), "the API key may withdraw"),
    ],
)
def test_gateway_that_takes_over_ends_by_what_speaks_against_the_account(
    real: GatewayConfig, rights: Exception | KeyRights, why: str
) -> None:
    feed = Feed(None)
    feed.rights = [rights]
    with pytest.raises(UserError, match=why):
        begin(feed, again=True, config=real)


def test_clock_that_is_off_stops_a_first_gateway_and_shuts_the_gate_of_another(real: GatewayConfig) -> None:
    for again in (False, True):
        feed = Feed(None)
        feed.offset_ms = 250.0
        if again:
            begin(feed, again=True, config=real)
        else:
            with pytest.raises(UserError, match="clock differs"):
                begin(feed, again=False, config=real)


def test_balance_that_is_late_is_read_again_and_one_that_stays_ends_it(
    real: GatewayConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(None, None)
    feed.held = [Decimal(499), Decimal(500)]
    _, _, balance, _ = begin(feed, again=True, config=real)
    assert balance.assets == (("USDT", Decimal(500)),)

    monkeypatch.setattr(gateway, "_SETTLES_S", 0.0)
    lacking = Feed(*[None] * 100)
    lacking.held = [Decimal(499)]
    with pytest.raises(UserError, match="the account holds 499 USDT, the desk needs 500"):
        begin(lacking, again=True, config=real)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ccxt.ExchangeNotAvailable, VenueError), (ccxt.RequestTimeout, VenueError),
        (ccxt.DDoSProtection, VenueError), (ccxt.InvalidNonce, VenueError),
        (ccxt.AuthenticationError, Denied), (ccxt.PermissionDenied, Denied), (ccxt.AccountSuspended, Denied),
    ],
)  # fmt: skip
def test_only_who_is_known_and_turned_away_is_denied(
    error: Callable[[str], Exception], kind: type[Exception]
) -> None:
    async def request() -> None:
        raise error("x")

    with pytest.raises(VenueError) as caught:
        asyncio.run(asked("markets", request()))
    assert type(caught.value) is kind
