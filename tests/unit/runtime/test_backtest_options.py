"""Options that freqtrade's command takes are taken, refused by name, or said to mean nothing."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from parley.errors import UserError
from runtime.commands.simulate import options_of
from runtime.freqtrade_log import freqtrade_log


def options(folder: Path, **given: Any) -> Any:
    return options_of(
        {"user_data_dir": folder, "config": (folder / "c.json",), "breakdown": (), "backtest_directory": None}
        | given
    )


def test_the_cache_is_one_of_freqtrades_ages(tmp_path: Path) -> None:
    assert options(tmp_path, cache="week").user_data_dir == tmp_path
    with pytest.raises(UserError, match="cache must be one of none, day, week, month, was 'foo'"):
        options(tmp_path, cache="foo")


@pytest.mark.parametrize(
    ("name", "value"),
    [("freqaimodel", "X"), ("freqaimodel_path", Path("x")), ("freqai_backtest_live_models", True)],
)
def test_freqai_is_refused_by_the_option(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(UserError, match=f"--{name.replace('_', '-')}: FreqAI is not supported yet"):
        options(tmp_path, **{name: value})


def test_a_folder_as_export_filename_is_the_folder_of_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"

    assert options(tmp_path, export_filename=tmp_path).backtest_directory == tmp_path
    both = options(tmp_path, export_filename=tmp_path, backtest_directory=other)
    assert both.backtest_directory == other
    assert capsys.readouterr().err == ""
    assert options(tmp_path, export_filename=tmp_path / "r.json").backtest_directory is None
    assert "--export-filename" in capsys.readouterr().err


def test_freqtrades_log_goes_where_it_was_asked_for_and_is_quiet_afterwards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs, own = logging.getLogger("freqtrade.x"), logging.getLogger("MyStrategy")
    logging.getLogger("freqtrade").setLevel(logging.ERROR)
    file = tmp_path / "deep" / "x.log"

    with freqtrade_log(None, file):
        theirs.info("to the file")
        own.info("of a strategy")
        theirs.debug("too much")
    with freqtrade_log(2, None):
        theirs.debug("to the screen")
        print("answer", file=sys.stdout)
    with freqtrade_log(None, None):
        theirs.info("to nobody")
    theirs.info("to nobody")

    lines = file.read_text(encoding="utf-8").splitlines()
    assert [line.partition(" - ")[2] for line in lines] == [
        "freqtrade.x - INFO - to the file",
        "MyStrategy - INFO - of a strategy",
    ]
    said = capsys.readouterr()
    assert said.out == "answer\n"
    assert [line.partition(" - ")[2] for line in said.err.splitlines()] == [
        "freqtrade.x - DEBUG - to the screen"
    ]


@pytest.mark.parametrize("name", ["syslog", "journald", "syslog:/dev/log"])
def test_a_log_that_is_no_file_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="--logfile must be a file"), freqtrade_log(None, Path(name)):
        pass


def test_a_log_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"), freqtrade_log(None, tmp_path):
        pass
