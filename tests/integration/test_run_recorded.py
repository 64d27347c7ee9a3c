"""`parley run` over recorded candles: real processes, real files, and figures that have to agree."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from parley.agent import ROLES
from parley.messages import KINDS, Fill, decode, decode_envelope, encode
from runtime.launch import make_run, synthetic_market
from runtime.settings import load_settings

Result = dict[str, Any]
PAIRS = "BTC/USDT,ETH/USDT,LTC/USDT"
CHECK = Path(__file__).resolve().parents[2] / "tools" / "check_ledger.py"
pytestmark = pytest.mark.timeout(400)


def parley(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    return subprocess.run(
        [sys.executable, "-m", "runtime.cli", *map(str, arguments)],
        capture_output=True, text=True, check=False, env=environment | {"PARLEY_HOME": str(home)},
    )  # fmt: skip


def run(home: Path, data: Path, to: str, *options: object) -> Result:
    done = parley(
        home, "run", "--data", data / "candles", "--pairs", PAIRS, "--from", "2021-05-08", "--to", to,
        "--json",
        *options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: Result = json.loads(done.stdout)
    return result


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def day(home: Path, market_data: Path) -> Result:
    """One day of three pairs and two crosses, at full speed."""
    return run(home, market_data, "2021-05-09")


def test_every_candle_sent_was_seen_and_admitted(day: Result) -> None:
    assert set(day["candles"].values()) == {5 * 1440}
    assert day["feed_ended"]
    assert day["crosses"] == ["ETH/BTC", "LTC/BTC"]


def test_desk_traded_and_the_books_agree(day: Result) -> None:
    assert day["rounds"] == 3 * 1440 + day["influence"]["arbitrage"]["cycles_asked"]
    assert sum(day["decisions"].values()) == day["rounds"]
    assert day["decisions"]["accept"] > 0
    assert day["fills"] > 0
    assert day["ledger_equals_exchange"] is True
    assert day["ledger_check"]["trades"] == day["fills"]
    assert day["ledger_check"]["truth_complete"]
    assert day["equity_is_reproduced"]
    assert day["attribution_is_complete"]


def test_every_role_says_what_it_changed(day: Result) -> None:
    assert set(day["influence"]) == set(ROLES)


def test_every_process_tells_its_memory(day: Result) -> None:
    memory = dict(day["peak_memory_mb"])

    assert memory.pop("total") == pytest.approx(sum(memory.values()), abs=0.5)
    assert set(memory) == {"sandbox", "gateway", "hub", "desk", "cli"}
    assert min(memory.values()) > 10


def test_files_of_a_run_are_where_the_readme_says(home: Path, day: Result) -> None:
    folder = home / "runs" / day["run_id"]

    assert {path.name for path in folder.iterdir()} >= {
        "desk.journal", "gateway.journal", "truth.jsonl", "config", "logs",
    }  # fmt: skip
    assert (folder / "config" / "keys.json").stat().st_mode & 0o077 == 0
    assert (folder / "config" / "sandbox.json").stat().st_mode & 0o077 == 0


def test_same_seed_decides_the_same(home: Path, market_data: Path, day: Result) -> None:
    again = run(home, market_data, "2021-05-09")

    assert again["decision_hash"] == day["decision_hash"]
    assert again["run_id"] != day["run_id"]


def test_replay_gives_every_decision_and_intent_again(home: Path, day: Result) -> None:
    done = parley(home, "replay", day["journal"], "--json")
    told = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert told["decisions_identical"] == told["decisions"] == day["rounds"]
    assert told["intents_identical"] == told["intents"] == day["orders"]
    assert told["mismatches"] == []


def test_every_kind_of_round_can_be_explained(home: Path, day: Result) -> None:
    seen = set()
    for outcome in ("accept", "hold", "reject"):
        listed = json.loads(
            parley(home, "rounds", "--journal", day["journal"], "--outcome", outcome, "--json").stdout
        )
        for line in listed["rounds"][:2]:
            done = parley(home, "explain", line["round"], "--journal", day["journal"], "--json")
            told = json.loads(done.stdout)
            assert told["outcome"] == outcome
            assert told["orders"] if outcome == "accept" else told["reason"]
            seen.add(outcome)
    assert {"accept", "hold"} <= seen


def check(truth: Path, journal: Path) -> bool:
    done = subprocess.run(
        [sys.executable, "-I", str(CHECK), "--truth", str(truth), "--journal", str(journal), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    equal: bool = json.loads(done.stdout)["ledger_equals_exchange"]
    return equal


@pytest.fixture
def files(tmp_path: Path, day: Result) -> tuple[Path, Path]:
    truth, journal = tmp_path / "truth.jsonl", tmp_path / "desk.journal"
    shutil.copy(day["truth_log"], truth)
    shutil.copy(day["journal"], journal)
    assert check(truth, journal) is True
    return truth, journal


def change_trade(alter: Callable[[list[Result], int], None]) -> Callable[[Path], None]:
    def apply(truth: Path) -> None:
        lines = [json.loads(line) for line in truth.read_text().splitlines()]
        at = next(n for n, line in enumerate(lines) if line["event"] == "trade")
        alter(lines, at)
        for n, line in enumerate(lines):
            line["n"] = n
        truth.write_text("".join(json.dumps(line) + "\n" for line in lines))

    return apply


def add_to(name: str) -> Callable[[list[Result], int], None]:
    def alter(lines: list[Result], at: int) -> None:
        whole, _, part = lines[at][name].partition(".")
        lines[at][name] = f"{whole}.{part}1"

    return alter


TRUTH_CHANGES = {
    "quantity": add_to("qty"),
    "price": add_to("price"),
    "fee": add_to("fee"),
    "missing": lambda lines, at: lines.__delitem__(at),
    "extra": lambda lines, at: lines.insert(at, {**lines[at], "trade_id": 10**9}),
}


@pytest.mark.parametrize("alter", TRUTH_CHANGES.values(), ids=TRUTH_CHANGES)
def test_one_altered_fill_of_the_exchange_is_found(
    files: tuple[Path, Path], alter: Callable[[list[Result], int], None]
) -> None:
    truth, journal = files
    change_trade(alter)(truth)

    assert check(truth, journal) is False


@pytest.mark.parametrize("name", ["qty", "px", "fee"])
def test_one_altered_fill_of_the_journal_is_found(files: tuple[Path, Path], name: str) -> None:
    truth, journal = files
    with closing(sqlite3.connect(journal)) as connection:
        row = connection.execute("SELECT seq, body FROM records WHERE kind = ?", (KINDS[Fill],)).fetchone()
        envelope = decode_envelope(row[1])
        fill = decode(envelope.body)
        fields = {each: getattr(fill, each) for each in fill.__struct_fields__}
        altered = encode(Fill(**fields | {name: fields[name] * 2}))
        body = encode(
            type(envelope)(
                **{n: getattr(envelope, n) for n in envelope.__struct_fields__} | {"body": altered}
            )
        )
        connection.execute("UPDATE records SET body = ? WHERE seq = ?", (body, row[0]))
        connection.commit()

    assert check(truth, journal) is False


@pytest.mark.parametrize("seq_of", ["SELECT min(seq) FROM records WHERE kind = 61"])
def test_one_missing_fill_of_the_journal_is_found(files: tuple[Path, Path], seq_of: str) -> None:
    truth, journal = files
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute(f"DELETE FROM records WHERE seq = ({seq_of})")
        connection.commit()

    assert check(truth, journal) is False


def test_default_desk_has_every_role_and_fits_its_agents() -> None:
    settings = load_settings()
    agents = make_run(settings, synthetic_market(settings), "x").agents

    assert {spec.role for spec in agents} == set(ROLES)
    assert len({spec.id for spec in agents}) == len(agents)


@pytest.mark.long
@pytest.mark.parametrize("role", ROLES)
def test_silencing_any_role_changes_the_decisions(home: Path, market_data: Path, role: str) -> None:
    whole = run(home, market_data, "2021-05-11")
    without = run(home, market_data, "2021-05-11", "--silent", role)

    assert without["decision_hash"] != whole["decision_hash"]
    assert without["ledger_equals_exchange"] is True
