"""Brackets of notional value, and settings of perpetual contracts that make no sense."""

from __future__ import annotations

import pytest

from venues.sandbox.config_values import ConfigError
from venues.sandbox.instrument import Instrument
from venues.sandbox.perpetual.assembly import check_contracts, contracts_of
from venues.sandbox.perpetual.brackets import LARGE, OTHERS, Brackets
from venues.sandbox.perpetual.settings import PerpetualConfig, parse_perpetuals
from venues.sandbox.units import MONEY_ONE, ONE

TICK, LOT = ONE // 100, ONE // 1000
AAA, BBB = (Instrument(base, "USDT", TICK, LOT, 0) for base in ("AAA", "BBB"))


@pytest.mark.parametrize("rows", [LARGE, OTHERS])
def test_maintenance_margin_is_continuous_and_rises(rows: tuple[tuple[str, int, str], ...]) -> None:
    brackets = Brackets(rows)
    assert brackets.rows[0].maintenance(0) == 0
    for before, after in zip(brackets.rows, brackets.rows[1:], strict=False):
        assert before.cap == after.floor
        assert before.maintenance(before.cap) == after.maintenance(before.cap)
        assert brackets.maintenance(before.cap + MONEY_ONE) > brackets.maintenance(before.cap)
    # 1,000,000 at Binance's figures: 0.65 % less the constant of its bracket
    assert Brackets(LARGE).maintenance(1_000_000 * MONEY_ONE) == 5_550 * MONEY_ONE


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"bracket": {}}, "did you mean 'brackets'"),
        ({"funding_rates": {"AAAUSDT": "0.03"}}, "from -0.02 to 0.02"),
        ({"liquidation_fee": "1"}, "a share below 1"),
        ({"brackets": {"AAAUSDT": [["5", 10, "0.1"], ["4", 5, "0.2"]]}}, "rising caps"),
        ({"brackets": {"AAAUSDT": [["5", 10, "0.1"], ["6", 10, "0.2"]]}}, "a leverage below 10"),
        ({"brackets": {"AAAUSDT": []}}, "at least one bracket"),
    ],
)
def test_settings_that_make_no_sense_are_refused(raw: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_perpetuals(raw)


def test_contracts_are_on_pairs_of_the_market_in_one_asset() -> None:
    with pytest.raises(ConfigError, match="expected pairs quoted in USDT"):
        contracts_of([Instrument("ETH", "BTC", TICK, LOT, 0)], "USDT")
    with pytest.raises(ConfigError, match="expected one of AAAUSDT, BBBUSDT"):
        check_contracts(PerpetualConfig(funding_rates={"CCCUSDT": "0"}), [AAA, BBB])
