"""What made a run: found once, kept in the journal, shown, and warned about when a replay differs."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from runtime import provenance
from runtime.cli import app
from runtime.history import config_of, open_journal
from runtime.provenance import config_hash, differences, origin, with_origin
from runtime.run_config import Origin, RunConfig, run_config, to_json
from tests.kit import small_journal


def git(folder: Path, *words: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@localhost", *words],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.py").write_text("x = 1\n")
    git(folder, "add", "a.py")
    git(folder, "commit", "-q", "-m", "first")
    return folder.resolve()


def test_commit_of_a_clean_checkout(checkout: Path) -> None:
    found = origin(None, checkout)

    assert (found.commit, found.dirty) == (git(checkout, "rev-parse", "HEAD"), False)


@pytest.mark.parametrize("name", ["a.py", "new.py"])
def test_changed_and_new_files_make_it_dirty(checkout: Path, name: str) -> None:
    (checkout / name).write_text("x = 2\n")

    assert origin(None, checkout).dirty is True


def test_folder_outside_a_repository_has_no_commit(tmp_path: Path) -> None:
    assert origin(None, tmp_path.resolve()).commit == "unknown"


def test_copy_inside_another_repository_does_not_take_its_commit(checkout: Path) -> None:
    inner = checkout / "venv" / "lib"
    inner.mkdir(parents=True)

    assert (origin(None, inner).commit, origin(None, inner).dirty) == ("unknown", False)


def test_repository_of_the_caller_is_not_taken_for_ours(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(checkout / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))

    assert origin(None, tmp_path.resolve()).commit == "unknown"
    assert origin(None, checkout).commit != "unknown"


def test_machine_without_git_has_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))

    assert origin(None, checkout).commit == "unknown"


def test_versions_name_every_package_that_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    found = provenance.versions()

    assert set(found) == {"python", "sqlite", "parley", "msgspec", "numpy", "uvloop", "ccxt"}
    assert found["msgspec"] == msgspec.__version__
    assert found["python"] == sys.version.split()[0]

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert provenance.versions()["ccxt"] == "unknown"


def test_hash_covers_what_a_user_decided_and_nothing_else() -> None:
    run = small_journal.run_config()
    same = with_origin(replace(run, run_id="another", instruments={}))

    assert config_hash(run) == config_hash(same) == same.origin.config_hash
    changed = (
        replace(run, desk=replace(run.desk, seed=2)),
        replace(run, limits={"max_open_trades": 3}),
        replace(run, silent=("risk",)),
        replace(run, agents=run.agents[:-1]),
    )
    assert len({config_hash(each) for each in (run, *changed)}) == 5
    one, two = ({"limits": dict(items)} for items in ([("a", 1), ("b", 2)], [("b", 2), ("a", 1)]))
    assert config_hash(replace(run, **one)) == config_hash(replace(run, **two))


def test_older_configuration_has_an_unknown_origin() -> None:
    raw = json.loads(to_json(small_journal.run_config()))
    del raw["origin"]

    assert run_config(json.dumps(raw)).origin == Origin()


HERE = Origin(commit="a" * 40, versions={"msgspec": "1", "numpy": "2"}, config_hash="c")


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (HERE, []),
        (replace(HERE, config_hash="other"), []),
        (replace(HERE, commit="b" * 40), ["commit bbbbbbbbbbbb there, aaaaaaaaaaaa here"]),
        (replace(HERE, dirty=True), ["uncommitted changes may differ"]),
        (replace(HERE, versions={"msgspec": "1", "numpy": "3"}), ["numpy 3 there, 2 here"]),
        (replace(HERE, versions={"numpy": "2"}), ["msgspec unknown there, 1 here"]),
        (Origin(), ["the file does not say which"]),
    ],
)
def test_every_difference_is_named(then: Origin, expected: list[str]) -> None:
    found = list(differences(then, HERE))

    assert len(found) == len(expected)
    assert all(words in text for words, text in zip(expected, found, strict=True))


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal that says it was written by an older numpy at the commit of now."""
    now = origin(None)
    then = replace(now, versions=now.versions | {"numpy": "0.9"}, config_hash="c0ffee" * 10, dirty=False)

    def older() -> RunConfig:
        return small(origin=then)

    small = small_journal.run_config
    monkeypatch.setattr(small_journal, "run_config", older)
    return small_journal.write_journal(tmp_path / "desk.journal")


def test_journal_holds_the_origin(journal: Path) -> None:
    found = config_of(open_journal(journal)).origin

    assert (found.versions["numpy"], found.config_hash) == ("0.9", "c0ffee" * 10)


def test_replay_shows_the_origin_and_warns_of_other_code(journal: Path) -> None:
    told = CliRunner().invoke(app, ["replay", str(journal), "--json"])

    assert json.loads(told.stdout)["origin"]["versions"]["numpy"] == "0.9"
    warning = f"numpy 0.9 there, {metadata.version('numpy')} here"
    assert f"parley: warning: other code than wrote the file: {warning}" in told.stderr.splitlines()
    assert warning in json.loads(told.stdout)["origin_differs"]
    shown = CliRunner().invoke(app, ["replay", str(journal)])
    assert "numpy 0.9" in next(line for line in shown.stdout.splitlines() if line.startswith("written by"))


def test_doctor_shows_both_this_code_and_what_wrote_the_journal(journal: Path) -> None:
    told = json.loads(CliRunner().invoke(app, ["doctor", "--journal", str(journal), "--json"]).stdout)

    found = {check["name"]: check["found"] for check in told["checks"]}
    assert metadata.version("numpy") in found["code"]
    assert "numpy 0.9" in found["written by"]
    assert "configuration c0ffeec0ffee" in found["written by"]


def test_version_is_told_with_its_commit() -> None:
    told = CliRunner().invoke(app, ["--version"])

    assert told.exit_code == 0
    assert told.stdout.startswith(f"parley {metadata.version('parley')}, commit {origin().commit[:7]}")
    assert told.stdout.count("\n") == 1
