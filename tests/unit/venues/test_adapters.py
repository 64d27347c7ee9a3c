"""Every venue that can be chosen is certified, and one that may not be traded at is refused.

Not here: what a row promises (the adapters' contract tests).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from parley.errors import ConfigError
from parley.messages import Intent
from runtime.gateway_config import CcxtConfig, GatewayConfig, make_venue
from runtime.lastlook import Counters, Limits, refusal
from tests.kit.units import make_intent
from venues import capabilities
from venues.adapters import ADAPTERS
from venues.capabilities import CAPABILITIES, lacks_for_opening
from venues.null_venue import CAPABILITIES as NULL
from venues.sandbox.config import PROTOCOLS


def config(folder: Path, exchange: str, host: str = "127.0.0.1:9") -> GatewayConfig:
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"api_key": "k", "secret": "s"}))
    keys.chmod(0o600)
    venue = CcxtConfig(
        symbols=("BTC/USDT",), keys_file=str(keys), exchange=exchange, rest=host and f"http://{host}",
        ws=host and f"ws://{host}",
    )  # fmt: skip
    return GatewayConfig(
        account="main", socket="s", journal="j", instruments="i", venue=venue,
        limits=Limits(max_notional={}, max_position={}),
    )  # fmt: skip


def test_whoever_can_be_chosen_has_a_row_and_the_sandbox_speaks_it() -> None:
    assert ADAPTERS.keys() == CAPABILITIES.keys() == set(PROTOCOLS)
    opens = {name for name, row in CAPABILITIES.items() if not lacks_for_opening(row)}
    assert opens == {"binance", "binanceusdm", "bybit", "okx", "kucoin"}
    assert all(
        lacks_for_opening(CAPABILITIES[each]).startswith("undocumented: ") for each in set(ADAPTERS) - opens
    )


@pytest.mark.parametrize("exchange", sorted(ADAPTERS))
def test_the_gateway_makes_the_venue_it_is_told_with_its_row(exchange: str, tmp_path: Path) -> None:
    venue = make_venue(config(tmp_path, exchange))
    assert venue.capabilities == CAPABILITIES[exchange]
    assert venue.fence_ns == max(2000, CAPABILITIES[exchange].least_fence_ms) * 1_000_000


def test_a_venue_without_a_row_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no certified adapter for 'binanse'; did you mean 'binance'"):
        make_venue(config(tmp_path, "binanse"))


@pytest.mark.parametrize(
    ("look_up", "lacks"),
    [((), "open and closed"), (("open",), "closed"), (("closed",), "open")],
)
def test_a_venue_that_lacks_what_opening_needs_is_refused_with_the_reason(
    look_up: tuple[capabilities.Listed, ...], lacks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poor = replace(CAPABILITIES["bybit"], look_up=look_up)
    monkeypatch.setitem(CAPABILITIES, "bybit", poor)
    with pytest.raises(ConfigError) as refused:
        make_venue(config(tmp_path, "bybit", host=""))
    reason = f"no look-up by client order id among {lacks} orders"
    assert str(refused.value) == f"the venue 'bybit' cannot be traded at: {reason}"


@pytest.mark.parametrize(
    ("cid", "code"),
    [("Az09_-", ""), ("x" * 36, ""), ("x" * 37, "client_id"), ("a b", "client_id"), ("", "client_id"),
     ("id\n", "client_id"), ("\u00e9", "client_id")],
)  # fmt: skip
@pytest.mark.parametrize("row", [CAPABILITIES["binance"], CAPABILITIES["bybit"], NULL])
def test_the_last_look_knows_which_ids_a_venue_takes(
    row: capabilities.Capabilities, cid: str, code: str
) -> None:
    found = refusal(order(cid), Counters(), Limits(max_notional={}, max_position={}), {}, row=row, now_mono=0)
    assert found is not None
    # a good id gets past it, to the next reason: there are no instruments
    assert found[0] == (code or "unknown_symbol")


@pytest.mark.parametrize(
    ("cid", "code"),
    [("Az09", ""), ("x" * 32, ""), ("x" * 33, "client_id"), ("a_b", "client_id"), ("", "client_id")],
)
def test_the_last_look_knows_that_okx_takes_fewer(cid: str, code: str) -> None:
    row = CAPABILITIES["okx"]
    found = refusal(order(cid), Counters(), Limits(max_notional={}, max_position={}), {}, row=row, now_mono=0)
    assert found is not None
    assert found[0] == (code or "unknown_symbol")


def order(cid: str) -> Intent:
    return make_intent(1, cid=cid)
