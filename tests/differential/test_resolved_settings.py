"""What our side derives from a case is what freqtrade derives from it, value by value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.differential import ours
from tests.differential.case import Case
from tests.differential.compare import is_equal
from tests.differential.generator import LEVELS, draw_case
from tests.differential.outcome import plain
from tests.differential.worker import Worker

CASES = 25
# What the loop reads in another form than freqtrade keeps it, or what names the formula of the venue.
NOT_COMPARED = {
    "hooks",
    "dry_run_wallet",
    "other_balances",
    "liquidation_formula",
    "exchange",
    "stake_currency",
}


@pytest.fixture(scope="module")
def resolver() -> Iterator[Worker]:
    """A process that answers with freqtrade's settings of a case."""
    worker = Worker(runner="tests.differential.resolved")
    yield worker
    worker.close()


@pytest.mark.parametrize("level", LEVELS)
def test_settings_ticks_and_funding_are_freqtrades(level: int, resolver: Worker) -> None:
    for number in range(CASES):
        case = draw_case(21, number, level)
        told = resolver.run(case)
        case = ours.within_range(case)

        settings = _plain(ours.settings_of(case))

        for name, expected in told.counts.items():
            if name == "start_ms":
                continue  # the frames are cut already
            assert is_equal(expected, settings[name]), f"{case.label} {name}: {expected} {settings[name]}"
        assert settings.keys() - told.counts.keys() <= NOT_COMPARED | {
            "stop_ms",
            "dynamic_pairlist",
            "start_ms",
        }
        for pair in case.pairs:
            _check_pair(case, pair, told.columns[pair][0])


def _check_pair(case: Case, pair: str, told: dict[str, Any]) -> None:
    spec = _plain(ours.spec_of(case, pair))
    spec["leverage_tiers"] = [list(tier.values()) for tier in spec["leverage_tiers"]]
    if case.is_futures:
        funding = ours.funding_of(case, pair)
        spec["funding_times_ns"] = funding.times_ns.tolist()
        spec["funding_fee_per_unit"] = funding.fee_per_unit.tolist()
    else:
        spec["funding_times_ns"] = spec["funding_fee_per_unit"] = []
    for name, expected in told.items():
        assert is_equal(expected, spec[name]), f"{case.label} {pair} {name}: {expected} {spec[name]}"


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    built: dict[str, Any] = plain(msgspec.to_builtins(value))
    return built
