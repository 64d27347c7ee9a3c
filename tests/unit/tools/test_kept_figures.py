"""Figures of long tests: the last run in full, all of them in sum."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kit import figures


def test_last_run_is_kept_and_all_are_summed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "RESULTS", tmp_path)
    assert figures.runs_so_far("k.json", "a") == 0

    figures.keep_figures("k.json", "a", total="kills", kills=20, records=7)
    figures.keep_figures("k.json", "b", total="kills", kills=1)
    figures.keep_figures("k.json", "a", total="kills", kills=5, records=9)

    found = json.loads((tmp_path / "k.json").read_text())
    assert (found["a"]["runs"], found["a"]["kills_of_all_runs"]) == (2, 25)
    assert (found["a"]["last"]["kills"], found["a"]["last"]["records"]) == (5, 9)
    assert found["a"]["last"]["machine"]["cpus"] > 0
    assert found["a"]["last"]["date"].endswith("+00:00")
    assert figures.runs_so_far("k.json", "b") == 1


def test_broken_file_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "RESULTS", tmp_path)
    (tmp_path / "k.json").write_text("{")

    figures.keep_figures("k.json", "a", total="kills", kills=1)

    assert figures.runs_so_far("k.json", "a") == 1
