"""Journals of backtests: the newest complete ones stay, cut off ones go, a living one is left alone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from parley.errors import UserError
from runtime.kept_backtests import FOLDER, place_for
from runtime.leftovers import CLAIM, claim

HOUR_AGO = time.time() - 3600


def run(home: Path, name: str, keep: int = 3) -> None:
    with place_for(home, name, keep) as path:
        assert path == home / FOLDER / name / "desk.journal"
        path.write_text("a whole journal")


def cut_off(home: Path, name: str, error: BaseException) -> None:
    with place_for(home, name, 3) as path:
        path.write_text("half a journal")
        raise error


def kept(home: Path) -> list[str]:
    return sorted(each.name for each in (home / FOLDER).iterdir())


def test_the_newest_complete_ones_stay(tmp_path: Path) -> None:
    for day in range(1, 6):
        run(tmp_path, f"2026110{day}")
    assert kept(tmp_path) == ["20261103", "20261104", "20261105"]
    run(tmp_path, "20261106", keep=1)
    assert kept(tmp_path) == ["20261106"]


def test_an_older_name_is_not_pruned_by_its_own_end(tmp_path: Path) -> None:
    run(tmp_path, "20261109")
    run(tmp_path, "20261101", keep=1)  # the clock was set back
    assert kept(tmp_path) == ["20261101"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError])
def test_one_that_does_not_come_to_its_end_goes_at_once(tmp_path: Path, error: type[BaseException]) -> None:
    run(tmp_path, "20261101")
    with pytest.raises(error):
        cut_off(tmp_path, "20261102", error("cut off"))
    assert kept(tmp_path) == ["20261101"]


def test_what_a_killed_process_left_goes_at_the_next_start(tmp_path: Path) -> None:
    left = tmp_path / FOLDER / "20261101"
    left.mkdir(parents=True)
    (left / "desk.journal").write_text("half a journal")
    os.close(claim(left))  # the kernel lets go with the process
    run(tmp_path, "20261102")
    assert kept(tmp_path) == ["20261101", "20261102"]  # it may be about to begin
    os.utime(left / CLAIM, (HOUR_AGO, HOUR_AGO))
    run(tmp_path, "20261103")
    assert kept(tmp_path) == ["20261102", "20261103"]


def test_a_living_one_and_what_is_no_backtest_stay(tmp_path: Path) -> None:
    living = tmp_path / FOLDER / "20261101"
    living.mkdir(parents=True)
    held = claim(living)
    try:
        (living / "desk.journal").write_text("being written")
        os.utime(living / CLAIM, (HOUR_AGO, HOUR_AGO))
        (tmp_path / FOLDER / "notes").mkdir()
        run(tmp_path, "20261102", keep=1)
        assert kept(tmp_path) == ["20261101", "20261102", "notes"]
    finally:
        os.close(held)


def test_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file")
    with pytest.raises(UserError, match="cannot make the folder"):
        run(tmp_path, "20261101")
