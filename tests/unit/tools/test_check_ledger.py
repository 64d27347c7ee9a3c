"""The stand-alone comparison of books and exchange: equal only when every digit is."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parley.messages import Ack, Balance, Cash, Envelope, Fill, Intent, OrderEvent, StateView
from tests.kit.small_journal import write_journal
from tools import check_ledger

SCRIPT = Path(check_ledger.__file__)
Line = dict[str, Any]
LATE = 2**62  # wall time after any commit


def true_log(journal: Path) -> list[Line]:
    """What an exchange would have written about the two orders of the small journal."""
    cids = list(check_ledger.read_journal(journal).intents)
    account = {"account": "main"}
    lines: list[Line] = [{"event": "start", "accounts": {"main": {"USDT": total("10000")}}}]
    trades = [
        ("t1", cids[0], "BUY", "2.00000000", "1001.00000000", "0.002", "ETH"),
        ("t2", cids[1], "SELL", "1.99800000", "1100.00000000", "2.1978", "USDT"),
    ]
    for number, (trade, cid, side, qty, price, fee, asset) in enumerate(trades):
        order = {"order_id": number, "client_order_id": cid, "symbol": "ETH/USDT", "side": side, **account}
        lines.append({"event": "order", **order, "qty": qty})
        lines.append(
            {
                "event": "trade",
                **order,
                "trade_id": trade,
                "qty": qty,
                "price": price,
                "fee": fee,
                "fee_asset": asset,
            }
        )
    lines.append({"event": "end", "accounts": {"main": {"USDT": total("10193.6022"), "ETH": total("0")}}})
    return lines


def total(free: str) -> dict[str, str]:
    return {"free": free, "locked": "0"}


def compare(folder: Path, lines: list[Line]) -> dict[str, Any]:
    truth = folder / "truth.jsonl"
    numbered = ({"n": n, "wall_ns": LATE, "t": 0, **line} for n, line in enumerate(lines))
    truth.write_text("".join(json.dumps(line) + "\n" for line in numbered))
    return check_ledger.report(truth, folder / "desk.journal")


@pytest.fixture
def lines(tmp_path: Path) -> list[Line]:
    return true_log(write_journal(tmp_path / "desk.journal"))


def test_equal_books_are_equal(tmp_path: Path, lines: list[Line]) -> None:
    result = compare(tmp_path, lines)

    assert (result["ledger_equals_exchange"], result["first"]) == (True, [])
    assert (result["trades"], result["orders"], result["intents"]) == (2, 2, 2)


def change(index: int, **over: object) -> Callable[[list[Line]], None]:
    return lambda lines: lines[index].update(over)


def drop_trade(lines: list[Line]) -> None:
    del lines[2]


def add_trade(lines: list[Line]) -> None:
    lines.insert(3, {**lines[2], "trade_id": "t9"})


def add_order(lines: list[Line]) -> None:
    lines.insert(1, {**lines[1], "order_id": 77})


def add_order_without_intent(lines: list[Line]) -> None:
    lines.insert(1, {**lines[1], "order_id": 77, "client_order_id": "nobody"})


CHANGES: dict[str, tuple[Callable[[list[Line]], None], str]] = {
    "quantity": (change(2, qty="2.00000001"), "qty is 2.00000001 on the exchange"),
    "price": (change(2, price="1001.00000001"), "price is 1001.00000001"),
    "fee": (change(2, fee="0.0020000000000001"), "fee is 0.0020000000000001"),
    "fee asset": (change(2, fee_asset="BNB"), "fee_asset is BNB"),
    "side": (change(2, side="SELL"), "side is sell"),
    "symbol": (change(2, symbol="LTC/USDT"), "symbol is LTC/USDT"),
    "client order id": (change(2, client_order_id="other"), "client_order_id is other"),
    "missing trade": (drop_trade, "trade t1: in the journal, not on the exchange"),
    "extra trade": (add_trade, "trade t9: on the exchange, not in the journal"),
    "two orders of one id": (add_order, "one client order id, but on the exchange the orders"),
    "order without intent": (add_order_without_intent, "without an intent in the journal"),
    "order asked otherwise": (change(1, qty="3"), "intent"),
    "order before its commit": (change(1, wall_ns=1), "before its intent's commit"),
    "opening balance": (
        change(0, accounts={"main": {"USDT": total("10000.00000001")}}),
        "opening balance of USDT",
    ),
    "final balance": (
        change(-1, accounts={"main": {"USDT": total("10193.6022000000001")}}),
        "final balance of USDT",
    ),
    "foreign asset": (
        change(-1, accounts={"main": {"USDT": total("10193.6022"), "DOGE": total("1")}}),
        "final balance of DOGE",
    ),
}


@pytest.mark.parametrize(("alter", "expected"), CHANGES.values(), ids=CHANGES)
def test_one_changed_fact_is_found_and_named(
    tmp_path: Path, lines: list[Line], alter: Callable[[list[Line]], None], expected: str
) -> None:
    alter(lines)

    result = compare(tmp_path, lines)

    assert result["ledger_equals_exchange"] is False
    assert any(expected in line for line in result["first"]), result["first"]


def test_trades_of_other_accounts_do_not_count(tmp_path: Path, lines: list[Line]) -> None:
    lines.insert(3, {**lines[2], "trade_id": "t9", "account": "other"})
    lines.insert(3, {**lines[1], "order_id": 9, "client_order_id": "x", "account": "other"})

    assert compare(tmp_path, lines)["ledger_equals_exchange"] is True


def test_refused_request_is_no_order(tmp_path: Path, lines: list[Line]) -> None:
    lines.insert(2, {**lines[1], "order_id": None})

    assert compare(tmp_path, lines)["ledger_equals_exchange"] is True


def test_positions_relied_on_are_those_of_the_messages() -> None:
    def at(kind: type, name: str) -> int:
        return kind.__struct_encode_fields__.index(name) + 1  # the kind comes first

    assert Envelope.__struct_encode_fields__.index("body") == check_ledger.ENVELOPE_BODY
    assert at(StateView, "cash") == check_ledger.STATE_CASH
    assert Cash.__struct_encode_fields__[:2] == ("asset", "total")
    for name in ("iid", "cid", "account", "symbol", "side", "qty"):
        assert at(Intent, name) == getattr(check_ledger, f"INTENT_{name.upper()}")
    for name in ("trade_id", "account", "iid", "symbol", "side", "qty", "px", "fee", "fee_asset"):
        assert at(Fill, name) == getattr(check_ledger, f"FILL_{name.upper()}")
    assert at(Ack, "iid") == at(OrderEvent, "iid") == check_ledger.FACT_IID
    assert (at(Balance, "account"), at(Balance, "assets")) == (
        check_ledger.BALANCE_ACCOUNT,
        check_ledger.BALANCE_ASSETS,
    )


def run_script(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_script_says_in_its_exit_code_what_it_found(tmp_path: Path, lines: list[Line]) -> None:
    compare(tmp_path, lines)
    truth, journal = tmp_path / "truth.jsonl", tmp_path / "desk.journal"

    equal = run_script("--truth", truth, "--journal", journal, "--json")
    assert (equal.returncode, json.loads(equal.stdout)["ledger_equals_exchange"]) == (0, True)

    lines[2]["fee"] = "0.003"
    compare(tmp_path, lines)
    different = run_script("--truth", truth, "--journal", journal)
    assert (different.returncode, different.stdout.splitlines()[-1][:9]) == (1, "DIFFERENT")


@pytest.mark.parametrize("content", ["", "no json\n", '{"n": 5, "event": "start"}\n', "{}\n"])
def test_unreadable_log_is_no_verdict(tmp_path: Path, lines: list[Line], content: str) -> None:
    assert lines
    (tmp_path / "truth.jsonl").write_text(content)

    done = run_script("--truth", tmp_path / "truth.jsonl", "--journal", tmp_path / "desk.journal", "--json")

    assert (done.returncode, done.stdout) == (2, "")
    assert "truth.jsonl" in done.stderr


def test_unreadable_journal_is_no_verdict(tmp_path: Path, lines: list[Line]) -> None:
    compare(tmp_path, lines)
    (tmp_path / "desk.journal").write_bytes(b"no journal" * 100)

    done = run_script("--truth", tmp_path / "truth.jsonl", "--journal", tmp_path / "desk.journal")

    assert (done.returncode, done.stdout) == (2, "")


def test_script_loads_nothing_of_parley(tmp_path: Path, lines: list[Line]) -> None:
    compare(tmp_path, lines)
    ours = ["parley", "agents", "orchestrator", "strategies", "arbitrage", "venues", "runtime", "tools"]
    truth, journal = str(tmp_path / "truth.jsonl"), str(tmp_path / "desk.journal")
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['x', '--truth', {truth!r}, '--journal', {journal!r}]\n"
        "try:\n"
        f"    runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0, end.code\n"
        f"found = [name for name in sys.modules if name.split('.')[0] in {ours!r}]\n"
        "assert not found, found\n"
    )

    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
