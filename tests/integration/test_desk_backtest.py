"""The whole desk on recorded candles: the same every time, explained by its journal, blind to the future."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parley.messages import Decision, MarketBatch, decode, decode_envelope
from runtime.history import kinds
from runtime.journal import JournalReader, verify
from runtime.replay import replay

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = """
data = "{data}"
timeframe = "1m"
pairs = ["BTC/USDT", "ETH/USDT"]
from = 2021-05-19
to = 2021-05-20
"""
pytestmark = pytest.mark.timeout(300)


def parley(*arguments: object, home: Path, hash_seed: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runtime.cli", *map(str, arguments)], capture_output=True, text=True,
        timeout=280, check=False,
        env={**os.environ, "PARLEY_HOME": str(home), "PYTHONHASHSEED": str(hash_seed)},
    )  # fmt: skip


def desk_file(folder: Path, candles: Path) -> Path:
    path = folder / "desk.toml"
    path.write_text(SETTINGS.format(data=candles))
    return path


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("desk")


@pytest.fixture(scope="module")
def candles(market_data: Path) -> Path:
    return market_data / "candles"


@pytest.fixture(scope="module")
def tested(home: Path, candles: Path) -> dict[str, Any]:
    file = desk_file(home, candles)
    return told(parley("backtest", "--desk", file, "--page", home / "page", "--json", home=home))


def decisions(journal: Path) -> list[Decision]:
    with JournalReader(journal) as reader:
        found = [decode(decode_envelope(r.body).body) for r in reader.records(kinds=kinds("Decision"))]
    return [each for each in found if isinstance(each, Decision)]


def test_desk_trades_and_its_ledger_equals_the_venue(tested: dict[str, Any]) -> None:
    assert tested["ledger_equals_exchange"]
    assert tested["equity_is_reproduced"]
    assert tested["attribution_is_complete"]
    assert tested["fills"] >= 10
    assert tested["decisions"]["accept"] >= 10
    assert tested["candles"] == 3 * 1440  # ETH/BTC came along for arbitrage
    page = Path(tested["page"]).read_text()
    assert tested["decision_hash"] in page
    assert "strategy/reversion" in page


def test_two_runs_with_two_hash_seeds_give_one_fingerprint(
    tested: dict[str, Any], candles: Path, tmp_path: Path
) -> None:
    file = desk_file(tmp_path, candles)
    again = told(parley("backtest", "--desk", file, "--json", home=tmp_path, hash_seed=7))
    assert again["decision_hash"] == tested["decision_hash"]
    assert again["fingerprint"] == tested["fingerprint"]
    assert again["records"] == tested["records"]


def test_its_journal_verifies_replays_and_explains(tested: dict[str, Any], home: Path) -> None:
    journal = Path(tested["journal"])
    assert verify(journal).ok
    report = replay(journal)
    assert report.ok
    assert report.decisions == tested["rounds"]
    for outcome, word in (("accept", "order"), ("hold", "no_bids")):
        rounds = parley("rounds", "--journal", journal, "--outcome", outcome, "--json", home=home)
        shown = json.loads(rounds.stdout)["rounds"][0]["round"]
        done = parley("explain", shown, "--journal", journal, home=home)
        assert done.returncode == 0, done.stderr
        assert word in done.stdout


def test_no_decision_knows_the_future(tested: dict[str, Any], candles: Path, tmp_path: Path) -> None:
    # The same candles up to noon, and nonsense after it: until then nothing may differ.
    folder = tmp_path / "candles"
    folder.mkdir()
    noon = 1_621_425_600_000
    for name in ("BTC_USDT", "ETH_USDT", "ETH_BTC"):
        (path,) = candles.glob(f"binance-{name}-1m-202105.parquet")
        rows = pq.read_table(path)
        moment = rows["date"].cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64()).to_numpy()
        for column in ("open", "high", "low", "close", "volume"):
            values = rows[column].to_numpy().copy()
            # Of the candle that begins at noon the opening is known then, and nothing else.
            later = moment > noon if column == "open" else moment >= noon
            # Numbers of the file itself: the grid of the pair is drawn from all of them.
            values[later] = values[later][0] if column != "volume" else values[later][::-1]
            if column in ("high", "low", "close"):
                begins = np.flatnonzero(moment == noon)[0]
                values[begins] = rows["open"][int(begins)].as_py()
            rows = rows.set_column(rows.column_names.index(column), column, pa.array(values))
        pq.write_table(rows, folder / path.name)
    other = told(parley("backtest", "--desk", desk_file(tmp_path, folder), "--json", home=tmp_path))
    before = [each for each in decisions(Path(tested["journal"])) if each.t <= noon * 1_000_000]
    then = [each for each in decisions(Path(other["journal"])) if each.t <= noon * 1_000_000]
    assert len(before) > 1000
    assert any(each.action == "accept" for each in before)
    assert then == before
    assert other["decision_hash"] != tested["decision_hash"]
    assert other["fingerprint"] != tested["fingerprint"]


def test_books_show_the_opening_and_never_the_candle_to_come(tested: dict[str, Any]) -> None:
    with JournalReader(Path(tested["journal"])) as reader:
        batches = [decode(decode_envelope(r.body).body) for r in reader.records(kinds=kinds("MarketBatch"))]
    bars = {(bar.symbol, bar.t_open): bar for batch in batches for bar in batch.bars}
    seen = 0
    for batch in batches:
        assert isinstance(batch, MarketBatch)
        assert all(bar.t_open + bar.tf_ns == batch.t for bar in batch.bars)
        for book in batch.books:
            bar = bars.get((book.symbol, batch.t))
            if book.bids and bar is not None:
                assert book.mid == pytest.approx(bar.open)
                before = bars[book.symbol, batch.t - bar.tf_ns]
                assert book.bids[0][1] == book.asks[0][1] == before.volume
                seen += 1
    assert seen > 4000


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--max-open-trades", "3"], "--max-open-trades says nothing to a whole desk"),
        (["--timerange", "yesterday"], "--timerange must be FROM-TO"),
        (["--timerange", "2021-05-19-"], "--timerange must name days"),
        (["--spread", "-1"], "--spread must be at least 0"),
        (["--pairs", "BTC/USD"], "BTC/USDT"),
    ],
)
def test_what_cannot_be_tested_is_one_line(
    arguments: list[str], text: str, candles: Path, tmp_path: Path
) -> None:
    done = parley("backtest", "--desk", desk_file(tmp_path, candles), *arguments, home=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("parley: ")
    assert text in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "backtests").exists()


def test_desk_without_recorded_candles_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "desk.toml"
    path.write_text('pairs = ["BTC/USDT"]\n')
    done = parley("backtest", "--desk", path, home=tmp_path)
    assert done.returncode == 2
    assert "set 'data' to their folder" in done.stderr


def test_examples_of_the_documentation_run(market_data: Path, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "desk-backtest.md").read_text()
    commands = [
        block.replace("\\\n", " ").replace("/tmp/desk-page", str(tmp_path / "page"))
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        if "--desk docs/" in block
    ]
    assert len(commands) == 2
    for number, command in enumerate(commands):
        journal = tmp_path / f"{number}.journal"
        done = subprocess.run(
            ["bash", "-c", f"{command.strip()} --journal {journal}"], cwd=ROOT, capture_output=True,
            text=True, timeout=280, check=False,
            env={
                **os.environ, "PARLEY_HOME": str(tmp_path), "PARLEY_DATA": str(market_data),
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "equals the venue" in done.stdout
        assert replay(journal).ok
    assert (tmp_path / "page" / "desk.html").is_file()
