"""What a run with real money says of its books: exchange, gateway and desk agree, or it is told where not."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from parley.messages import KINDS, Fill, FundingPaid, encode
from runtime.journal import Group, JournalWriter, Record
from runtime.live_books import audited, fills_of
from runtime.real_money import Audit
from tests.kit.builders import make_fill
from tests.kit.small_journal import Notes, run_config


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A desk that bought 0.1 BTC with a fee in BTC, sold half of it with one in BNB, and crossed to ETH."""
    return write(
        tmp_path,
        make_fill(trade_id="1", qty="0.1", px="60000", fee="0.0001", fee_asset="BTC"),
        make_fill(trade_id="2", side="sell", qty="0.05", px="62000", fee="0.002", fee_asset="BNB"),
        make_fill(
            trade_id="3", symbol="ETH/BTC", qty="0.2", px="0.05", fee="-0.00001", fee_asset="BTC",
        ),
        make_fill(trade_id="4", symbol="SOL/USDT", qty="3", px="100", fee="0", fee_asset=""),
        make_fill(trade_id="5", symbol="SOL/USDT", side="sell", qty="3", px="100", fee="0", fee_asset=""),
    )  # fmt: skip


MOVED = {"BTC": D("0.03991"), "BNB": D("-0.002"), "ETH": D("0.2"), "USDT": D(-2900)}


def write(folder: Path, *fills: Fill | FundingPaid) -> Path:
    """Write a desk's journal with fills and payments among its other records."""
    notes = Notes(folder / "desk.journal", run_config())
    for fill in fills:
        notes.put(fill, sender="gateway")
    notes.writer.close()
    return folder / "desk.journal"


def line(own: dict[str, D], other: dict[str, D] | None = None) -> dict[str, object]:
    """Return what a gateway's line is after it went through its standard output."""
    told = {"audit": msgspec.to_builtins(Audit(own=own, other=other or {}))}
    return msgspec.json.decode(msgspec.json.encode(told), type=dict[str, object])


def test_what_fills_brought_is_summed_with_fees_and_without_zeros(journal: Path) -> None:
    assert fills_of(journal) == MOVED


def test_payments_for_holding_contracts_count_once_and_those_of_before_not(tmp_path: Path) -> None:
    sold = make_fill(symbol="BTC/USDT:USDT", side="sell", qty="0.1", px="60000", fee="3", fee_asset="USDT")
    first = FundingPaid(account="main", symbol="BTC/USDT:USDT", amount=D("0.5"), asset="USDT", t=1, ref="1")
    others = (replace(first, ref="2", amount=D("-0.2")), replace(first, ref="0", prior=True))

    journal = write(tmp_path, sold, first, first, *others)
    assert fills_of(journal) == {"BTC:USDT": D("-0.1"), "USDT": D("5997.3")}


def test_a_payment_that_came_when_the_desk_had_ended_is_no_difference(tmp_path: Path) -> None:
    paid = FundingPaid(account="main", symbol="BTC/USDT:USDT", amount=D("-0.5"), asset="USDT", t=1, ref="1")
    journal = write(tmp_path, paid)
    writer = JournalWriter.create(tmp_path / "gateway.journal", {"unit": "gateway"}, on_fatal=print)
    for seq, ref in enumerate(("1", "2"), writer.next_seq):
        said = replace(paid, ref=ref)
        writer.post(Group(1, [Record(seq, KINDS[FundingPaid], b"", encode(said))]), lambda gid, error: None)
    writer.close()

    told = audited(line({"USDT": D(-1)}), journal)
    assert told["ledger_equals_exchange"] is True, told
    assert told["ledger_check"]["payments_after_the_end"] == 1
    assert audited(line({"USDT": D("-0.5")}), journal)["ledger_equals_exchange"] is False


def test_books_that_agree(journal: Path) -> None:
    assert audited(line(MOVED), journal) == {
        "ledger_equals_exchange": True,
        "ledger_check": {
            "differences": 0,
            "first": [],
            "moved": {"BTC": "0.03991", "BNB": "-0.002", "ETH": "0.2", "USDT": "-2900"},
        },
    }


def test_a_run_that_traded_nothing_agrees(tmp_path: Path) -> None:
    assert audited(line({}), write(tmp_path)) == {
        "ledger_equals_exchange": True, "ledger_check": {"differences": 0, "first": [], "moved": {}}
    }  # fmt: skip


def test_a_fill_that_only_the_gateway_has_is_told(journal: Path) -> None:
    said = audited(line(MOVED | {"BTC": D("0.05"), "XRP": D(7)}), journal)

    assert said["ledger_equals_exchange"] is False
    assert said["ledger_check"]["first"] == [
        "BTC: fills brought 0.05 by the gateway's journal, 0.03991 by the desk's",
        "XRP: fills brought 7 by the gateway's journal, 0 by the desk's",
    ]


def test_a_fill_that_only_the_desk_has_is_told(journal: Path) -> None:
    own = {asset: amount for asset, amount in MOVED.items() if asset != "ETH"}

    assert audited(line(own), journal)["ledger_check"]["first"] == [
        "ETH: fills brought 0 by the gateway's journal, 0.2 by the desk's"
    ]


def test_what_no_fill_explains_is_told(journal: Path) -> None:
    said = audited(line(MOVED, {"USDT": D(350), "BTC": D("-0.01")}), journal)

    assert said["ledger_equals_exchange"] is False
    assert (said["ledger_check"]["differences"], said["ledger_check"]["first"]) == (
        2,
        [
            "BTC: -0.01 moved in the account that no fill of this desk explains",
            "USDT: +350 moved in the account that no fill of this desk explains",
        ],
    )


def test_many_differences_are_counted_and_some_are_shown(journal: Path) -> None:
    other = {f"A{n:02}": D(n) for n in range(1, 31)}

    check = audited(line(MOVED, other), journal)["ledger_check"]
    assert (check["differences"], len(check["first"])) == (30, 20)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (None, "the gateway said nothing"),
        ({"ready": True}, "the gateway said nothing"),
        ({"audit": None}, "the gateway said nothing"),
        ({"audit": {"own": {}}}, "the gateway said nothing"),
        ({"audit": {"own": {"BTC": "much"}, "other": {}}}, "the gateway said nothing"),
        ({"audit": {"error": "balances: RequestTimeout"}}, "balances: RequestTimeout"),
    ],
)
def test_what_could_not_be_compared_counts_as_different(
    journal: Path, said: dict[str, object] | None, why: str
) -> None:
    assert audited(said, journal) == {
        "ledger_equals_exchange": False,
        "ledger_check": {
            "differences": 1, "first": [f"the exchange's balances at the end are not known: {why}"]
        },
    }  # fmt: skip
