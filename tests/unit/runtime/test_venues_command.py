"""`parley venues`, and that nobody's money is opened at a venue without an adapter of its own.

Not here: the rows of all of ccxt's classes (tests/unit/venues/test_generic.py).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parley.errors import UserError
from runtime.cli import app
from runtime.commands.live import check
from runtime.settings import load_settings
from venues.capabilities import CAPABILITIES

DESK = """\
venue = "bitvavo"
pairs = ["BTC/EUR"]
capital = 500
quote = "EUR"
[limits]
max_order_notional = 0.25
max_position = 0.2
max_daily_loss = 0.02
max_drawdown = 0.1
[live]
keys = "keys.json"
"""
LACKS = (
    "no certified adapter; no look-up by client order id among open and closed orders; no deadline of its own"
    " for a request (fence)"
)


def told(*options: str) -> dict[str, dict[str, object]]:
    result = CliRunner().invoke(app, ["venues", *options, "--json"])
    assert result.exit_code == 0, result.output
    return {each["venue"]: each for each in json.loads(result.stdout)["venues"]}


def test_the_certified_ones_are_told_without_ccxt() -> None:
    lines = told()
    assert lines.keys() == CAPABILITIES.keys()
    assert lines["bybit"]["refuses"] == ""
    assert lines["bybit"]["look_up"] == ["open", "closed"]
    assert lines["binanceusdm"]["refuses"] == "contracts are not traded with real money yet"
    code = (
        "import sys; from runtime.commands.exchanges import show_venues\n"
        "show_venues(None, is_all=False, as_json=True)\n"
        "sys.exit('ccxt' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr.decode()


def test_any_other_is_told_by_its_name_with_every_reason() -> None:
    (line,) = told("bitvavo").values()
    assert (line["adapter"], line["look_up"], line["fence"]) == ("generic", [], "")
    assert line["refuses"] == LACKS
    assert line["streams"] == {"candle": "stream", "trade": "stream", "book": "stream"}
    (dex,) = told("paradex").values()
    assert dex["is_dex"] is True
    assert dex["streams"] == {"candle": "asked", "trade": "stream", "book": "stream"}
    assert str(dex["refuses"]).endswith("no spot pairs")


def test_all_of_them_are_told_and_only_certified_ones_open() -> None:
    lines = told("--all")
    assert len(lines) >= 70
    opening = {name for name, line in lines.items() if not line["refuses"]}
    assert opening == {"binance", "bybit", "okx", "kucoin"}
    assert lines["kraken"]["refuses"].startswith("undocumented: how long it finds an order")


def test_a_name_nobody_has_is_one_line_with_the_nearest() -> None:
    result = CliRunner().invoke(app, ["venues", "bitvavvo"])
    assert result.exit_code == 2
    assert "no certified adapter for 'bitvavvo'; did you mean 'bitvavo'?" in result.output


def test_live_trading_there_is_refused_with_every_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "desk.toml").write_text(DESK)
    with pytest.raises(UserError) as refused:
        check(load_settings(tmp_path / "desk.toml"))
    assert str(refused.value) == f"real money cannot be traded at 'bitvavo': {LACKS}"
