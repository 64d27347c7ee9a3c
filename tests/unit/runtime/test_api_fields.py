"""What a run tells its API: the journals and the limit it is judged by are the run's own."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from api.config import ApiConfig, check
from runtime.api_keeper import ApiPlaces, _fields
from runtime.commands.run import StorePlaces
from runtime.launch import Layout
from runtime.settings import load_settings


def test_api_is_judged_by_the_runs_journals_and_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_DATABASE__BACKLOG_S", "45")
    layout = Layout("r", tmp_path / "runs" / "r", tmp_path / "elsewhere.journal", tmp_path, -1)
    places = ApiPlaces(
        config=layout.config("api"), logs=layout.logs, journals=StorePlaces.of(layout).journals,
        backlog_s=load_settings().database.backlog_s, home=tmp_path, shipper=tmp_path / "s",
        desk=layout.heartbeat, database="", url="",
    )  # fmt: skip

    told = msgspec.json.decode(msgspec.json.encode(_fields(8000, places)), type=ApiConfig)

    check(told)
    assert told.journals == (
        str(tmp_path / "elsewhere.journal"),
        str(tmp_path / "runs" / "r" / "gateway.journal"),
    )
    assert told.backlog_s == 45.0
