"""A desk trades contracts with real money, long and short, at an exchange nobody started for it, and goes on.

Real processes over real sockets. Not here: whom a gateway serves and what it lets out, one by one
(tests/contract/test_usdm_real_money.py).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal as D
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from parley.errors import UserError
from runtime.book_check import check_books
from runtime.commands import live as live_command
from runtime.history import kinds
from runtime.journal import JournalReader
from runtime.replay import replay
from tests.kill.test_live_kill import begin, ended, unit, wait_for_fills, wait_for_status
from tests.kit.outside_exchange import Outside, outside_exchange
from tests.kit.sandbox import ROOT

pytestmark = pytest.mark.timeout(240)
VENUE = "binanceusdm"
PAIRS = ["BTC/USDT:USDT", "ETH/USDT:USDT"]
# Both ways, and whatever the machine is busy with: a candle is a second here.
MORE = """source_params = {short = 0.5}
[limits.breakers]
stale_bars = 60
"""


# A key of its own: a machine has one desk to a key, and other tests have theirs.
MINE = {"api_key": "contracts-key", "balances": {"USDT": "50000"}}


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Outside]:
    with outside_exchange(tmp_path, MINE, protocol=VENUE) as running:
        yield running


def desk(exchange: Outside, folder: Path, **more: object) -> Path:
    path = exchange.settings(folder / "desk.toml", folder / "home", pairs=PAIRS, leverage=3, **more)
    path.write_text(path.read_text() + MORE)
    return path


def trade(settings: Path, *options: str, confirms: tuple[str, ...] = ("--real-money", VENUE)) -> Any:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    words = ("trade", "--mode", "live", "--desk", str(settings), *confirms, *options)
    return subprocess.run(
        [sys.executable, "-m", "runtime.cli", *words], cwd=ROOT, env=environment, text=True,
        capture_output=True, timeout=150, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def truth(exchange: Outside, event: str) -> list[dict[str, Any]]:
    with exchange.truth.open() as lines:
        whole = (json.loads(line) for line in lines if line.endswith("\n"))  # it may still be writing
        return [line for line in whole if line["event"] == event]


def wait_for_both_ways(trading: subprocess.Popen[str], exchange: Outside) -> None:
    """Wait until the account was long and short: how soon is up to the market and the machine."""
    deadline = time.monotonic() + 90
    sizes: list[D] = []
    while time.monotonic() < deadline:
        assert trading.poll() is None, trading.communicate()
        sizes = [D(each["qty"]) for each in truth(exchange, "position")]
        if sizes and min(sizes) < 0 < max(sizes):
            return
        time.sleep(0.2)
    raise AssertionError(f"the account was not long and short: {sizes}")


def test_a_desk_goes_long_and_short_with_real_money_and_its_books_are_the_exchanges(
    exchange: Outside, tmp_path: Path
) -> None:
    settings = desk(exchange, tmp_path)
    running = begin(settings, venue=VENUE)
    wait_for_both_ways(running, exchange)
    running.send_signal(signal.SIGINT)
    told = ended(running, 0)
    assert "REAL MONEY: up to 10000 USDT of the account at binanceusdm" in told["err"]
    assert "contracts BTC/USDT:USDT, ETH/USDT:USDT at leverage 3" in told["err"]
    assert told["ledger_equals_exchange"] is True, told["ledger_check"]
    assert told["equity_start"] == "10000"
    assert told["fills"] >= 2
    assert {each["leverage"] for each in truth(exchange, "position")} == {3}

    second = trade(settings, "--json", "--duration", "6", "--resume", "last")
    assert second.returncode == 0, second.stderr
    again = json.loads(second.stdout)
    assert again["journal"] == told["journal"]
    assert again["ledger_equals_exchange"] is True, again["ledger_check"]
    assert again["equity_is_reproduced"] is True
    assert replay(Path(told["journal"])).ok
    exchange.end()
    books = check_books(exchange.truth, Path(told["journal"]))
    # the desk has 10,000 of the account's 50,000, which the independent check knows nothing of
    assert [each for each in books["ledger_check"]["first"] if "USDT" not in each] == [], books


def test_a_desk_that_owes_contracts_goes_on_when_its_gateway_was_killed(
    exchange: Outside, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    running = begin(desk(exchange, tmp_path), venue=VENUE)
    journal = wait_for_fills(running, home, 3)
    unit(running, "runtime.gateway").kill()
    assert wait_for_status(running, home)["gateway"]["is_running"]
    with JournalReader(journal) as reader:
        fills = sum(1 for _ in reader.records(kinds=kinds("Fill")))
    wait_for_fills(running, home, fills + 1)
    running.send_signal(signal.SIGINT)
    told = ended(running, 0)

    assert told["ledger_equals_exchange"] is True, told["ledger_check"]
    assert told["gateway_lives"] == 2
    cids = [each["client_order_id"] for each in truth(exchange, "order") if each["status"] == "NEW"]
    assert len(set(cids)) == len(cids), "no order was sent twice"
    assert replay(journal).ok


def test_what_settings_tell_is_refused_before_anybody_is_asked(exchange: Outside, tmp_path: Path) -> None:
    settings = exchange.settings(tmp_path / "desk.toml", tmp_path / "home", leverage=3)
    done = trade(settings, confirms=())
    assert done.returncode == 2
    assert "'binanceusdm' trades contracts: expected 'BTC/USDT:USDT', was 'BTC/USDT'" in done.stderr
    assert "REAL MONEY" not in done.stderr
    assert not truth(exchange, "order")


def test_nobody_is_asked_to_confirm_what_the_exchange_forbids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_: str) -> str:
        raise AssertionError("nobody was to be asked")

    monkeypatch.setattr(live_command, "_asked", nobody)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with outside_exchange(tmp_path, MINE | {"can_withdraw": True}, protocol=VENUE) as exchange:
        owner = exchange.client()
        owner.fapiPrivatePostPositionSideDual({"dualSidePosition": "true"})
        with pytest.raises(UserError) as error:
            live_command.live(desk(exchange, tmp_path, capital=60_000), {}, None, as_json=False)
        assert str(error.value).split("real money: ")[1].split("; ") == [
            "the API key may withdraw: make one that may not",
            "account mode: expected one-way positions, was dualSidePosition True",
            "the account holds 50000 USDT, the desk needs 60000",
        ]
        assert not truth(exchange, "order")
    assert not [*(tmp_path / "home").rglob("*")]


def test_an_account_that_does_not_qualify_is_one_line_and_nothing_is_sent(
    exchange: Outside, tmp_path: Path
) -> None:
    owner = exchange.client()
    owner.load_markets()
    owner.create_order("BTC/USDT:USDT", "market", "buy", 0.01)
    done = trade(desk(exchange, tmp_path, capital=60_000))
    assert done.returncode == 2, done.stderr
    [line] = [each for each in done.stderr.splitlines() if "may not be traded" in each] or [done.stderr]
    assert re.search(r"the account's position in BTC:USDT is 0\.0\d+, this desk's own is 0", line), line
    assert "USDT, the desk needs 60000" in line
    assert len({each["order_id"] for each in truth(exchange, "order")}) == 1
    assert not [*(tmp_path / "home" / "runs").glob("*")]
