"""Ids, amounts and times on the wire: exact, readable again, total on what a journal can hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.wire import at, decimal_text, decode_token, encode_token, ns, parse_id, show_id, show_time


@given(st.binary(min_size=16, max_size=16), st.sampled_from(["rnd_", "ord_", "prp_"]))
def test_id_is_read_as_it_was_shown(raw: bytes, prefix: str) -> None:
    shown = show_id(prefix, raw)

    assert parse_id(prefix, shown) == raw
    assert len(shown) == 30


@given(st.text(max_size=40))
def test_any_text_is_an_id_or_none(text: str) -> None:
    found = parse_id("rnd_", text)

    assert found is None or len(found) == 16


def test_id_of_another_kind_is_none() -> None:
    assert parse_id("rnd_", show_id("ord_", bytes(16))) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**15), max_value=10**15))
def test_amount_is_exact_and_without_exponent(value: Decimal) -> None:
    shown = decimal_text(value)

    assert Decimal(shown) == value
    assert set(shown) <= set("-0123456789.")


@pytest.mark.parametrize(
    ("value", "shown"), [("1E-8", "0.00000001"), ("1E+3", "1000"), ("-0", "0"), ("2.50", "2.5"), ("0.0", "0")]
)
def test_amounts_as_they_look(value: str, shown: str) -> None:
    assert decimal_text(Decimal(value)) == shown


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_every_time_of_a_journal_can_be_shown(t_ns: int) -> None:
    shown = at(t_ns)

    assert shown is None or datetime.fromisoformat(shown.replace("Z", "+00:00"))


def test_times_are_utc_to_the_millisecond() -> None:
    assert at(1_620_432_060_123_999_999) == "2021-05-08T00:01:00.123Z"
    assert at(0) is None
    there = timezone(timedelta(hours=2))
    assert show_time(datetime(2021, 5, 8, 2, 1, tzinfo=there)) == "2021-05-08T00:01:00.000Z"
    assert ns(datetime(2021, 5, 8, 0, 1, tzinfo=UTC)) == 1_620_432_060_000_000_000
    assert ns(datetime.max.replace(tzinfo=UTC)) < 2**63


@given(st.binary(max_size=60))
def test_token_is_read_as_it_was_written(raw: bytes) -> None:
    assert decode_token(encode_token(raw)) == raw
