"""The command line as a user meets it: help, JSON, exit codes, and one line for every mistake."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner, Result

from parley.ids import show_round
from parley.messages import Position, Shed, Strain
from runtime.cli import app
from runtime.history import open_journal
from runtime.summary import summarise
from tests.kit.builders import make_state
from tests.kit.small_journal import ROUNDS, SYMBOL, T0, Notes, run_config, write_journal

COMMANDS = ["run", "replay", "rounds", "explain", "orders", "positions", "doctor"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return write_journal(tmp_path / "desk.journal")


def parley(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def said(result: Result) -> str:
    """Return the one line a mistake made, after checking that it is one."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("parley: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = parley(command, "--help")

    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_rounds_are_listed_newest_first(journal: Path) -> None:
    told = json.loads(parley("rounds", "--journal", journal, "--json").stdout)

    assert [line["round"] for line in told["rounds"]] == [show_round(each) for each in reversed(ROUNDS)]
    assert [line["outcome"] for line in told["rounds"]] == ["accept", "reject", "accept", "hold"]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--outcome", "accept"), 2),
        (("--bids",), 3),
        (("--agent", "risk/main"), 1),
        (("--symbol", "ETH/USDT", "--limit", "1"), 4),
    ],
)
def test_rounds_are_filtered(journal: Path, options: tuple[str, ...], found: int) -> None:
    told = json.loads(parley("rounds", "--journal", journal, "--json", *options).stdout)

    assert told["found"] == found


def test_trigger_that_got_no_round_is_listed_with_its_reason(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "strained.journal", run_config())
    notes.put(Strain(source="load", level=2, why="slow"), sender="clock")
    notes.put(Shed(symbol=SYMBOL, kind="bar", code="strained", detail="only the best 4", t=T0))
    notes.writer.close()

    listed = {
        options: json.loads(parley("rounds", "--journal", notes.writer.path, "--json", *options).stdout)
        for options in ((), ("--outcome", "shed"), ("--outcome", "hold"), ("--bids",))
    }

    assert {options: told["found"] for options, told in listed.items()} == {
        (): 1, ("--outcome", "shed"): 1, ("--outcome", "hold"): 0, ("--bids",): 0,
    }  # fmt: skip
    (line,) = listed[()]["rounds"]
    assert (line["outcome"], line["symbol"], line["who"], line["reason"], line["detail"]) == (
        "shed", SYMBOL, "desk", "strained", "only the best 4",
    )  # fmt: skip
    summary = summarise(open_journal(notes.writer.path))
    assert (summary.shed, summary.strain, summary.rounds) == ({f"strained: {SYMBOL}": 1}, 2, 0)


@pytest.mark.parametrize("command", ["rounds", "orders", "positions"])
def test_lists_are_readable_by_people_too(journal: Path, command: str) -> None:
    result = parley(command, "--journal", journal)

    assert result.exit_code == 0
    assert result.stdout.strip()


def test_orders_name_their_round_and_agent(journal: Path) -> None:
    told = json.loads(parley("orders", "--journal", journal, "--json").stdout)

    assert [(line["side"], line["state"], line["agent"]) for line in told["orders"]] == [
        ("sell", "filled", "strategy/trend"),
        ("buy", "filled", "strategy/trend"),
    ]


def test_positions_are_those_of_the_last_state(journal: Path) -> None:
    told = json.loads(parley("positions", "--journal", journal, "--json").stdout)

    assert told["state"]["equity"] == "10193.6022"


def test_round_is_explained_by_the_beginning_of_its_id(journal: Path) -> None:
    told = json.loads(parley("explain", show_round(ROUNDS[1])[:14], "--journal", journal, "--json").stdout)

    assert told["round"] == show_round(ROUNDS[1])


def test_read_commands_take_the_newest_run(home: Path) -> None:
    folder = home / "runs" / "20260101T000000-abc"
    folder.mkdir(parents=True)
    write_journal(folder / "desk.journal")

    told = json.loads(parley("rounds", "--json").stdout)

    assert told["journal"] == str(folder / "desk.journal")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("rounds", "--outcome", "accpt"), "did you mean 'accept'?"),
        (("rounds", "--symbol", "ETH/USDC"), "did you mean 'ETH/USDT'?"),
        (("rounds", "--agent", "strategy/trand"), "did you mean 'strategy/trend'?"),
        (("orders", "--state", "fild"), "did you mean 'filled'?"),
        (("explain", "rnd_777"), "no round 'rnd_777'"),
    ],
)
def test_mistake_in_a_filter_names_the_nearest(
    journal: Path, arguments: tuple[str, ...], expected: str
) -> None:
    assert expected in said(parley(*arguments, "--journal", journal))


@pytest.mark.parametrize("command", [("rounds",), ("orders",), ("positions",), ("explain", "x"), ("replay",)])
def test_without_any_run_a_read_command_says_how_to_get_one(command: tuple[str, ...]) -> None:
    assert "start one with 'parley run'" in said(parley(*command))


