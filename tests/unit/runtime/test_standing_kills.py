"""Whoever looks at a desk, starts one or asks for its health is told of a kill, and of the way out."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from parley.errors import UserError
from runtime import kill_file, leftovers
from runtime.cli import app
from runtime.commands.run import play
from runtime.live_view import LiveView
from runtime.placement import PROCESSES, Processes
from runtime.run_config import RunConfig
from runtime.settings import load_settings
from runtime.standing_kills import KillWatch, lines, stops


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("PARLEY_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def kill(home: Path, *scopes: str, mode: str = "cancel", reason: str = "looks odd") -> None:
    home.mkdir(exist_ok=True)
    kill_file.write(home / "kill.jsonl", "kill", scopes, mode=mode, reason=reason, by="ann (pid 7)")


def release(home: Path, *scopes: str) -> None:
    kill_file.write(home / "kill.jsonl", "release", scopes, reason="looked", by="ann (pid 7)")


def parley(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def all_said(text: str) -> None:
    """Scope, mode, who, why, since when, and the way out."""
    said = " ".join(text.split())
    assert "killed: firm, flatten (only exits are sent), by ann (pid 7), since 20" in said
    assert "UTC, reason: 'looks odd'; to trade again: parley release --scope firm --reason TEXT" in said


def lives(home: Path) -> int:
    """Make a run that lives, as far as commands can see; returns its claim."""
    run = home / "runs" / "r1"
    run.mkdir(parents=True)
    claim = leftovers.claim(run)
    told = Processes(run="r1", placement="packed", units={"desk": os.getpid()}, agents=("risk/main",))
    (run / PROCESSES).write_bytes(msgspec.json.encode(told))
    return claim


def test_status_says_what_is_killed_also_where_nothing_runs(home: Path) -> None:
    kill(home, "firm", mode="flatten")

    result = parley("status")

    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "nothing runs in" in result.stderr
    all_said(result.stderr)


def test_status_of_a_run_that_lives_says_it_in_text_and_json(home: Path) -> None:
    home.mkdir()
    claim = lives(home)
    try:
        assert json.loads(parley("status", "--json").stdout)["killed"] == []
        assert "killed" not in parley("status").stdout

        kill(home, "firm", mode="flatten")
        kill(home, "tenant:other")

        all_said(parley("status").stdout)
        (told,) = json.loads(parley("status", "--json").stdout)["killed"]
    finally:
        leftovers.release(home / "runs" / "r1", claim)
    assert {name: told[name] for name in ("scope", "mode", "reason", "by", "release")} == {
        "scope": "firm", "mode": "flatten", "reason": "looks odd", "by": "ann (pid 7)",
        "release": "parley release --scope firm --reason TEXT",
    }  # fmt: skip
    assert told["since"].endswith("Z")


def test_doctor_warns_of_a_kill(home: Path) -> None:
    def check() -> dict[str, str]:
        told = json.loads(parley("doctor", "--json").stdout)
        return next(each for each in told["checks"] if each["name"] == "killed")

    assert check() == {"name": "killed", "state": "ok", "found": "nothing"}
    assert not home.exists()
    kill(home, "firm", mode="flatten")
    assert check()["state"] == "warn"
    all_said(check()["found"])


@pytest.mark.parametrize("command", [("run",), ("up", "--no-database")])
def test_start_of_a_desk_says_it_before_anything_is_composed(
    home: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(home, "firm", mode="flatten")
    monkeypatch.setattr("runtime.launch.make_run", stop)

    all_said(parley(*command).stderr)


def test_start_of_a_paper_desk_does_too(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`parley trade` plans for seconds, and then plays like the others."""
    kill(home, "firm", mode="flatten")

    with pytest.raises(UserError, match="enough"):
        play(load_settings(None, {}), stop, as_json=True, with_database=False)

    all_said(capsys.readouterr().err)


def test_screen_and_line_of_a_run_follow_the_file(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    view = LiveView(tmp_path / "none", "run", ())
    watch = KillWatch(home)
    assert watch.stops == ()
    assert not watch.look()

    kill(home, "firm", mode="flatten")
    kill(home, "symbol:BTC/USDT", reason="")
    assert watch.look()
    view.killed = watch.stops
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(view.render("x1", 400))
    all_said(console.export_text().replace("│", " "))
    assert view.line() == "waiting for the first round  KILLED firm, flatten  KILLED symbol:BTC/USDT, cancel"

    before = watch.stops
    release(home, "firm")
    assert watch.look()
    assert lines(watch.stops, before) == ["released: firm"]
    assert lines(watch.stops, ()) == [watch.stops[0].line()]
    assert not watch.look()


def test_damaged_file_is_told_with_the_only_release_that_mends_it(home: Path) -> None:
    home.mkdir()
    (home / "kill.jsonl").touch()

    (told,) = stops(home)

    assert told.line() == (
        "killed: platform, block (nothing is sent, what rests stays), reason: 'the kill file is damaged: it"
        " is empty'; to trade again: parley release --scope platform --reason TEXT"
    )


def test_reason_cannot_break_the_line_nor_the_screen(home: Path) -> None:
    """A bracket is markup to the screen, and would end the command right behind the kill."""
    result = parley("kill", "--reason", "[/no] a\nb \x1b[31m")

    assert result.exit_code == 0, result.output
    assert r"reason: '[/no] a\nb \x1b[31m'" in result.stdout
    assert len(result.stdout.splitlines()) == 2  # and that no gateway runs


def test_scope_is_quoted_for_the_shell_and_nothing_is_made_by_looking(home: Path) -> None:
    assert stops(home) == ()
    assert not home.exists()
    kill(home, "symbol:A B/C")
    assert stops(home)[0].release == "parley release --scope 'symbol:A B/C' --reason TEXT"


def stop(*_: object) -> RunConfig:
    """End a start right behind what is tested."""
    raise UserError("that is enough")
