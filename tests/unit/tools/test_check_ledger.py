"""The stand-alone comparison of books and exchange: equal only when every digit is."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from parley.messages import (
    KINDS,
    Ack,
    Balance,
    Cash,
    Envelope,
    Fill,
    FundingPaid,
    Intent,
    Message,
    OrderEvent,
    Position,
    Shutdown,
    Started,
    StateView,
    decode,
    decode_envelope,
)
from runtime.journal import JournalReader
from tests.kit import small_journal
from tests.kit.small_journal import Notes, run_config, write_journal
from tools import check_ledger, ledger_evidence, ledger_wire

SCRIPT = Path(check_ledger.__file__)
EVIDENCE = Path(ledger_evidence.__file__)
WIRE = Path(ledger_wire.__file__)
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
        limit = {"BUY": "1001.00000000", "SELL": "1099.00000000"}[side]
        asked = {"type": "LIMIT", "time_in_force": "IOC", "price": limit, "stop_price": "0", "quote_qty": "0"}
        lines.append({"event": "order", **order, **asked, "qty": qty})
        lines.append(
            {
                "event": "trade",
                **order,
                "trade_id": trade,
                "qty": qty,
                "price": price,
                "fee": fee,
                "fee_asset": asset,
                "liquidity": "taker",
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


def add_later_form(lines: list[Line]) -> None:
    lines.insert(3, {**lines[1], "price": "1002"})


def add_refused_otherwise(lines: list[Line]) -> None:
    lines.insert(2, {**lines[1], "order_id": None, "type": "MARKET"})


def add_refused_without_intent(lines: list[Line]) -> None:
    lines.insert(2, {**lines[1], "order_id": None, "client_order_id": "nobody"})


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
    "liquidity": (change(2, liquidity="maker"), "liquidity is maker on the exchange, taker"),
    "order's quantity": (change(1, qty="3"), "qty is 3 on the exchange, 2 in the intent"),
    "order's side": (change(1, side="SELL"), "side is sell on the exchange, buy in the intent"),
    "order's symbol": (change(1, symbol="LTC/USDT"), "symbol is LTC/USDT on the exchange, ETH/USDT in"),
    "order's type": (change(1, type="LIMIT_MAKER"), "type is LIMIT_MAKER on the exchange, LIMIT in the"),
    "order became a market order": (change(1, type="MARKET"), "type is MARKET on the exchange, LIMIT in"),
    "order's time in force": (change(1, time_in_force="GTC"), "time_in_force is GTC on the exchange, IOC"),
    "order's price limit": (change(1, price="1001.00000001"), "price is 1001.00000001 on the exchange"),
    "order without a price limit": (change(1, price="0"), "price is 0 on the exchange, 1001 in the intent"),
    "order's stop price": (change(1, stop_price="900"), "stop_price is 900 on the exchange, 0 in the intent"),
    "order by amount": (change(1, quote_qty="2002"), "quote_qty is 2002 on the exchange, 0 in the intent"),
    "order changed later": (add_later_form, "price is 1002 on the exchange"),
    "refused request asked otherwise": (add_refused_otherwise, "refused: type is MARKET on the exchange"),
    "refused request without intent": (add_refused_without_intent, "refused by the exchange, without an in"),
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


def test_funding_and_the_wallet_of_contracts_are_compared() -> None:
    """One contract bought at 40 with 5 in the wallet, and 2 paid for holding it."""
    place = "BTC/USDT:USDT"
    paid, other = (check_ledger.Payment(1, place, Decimal(amount)) for amount in ("-2", "-1"))
    held = {"USDT": Decimal(-37), "BTC:USDT": Decimal(1)}
    trade = check_ledger.Trade(
        place, "buy", Decimal(1), Decimal(40), Decimal(0), "USDT", "taker", "c",
    )  # fmt: skip
    truth = ledger_evidence.Truth(
        opening={"USDT": Decimal(5)}, final=held, trades={"1": trade}, payments=[paid], complete=True,
        purse=Decimal(3), shown=Decimal(3),
    )  # fmt: skip
    belief = ledger_evidence.Belief(
        opening={"USDT": Decimal(5)}, cash=held, trades={"1": trade}, payments=[paid]
    )

    assert check_ledger.compare(truth, belief) == []
    for payments in ([], [other], [paid, paid]):
        belief.payments = payments
        assert any(each.startswith("funding ") for each in check_ledger.compare(truth, belief))
    belief.payments = [paid]
    truth.purse = Decimal(4)
    assert check_ledger.compare(truth, belief) == ["wallet: the exchange says 3, its entries sum to 4"]


def test_a_contract_is_an_asset_and_what_it_cost_is_missing_from_the_wallet(tmp_path: Path) -> None:
    position = {"event": "position", "account": "main", "symbol": "BTC/USDT:USDT"}
    lines: list[Line] = [
        {"event": "start", "accounts": {"main": {"USDT": total("5")}}},
        {"event": "entry", "from": "deposits", "to": "cross:main", "amount": "5"},
        position | {"qty": "2", "cost": "80"},
        position | {"qty": "-1", "cost": "-40.5"},
        {"event": "funding", "account": "main", "symbol": "BTC/USDT:USDT", "amount": "-2"},
        {"event": "entry", "from": "cross:main", "to": "public", "amount": "2"},
        {"event": "end", "accounts": {"main": {"USDT": total("3")}}},
    ]
    file = tmp_path / "truth.jsonl"
    file.write_text(
        "".join(json.dumps({"n": n, "wall_ns": 0, "t": 7, **e}) + "\n" for n, e in enumerate(lines))
    )

    truth = ledger_evidence.read_truth(file, "main")

    assert truth.final == {"USDT": Decimal("43.5"), "BTC:USDT": Decimal(-1)}
    assert (truth.purse, truth.shown) == (3, 3)
    assert truth.payments == [ledger_evidence.Payment(7, "BTC/USDT:USDT", Decimal(-2))]


def test_positions_relied_on_are_those_of_the_messages() -> None:
    def at(kind: type, name: str) -> int:
        return kind.__struct_encode_fields__.index(name) + 1  # the kind comes first

    assert Envelope.__struct_encode_fields__.index("body") == ledger_evidence.ENVELOPE_BODY
    assert at(StateView, "cash") == ledger_evidence.STATE_CASH
    assert at(StateView, "quote") == ledger_evidence.STATE_QUOTE
    assert at(StateView, "equity") == ledger_evidence.STATE_EQUITY
    assert at(StateView, "positions") == ledger_evidence.STATE_POSITIONS
    assert Cash.__struct_encode_fields__[:2] == ("asset", "total")
    for name in ("symbol", "qty", "mark"):
        place = Position.__struct_encode_fields__.index(name)
        assert place == getattr(ledger_evidence, f"POSITION_{name.upper()}")
    assert KINDS[FundingPaid] == ledger_evidence.FUNDING
    for name in ("symbol", "amount", "asset", "t", "prior"):
        assert at(FundingPaid, name) == getattr(ledger_evidence, f"PAID_{name.upper()}")
    for name in ("iid", "cid", "account", "symbol", "side", "qty", "px", "style", "tif"):
        assert at(Intent, name) == getattr(ledger_evidence, f"INTENT_{name.upper()}")
    for name in (
        "trade_id", "account", "iid", "symbol", "side", "qty", "px", "fee", "fee_asset", "liquidity",
    ):  # fmt: skip
        assert at(Fill, name) == getattr(ledger_evidence, f"FILL_{name.upper()}")
    assert at(Ack, "iid") == at(OrderEvent, "iid") == ledger_evidence.FACT_IID
    assert (at(Balance, "account"), at(Balance, "assets")) == (
        ledger_evidence.BALANCE_ACCOUNT,
        ledger_evidence.BALANCE_ASSETS,
    )
    for kind in (StateView, Intent, Ack, OrderEvent, Fill, Balance, Shutdown):
        name = "".join("_" * each.isupper() + each.upper() for each in kind.__name__).removeprefix("_")
        assert KINDS[kind] == getattr(ledger_evidence, name)


@pytest.mark.parametrize(
    ("style", "tif", "px", "kind", "shown_tif", "price"),
    [
        ("market", "IOC", None, "MARKET", "GTC", "0"),
        ("limit", "FOK", "1001", "LIMIT", "FOK", "1001.00000000"),
        ("post_only", "GTC", "1001", "LIMIT_MAKER", "GTC", "1001.00000000"),
    ],
)
def test_every_style_has_its_type_on_the_exchange(
    tmp_path: Path, style: str, tif: str, px: str | None, kind: str, shown_tif: str, price: str
) -> None:
    notes = Notes(tmp_path / "desk.journal", run_config())
    open_account(notes)
    write = {"style": style, "tif": tif, "px": None if px is None else Decimal(px), "iid": b"i" * 16}
    notes.put(replace(template(tmp_path), **write))
    notes.writer.close()
    cid = next(iter(check_ledger.read_journal(tmp_path / "desk.journal").intents))
    order: Line = {
        "event": "order", "account": "main", "order_id": 1, "client_order_id": cid, "symbol": "ETH/USDT",
        "side": "BUY", "type": kind, "time_in_force": shown_tif, "price": price, "stop_price": "0",
        "qty": "2", "quote_qty": "0",
    }  # fmt: skip
    lines: list[Line] = [{"event": "start", "accounts": {"main": {"USDT": total("10000")}}}, order]

    assert compare(tmp_path, lines)["first"] == []
    for other in {"MARKET", "LIMIT", "LIMIT_MAKER"} - {kind}:
        order["type"] = other
        assert compare(tmp_path, lines)["ledger_equals_exchange"] is False


def template(folder: Path) -> Intent:
    """An order of the small journal, to be altered."""
    reader = JournalReader(write_journal(folder / "template.journal"))
    record = next(iter(reader.records(kinds=[KINDS[Intent]])))
    found = decode(decode_envelope(record.body).body)
    assert isinstance(found, Intent)
    return found


def open_account(notes: Notes) -> None:
    start = Started(run_id="s", epoch=1, quote="USDT", capital=Decimal(10_000), t=small_journal.T0)
    notes.put(start, sender="supervisor")
    assets = (("USDT", Decimal(10_000)),)
    notes.put(Balance(account="main", venue="binance", assets=assets, t=small_journal.T0), sender="gateway")


def short_run(folder: Path, *last: Message) -> list[Line]:
    """A run that ended before the desk told its state once, and what the exchange says of it."""
    notes = Notes(folder / "desk.journal", run_config())
    open_account(notes)
    for message in last:
        notes.put(message, sender="user")
    notes.writer.close()
    accounts = {"main": {"USDT": total("10000")}}
    return [{"event": "start", "accounts": accounts}, {"event": "end", "accounts": accounts}]


def test_run_without_a_state_is_as_it_was_opened(tmp_path: Path) -> None:
    lines = short_run(tmp_path)

    assert compare(tmp_path, lines)["ledger_equals_exchange"] is True
    lines[-1] = {"event": "end", "accounts": {"main": {"USDT": total("9999")}}}
    assert "last state 10000" in compare(tmp_path, lines)["first"][-1]


def test_incomplete_truth_log_of_a_run_that_ended_in_order_is_a_difference(tmp_path: Path) -> None:
    lines = short_run(tmp_path, Shutdown(why="feed_ended", flatten=False, t=0))

    assert compare(tmp_path, lines)["ledger_equals_exchange"] is True
    result = compare(tmp_path, lines[:-1])
    assert result["ledger_equals_exchange"] is False
    assert "the truth log is incomplete" in result["first"][0]


def test_incomplete_truth_log_of_a_killed_run_is_compared_as_it_is(tmp_path: Path) -> None:
    result = compare(tmp_path, short_run(tmp_path)[:-1])

    assert (result["ledger_equals_exchange"], result["truth_complete"]) == (True, False)


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


@pytest.mark.parametrize(
    "file", [SCRIPT, EVIDENCE, WIRE, SCRIPT.parent / "__init__.py"], ids=lambda file: file.name
)
def test_script_imports_only_the_standard_library_msgspec_and_its_neighbours(file: Path) -> None:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    foreign = {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}

    assert foreign <= {"msgspec", "tools.ledger_evidence", "tools.ledger_wire"}


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
        f"found = sorted(name for name in sys.modules if name.split('.')[0] in {ours!r})\n"
        "assert found == ['tools', 'tools.ledger_evidence', 'tools.ledger_wire'], found\n"
    )

    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
