"""`[database]`: where it is said, and every mistake one line that names the key and repeats no password."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley.errors import ConfigError, UserError
from runtime.settings import DatabaseSettings, load_settings
from runtime.store_keeper import StoreKeeper, StorePlaces


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PARLEY_HOME", "PARLEY_DATABASE__URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def keeper(home: Path, **said: object) -> StoreKeeper:
    places = StorePlaces(home / "c", home / "s", home, (home / "desk.journal",), home)
    return StoreKeeper(DatabaseSettings(**said), home, places, lambda text: None)  # type: ignore[arg-type]


def test_command_wins_over_environment_and_environment_over_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "desk.toml"
    file.write_text("[database]\nenabled = false\nbacklog_s = 60\nbacklog_disk = 0.5\n")
    monkeypatch.setenv("PARLEY_DATABASE__BACKLOG_S", "30")

    settings = load_settings(file, {"database": {"enabled": True}})

    found = settings.database
    assert (found.enabled, found.backlog_s, found.backlog_disk) == (True, 30.0, 0.5)


def test_limits_reach_the_desk(tmp_path: Path) -> None:
    watched = keeper(tmp_path, backlog_s=30, backlog_disk=0.5, folder=tmp_path / "pg").backlog

    assert (watched.limits.age_s, watched.limits.disk) == (30.0, 0.5)
    assert watched.journals == (str(tmp_path / "desk.journal"),)
    assert watched.since_ns > 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("folde = 'x'", "unknown key 'database.folde': did you mean 'folder'?"),
        ("backlog_s = 0", "database.backlog_s"),
        ("backlog_disk = 1.5", "database.backlog_disk"),
        ("enabled = 'perhaps'", "database.enabled"),
    ],
)
def test_mistake_in_the_file_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "desk.toml"
    file.write_text(f"[database]\n{text}\n")

    with pytest.raises(ConfigError) as error:
        load_settings(file)

    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_neither_a_url_nor_a_server_of_ours_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"database\.url or DATABASE_URL"):
        keeper(tmp_path, embedded=False)


def test_folder_that_is_said_wins_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u@h/d")

    assert keeper(tmp_path).folder == ""
    assert keeper(tmp_path, folder=tmp_path / "pg").folder == str(tmp_path / "pg")
    assert keeper(tmp_path, folder=tmp_path / "pg", url="postgresql://u@h/d").folder == ""


def test_url_that_is_none_does_not_say_its_password(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        keeper(tmp_path, url="mysql://u:s3cret@h/d")
    assert "s3cret" not in str(error.value)
    assert "s3cret" not in repr(DatabaseSettings(url="postgresql://u:s3cret@h/d"))