@pytest.mark.parametrize("command", [("rounds",), ("orders",), ("positions",), ("explain", "x"), ("replay",)])
def test_journal_of_another_version_is_refused_by_name(journal: Path, command: tuple[str, ...]) -> None:
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute("PRAGMA user_version = 99")

    text = said(parley(*command, "--journal", journal))

    assert "schema version 99, expected 1" in text
    assert str(journal) in text


def test_replay_of_a_changed_journal_names_file_and_group(journal: Path) -> None:
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute("UPDATE records SET body = body || x'00' WHERE seq = 9")
        connection.commit()
        (gid,) = connection.execute("SELECT gid FROM records WHERE seq = 9").fetchone()

    result = parley("replay", journal)

    assert result.exit_code == 1
    assert f"{str(journal)!r} does not verify: group gid={gid}: " in result.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--speed", "fast"), "speed must be 'max' or"),
        (("--silent", "riks"), "did you mean 'risk'?"),
        (("--pairs", "BTC/USDC"), "did you mean 'BTC/USDT'?"),
        (("--data", "/nowhere"), "there is no folder '/nowhere'"),
        (("--config", "/nowhere.toml"), "cannot read the configuration '/nowhere.toml'"),
        (("--capital", "0"), "capital"),
        (("--journal", "/nowhere/x.journal"), "there is no folder '/nowhere'"),
    ],
)
def test_run_that_cannot_start_says_why_and_writes_nothing(
    home: Path, options: tuple[str, ...], expected: str
) -> None:
    text = said(parley("run", "--duration", "1", *options))

    assert expected in text
    assert not home.exists()


def test_existing_journal_is_not_overwritten(home: Path, journal: Path) -> None:
    before = journal.read_bytes()

    assert "exists: a run writes a new file" in said(parley("run", "--journal", journal))
    assert journal.read_bytes() == before
    assert not home.exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('piars = ["BTC/USDT"]', "unknown key 'piars': did you mean 'pairs'?"),
        ('[agents."strategy/trendy"]\nshare = 0.1', "did you mean 'strategy/trend'?"),
        ('[limits]\nmax_postion = "0.1"', "did you mean 'max_position'?"),
        ("[desk]\nmin_qourum = 1", "did you mean 'min_quorum'?"),
    ],
)
def test_wrong_key_in_the_configuration_names_the_nearest(
    tmp_path: Path, home: Path, text: str, expected: str
) -> None:
    (tmp_path / "desk.toml").write_text(text)

    assert expected in said(parley("run", "--config", tmp_path / "desk.toml"))
    assert not home.exists()


def test_doctor_finds_this_machine_fit() -> None:
    result = parley("doctor", "--json")
    told = json.loads(result.stdout)

    states = {check["name"]: check["state"] for check in told["checks"]}
    assert {"python", "packages", "disk", "fsync", "sqlite", "sockets", "ports", "data", "journal"} <= set(
        states
    )
    assert states["python"] == states["packages"] == states["sqlite"] == "ok"
    assert result.exit_code == 0


@pytest.mark.parametrize("group", [(), ("agents",), ("data",)])
def test_help_names_every_command_in_a_whole_sentence(group: tuple[str, ...]) -> None:
    lines = parley(*group, "--help").stdout.partition("Commands:\n")[2].splitlines()

    named = {line.split()[0] for line in lines if line.strip()}
    assert named == set(get_command(app, group))
    assert [line for line in lines if line.strip() and (not line.endswith(".") or line.endswith(".."))] == []
    assert max(map(len, lines)) <= 80


def get_command(commands: typer.Typer, group: Sequence[str]) -> Sequence[str]:
    """Return the names of a group's commands."""
    found: Any = typer.main.get_command(commands)
    for name in group:
        found = found.commands[name]
    return list(found.commands)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("rounds", "--outcome", "shed"), "nothing was shed: every trigger got its round"),
        (("rounds", "--outcome", "void"), "no rounds with outcome void"),
        (
            ("rounds", "--outcome", "expired", "--bids"),
            "no rounds with outcome expired in which somebody bid",
        ),
        (("orders", "--state", "open"), "none of 2 orders is open"),
    ],
)
def test_list_without_lines_says_so(journal: Path, arguments: tuple[str, ...], says: str) -> None:
    assert parley(*arguments, "--journal", journal).stdout == says + "\n"


def test_prices_of_positions_are_on_the_grid_and_nothing_is_minus_nothing(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "desk.journal", run_config())
    held = Position(
        symbol=SYMBOL, qty=Decimal("0.3"), avg_px=Decimal("84.69876147777961"), realised=Decimal("-0.001"),
        mark=Decimal("3059.3450000000003"), unrealised=Decimal("-0.004"),
    )  # fmt: skip
    notes.put(make_state(positions=(held,)), sender="desk")
    notes.writer.close()

    text = parley("positions", "--journal", notes.writer.path).stdout
    exact = parley("positions", "--journal", notes.writer.path, "--json").stdout

    assert " 84.7 " in text
    assert " 3059.35 " in text
    assert "-0.00" not in text
    assert "84.69876147777961" in exact
