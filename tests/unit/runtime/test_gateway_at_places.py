"""What a gateway at several exchanges goes by for one order is that of its own exchange: row, clock, limits.

Not here: the exchanges themselves (tests/contract/test_gateway_at_several.py).
"""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal as D
from pathlib import Path

import pytest
from msgspec.structs import replace

from parley.messages import Balance, LimitChange
from parley.risk.limits import limits_of
from runtime.followed import Followed
from runtime.gateway_config import CcxtConfig, GatewayConfig
from runtime.gateway_log import Alive, GatewayLog, Recovered
from runtime.gateway_orders import Gateway
from runtime.lastlook import Counters, Limits
from tests.kit.units import make_intent
from venues.capabilities import CAPABILITIES, Capabilities
from venues.clock import compare_clocks
from venues.null_venue import NullVenue
from venues.port import VenueError
from venues.several import SeveralVenues

HERE, THERE = make_intent(1), make_intent(2, symbol="BTC/USDT@okx")
HOUR_NS = 3_600_000_000_000
CAPS = {"USDT": D(1000), "USDT@okx": D(1000)}
OWN = Limits(max_notional=CAPS, max_position=CAPS, cash=("USDT", "USDT@okx"))


class Place(NullVenue):
    """A venue with a row, and a clock that is off by ``offset_ms``; None: it does not say."""

    def __init__(self, name: str, offset_ms: float | None = 0.0) -> None:
        super().__init__(("BTC/USDT",), (("USDT", D(100)),), name)
        self._offset_ms = offset_ms
        self._row = CAPABILITIES[name]

    @property
    def capabilities(self) -> Capabilities:
        return self._row

    async def clock_offset_ms(self) -> float:
        if self._offset_ms is None:
            raise VenueError("down")
        return self._offset_ms


def test_how_long_an_order_is_remembered_is_what_its_own_exchange_does(tmp_path: Path) -> None:
    async def run() -> None:
        places = ("binance", "okx")
        home, away = (CcxtConfig(symbols=("BTC/USDT",), keys_file="", name=each) for each in places)
        config = GatewayConfig(
            account="main", socket="", journal=str(tmp_path / "gw.journal"), instruments="", venue=home,
            also=(away,), limits=OWN,
        )  # fmt: skip
        venue = SeveralVenues({each: Place(each) for each in places})
        log = GatewayLog(tmp_path / "gw.journal", {}, asyncio.get_running_loop(), lambda error: None)
        balance = Balance(account="main", venue="binance", assets=(), t=0)
        gateway = Gateway(config, venue, await venue.connect(), Counters(), log, balance, lambda: None)
        sent = time.time_ns() - 3 * HOUR_NS
        alive = tuple(Alive(intent=each, fence_until=sent, is_known=False) for each in (HERE, THERE))
        gateway.adopt(Recovered(counters=Counters(), alive=alive))
        assert gateway.doubts.unsettled({HERE.iid, THERE.iid}) == {HERE.iid}
        log.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("offsets", "worst", "known"),
    [
        ({"binance": 3.0, "okx": -8.0}, 8.0, {"", "okx"}),
        ({"binance": None, "okx": -8.0}, -1.0, {"okx"}),
        ({"binance": 3.0, "okx": None}, -1.0, {""}),
        ({"binance": -3.0}, 3.0, {""}),
        ({"binance": None}, -1.0, set()),
    ],
)
def test_a_clock_that_is_not_known_keeps_no_other_one_from_being_compared(
    offsets: dict[str, float | None], worst: float, known: set[str]
) -> None:
    errors: dict[str, int] = {}

    def measured(error_ns: int, exchange: str) -> None:
        errors[exchange] = error_ns

    venues = {name: Place(name, offset) for name, offset in offsets.items()}
    venue = SeveralVenues(venues) if len(venues) > 1 else venues["binance"]
    assert asyncio.run(compare_clocks(venue, measured)) == worst
    assert set(errors) == known
    for name, offset in offsets.items():
        if offset is not None:
            assert 0 <= errors["" if name == "binance" else name] - abs(offset) * 1e6 < 1e6


def change(key: str, new: str) -> LimitChange:
    return LimitChange(n=1, key=key, old="", new=new, by="ann", why="why", t=0)


@pytest.mark.parametrize(
    ("key", "new", "stopped"),
    [
        ("blacklist", "BTC/USDT", ("BTC/USDT", "BTC/USDT@okx")),
        ("blacklist", "BTC/USDT@okx", ("BTC/USDT@okx",)),
        ("whitelist", "ETH/USDT", ("BTC/USDT", "BTC/USDT@okx")),
        ("whitelist", "BTC/USDT", ()),
        ("whitelist", "BTC/USDT@okx", ("BTC/USDT",)),
    ],
)
def test_a_pair_that_a_person_lists_is_listed_at_every_exchange(
    key: str, new: str, stopped: tuple[str, ...]
) -> None:
    followed = Followed(limits_of({}), OWN)
    followed.ask(change(key, new))
    found = [each.symbol for each in (HERE, THERE) if followed.refusal(each) is not None]
    assert found == [*stopped]


@pytest.mark.parametrize(("node", "least"), [("BTC/USDT", D(100)), ("ETH/USDT", D(1000))])
def test_a_limit_of_a_pair_that_a_person_sets_holds_at_every_exchange(node: str, least: D) -> None:
    start = limits_of({"tree": {f"symbol:{node}": {"max_position": "0.5"}}})
    followed = Followed(start, OWN)
    followed.ask(change(f"tree.symbol:{node}.max_position", "0.1"))
    for each, quote in ((HERE, "USDT"), (THERE, "USDT@okx")):
        assert followed.caps(each, OWN, {"USDT": D(1000)}).max_position[quote] == least


def test_an_order_that_waited_is_too_large_with_what_its_coin_is_elsewhere() -> None:
    followed = Followed(limits_of({}), OWN)
    followed.ask(change("max_position", "0.1"))
    caps = replace(OWN, max_position=dict.fromkeys(CAPS, D(100)))
    waits = replace(THERE, qty=D("0.6"), ref_px=D(100))
    counters = Counters()
    counters.sent(waits, 0)
    assert followed.too_large(waits, counters, caps) is None
    counters.positions["BTC"] = D("0.5")
    no = followed.too_large(waits, counters, caps)
    assert no is not None
    assert no[1].startswith("max_position: 110")
