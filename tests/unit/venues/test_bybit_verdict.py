"""Which of Bybit's answers mean for certain that there is no order."""

from __future__ import annotations

import ccxt
import pytest

from venues.bybit_orders import verdict
from venues.capabilities import CAPABILITIES, capabilities_of, lacks_for_opening, wrong_cid
from venues.port import Ambiguous, Rejected


def answered(code: int, kind: type[Exception] = ccxt.InvalidOrder) -> Exception:
    return kind(f'bybit {{"retCode":{code},"retMsg":"words","result":{{}},"retExtInfo":{{}},"time":1}}')


@pytest.mark.parametrize("code", [10001, 10002, 10004, 170131, 170134, 170140])
def test_refusal_is_definitive_by_its_code(code: int) -> None:
    found = verdict(answered(code, ccxt.ExchangeError))
    assert isinstance(found, Rejected)
    assert found.code == f"venue:{code}"


# ccxt raises the same class for these as for refusals.
@pytest.mark.parametrize("code", [170146, 170147, 170149, 170007, 10000, 10006, 10016, 10018, 987654])
def test_time_out_failure_limit_or_unknown_code_leaves_the_order_in_doubt(code: int) -> None:
    assert isinstance(verdict(answered(code)), Ambiguous)


@pytest.mark.parametrize("code", [10014, 110072, 170141])
def test_duplicate_says_that_some_send_arrived(code: int) -> None:
    found = verdict(answered(code))
    assert isinstance(found, Ambiguous)
    assert found.cause.startswith("duplicate: ")


@pytest.mark.parametrize(
    "error",
    [ccxt.AuthenticationError("bybit 401 Unauthorized"), ccxt.InvalidOrder("no code"), KeyError("result")],
)
def test_answer_without_a_code_leaves_the_order_in_doubt(error: Exception) -> None:
    assert isinstance(verdict(error), Ambiguous)


def test_every_row_finds_orders_and_takes_our_ids() -> None:
    for row in CAPABILITIES.values():
        assert "look-up" not in lacks_for_opening(row)
        assert wrong_cid(row, "u3avpv4a7hkzs7bmtyidhdbi7cm5nze") == ""
        assert f" {row.cid_len} of " in wrong_cid(row, "x" * (row.cid_len + 1))
        assert wrong_cid(row, "a/b")


def test_venue_without_a_row_is_refused_by_name() -> None:
    with pytest.raises(Exception, match="bybit"):
        capabilities_of("bybt")
