"""Whatever a row can hold can be answered: no time, no number and no text of the journal is a 500."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from api.schemas.accounts import Equity, Position, equity_of, position_of
from api.schemas.orders import Fill, Order, fill_of, order_of
from api.schemas.rounds import Round, round_of
from api.schemas.seats import Agent, agent_of
from api.schemas.system import Account, Journal, account_of

TIMES = st.integers(-(2**63), 2**63 - 1)
AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=-(10**12), max_value=10**12)
FLOATS = st.floats()
TEXTS = st.text(max_size=20)
COUNTS = st.integers(0, 2**63 - 1)
KEYS = st.binary(max_size=20)


def rows(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(fields)


ROUNDS = rows(
    round=KEYS, opened_seq=COUNTS, t=TIMES, symbol=TEXTS, trigger=TEXTS, asked=st.lists(TEXTS), outcome=TEXTS,
    agent=TEXTS, proposals=COUNTS, reason_by=TEXTS, reason_code=TEXTS, reason_detail=TEXTS,
    decided_seq=st.none() | COUNTS,
)  # fmt: skip
ORDERS = rows(
    iid=KEYS, cid=TEXTS, seq=COUNTS, changed_seq=COUNTS, round=KEYS, pid=KEYS, agent=TEXTS, leg=COUNTS,
    child=COUNTS, account=TEXTS, venue=TEXTS, symbol=TEXTS, side=TEXTS, style=TEXTS, tif=TEXTS,
    reduce_only=st.booleans(), qty=AMOUNTS, px=st.none() | AMOUNTS, ref_px=st.none() | AMOUNTS, state=TEXTS,
    filled=AMOUNTS, quote=AMOUNTS, fees=st.dictionaries(TEXTS, AMOUNTS.map(str)), venue_id=TEXTS,
    cause=TEXTS, t=TIMES,
)  # fmt: skip
FILLS = rows(
    venue=TEXTS, account=TEXTS, symbol=TEXTS, trade_id=TEXTS, seq=COUNTS, iid=KEYS, venue_id=TEXTS,
    side=TEXTS, qty=AMOUNTS, px=AMOUNTS, fee=AMOUNTS, fee_asset=TEXTS, liquidity=TEXTS, t=TIMES,
)  # fmt: skip
POSITIONS = rows(
    account=TEXTS, symbol=TEXTS, seq=COUNTS, t=TIMES, qty=AMOUNTS, avg_px=AMOUNTS, realised=AMOUNTS,
    unrealised=AMOUNTS, mark=AMOUNTS,
)  # fmt: skip
EQUITY = rows(
    account=TEXTS, seq=COUNTS, t=TIMES, equity=AMOUNTS, peak=AMOUNTS, day_open=AMOUNTS, realised=AMOUNTS,
    fees=AMOUNTS, trading=TEXTS,
)  # fmt: skip
AGENTS = rows(
    agent=TEXTS, role=TEXTS, factory=TEXTS, words=COUNTS, opinions=COUNTS, proposals=COUNTS, refusals=COUNTS,
    silences=COUNTS, lates=COUNTS, faults=COUNTS, strikes=COUNTS, quarantined=st.booleans(),
    weight=st.none() | FLOATS, last_seq=COUNTS, last_at=st.none(),
)  # fmt: skip


def answered(model: type[BaseModel], fields: dict[str, Any]) -> dict[str, Any]:
    """Return what a client reads."""

    def no_constant(text: str) -> None:
        pytest.fail(f"{text} is no JSON")

    found: dict[str, Any] = json.loads(
        model.model_validate(fields).model_dump_json(), parse_constant=no_constant
    )
    return found


@given(ROUNDS)
def test_any_round(row: dict[str, Any]) -> None:
    assert answered(Round, round_of(row, "r"))["proposals"] == row["proposals"]


@given(ORDERS)
def test_any_order(row: dict[str, Any]) -> None:
    told = answered(Order, order_of(row, "r"))

    assert Decimal(told["qty"]) == row["qty"]
    assert (told["px"] is None) == (row["px"] is None)


@given(FILLS)
def test_any_fill(row: dict[str, Any]) -> None:
    told = answered(Fill, fill_of(row, "r"))

    assert Decimal(told["fee"]) == row["fee"]
    assert told["id"] != answered(Fill, fill_of(row, "another"))["id"]


@given(POSITIONS)
def test_any_position(row: dict[str, Any]) -> None:
    assert Decimal(answered(Position, position_of(row, "r"))["qty"]) == row["qty"]


@given(EQUITY)
def test_any_equity(row: dict[str, Any]) -> None:
    assert Decimal(answered(Equity, equity_of(row, "r"))["equity"]) == row["equity"]


@given(AGENTS)
def test_any_agent(row: dict[str, Any]) -> None:
    assert answered(Agent, agent_of(row, "r", None))["live"] is None


@given(TIMES)
def test_any_journal_and_account(t: int) -> None:
    journal = {
        "stream": "gateway", "seq": 1, "market_time": t, "updated_at": "2021-05-08T00:00:00.000Z",
        "backlog_records": None, "backlog_bytes": None, "error": "",
    }  # fmt: skip
    account = {
        "account": "main", "t": t, "quote": "USDT", "trading": "ACTIVE", "equity": Decimal(1),
        "cash": [{"asset": "USDT", "total": "1", "reserved": "0"}], "blocked": [],
    }  # fmt: skip

    told = answered(Journal, journal)["market_time"], answered(Account, account_of(account))["updated_at"]

    assert told[0] == told[1]
    assert told[0] is None or told[0].endswith("Z")
