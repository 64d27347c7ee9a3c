"""The suite runner: counts, exit code, and nothing left out unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import run_suites

MIXED = """
import pytest
def test_passes(): pass
@pytest.mark.skip(reason="no accelerator here")
def test_skipped(): pass
@pytest.mark.long
def test_long(): pass
"""


def write_suite(tests: Path, suite: str, text: str) -> None:
    (tests / suite).mkdir(parents=True)
    (tests / suite / "test_planted.py").write_text(text)


def test_counts_and_skip_reasons_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_suite(tmp_path, "unit", MIXED)

    code = run_suites.main(["--tests", str(tmp_path)])

    output = capsys.readouterr().out
    assert code == 0
    assert "SKIPPED in unit: 1 x no accelerator here" in output
    assert "test_planted::test_skipped" in output
    assert f"unit: budget {run_suites.BUDGETS['unit']} s" in output
    assert output.splitlines()[-1] == "1 passed, 0 failed, 1 skipped"


@pytest.mark.parametrize(
    "text",
    [
        "def test_fails(): assert False",
        "import nothing_of_this_name",
        "import os\ndef test_dies(): os._exit(3)",
    ],
)
def test_failure_error_and_crash_fail_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    write_suite(tmp_path, "contract", text)
    write_suite(tmp_path, "unit", MIXED)

    code = run_suites.main(["--tests", str(tmp_path)])

    assert code == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 1 failed, 1 skipped"


def test_long_runs_only_long_tests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_suite(tmp_path, "unit", MIXED)

    assert run_suites.main(["--long", "--tests", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 0 failed, 0 skipped"


def test_nothing_run_is_not_a_success(tmp_path: Path) -> None:
    assert run_suites.main(["--tests", str(tmp_path)]) == 1


def test_suite_without_budget_is_refused(tmp_path: Path) -> None:
    write_suite(tmp_path, "surprise", MIXED)

    with pytest.raises(SystemExit, match="surprise"):
        run_suites.find_suites(tmp_path)


def test_named_suite_that_is_not_there_is_refused(tmp_path: Path) -> None:
    write_suite(tmp_path, "unit", MIXED)

    with pytest.raises(SystemExit, match="kill"):
        run_suites.main(["--tests", str(tmp_path), "kill"])


def test_hanging_suite_is_ended_with_its_children(tmp_path: Path) -> None:
    assert run_suites.run_group(["sh", "-c", "sleep 60 & wait"], stop_after=0.3) is None


def test_budgets_fit_the_promise() -> None:
    assert sum(run_suites.BUDGETS.values()) <= 25 * 60
