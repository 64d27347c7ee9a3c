"""The suite runner: counts, exit code, and nothing left out unseen."""

from __future__ import annotations

import time
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


def test_hanging_suite_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pid = tmp_path / "pid"
    text = "import subprocess\ndef test_hangs():\n    child = subprocess.Popen(['sleep', '60'])\n"
    text += f"    open({str(pid)!r}, 'w').write(str(child.pid))\n    child.wait()\n"
    write_suite(tmp_path, "unit", text)
    monkeypatch.setitem(run_suites.BUDGETS, "unit", 1)

    assert run_suites.main(["--tests", str(tmp_path)]) == 1

    assert "unit: stopped after 4 s" in capsys.readouterr().out
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid.read_text()}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid.read_text()}").exists()


def test_lanes_run_beside_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Each waits for a file that only the other writes.
    text = """
import time
from pathlib import Path
def test_meets():
    Path({mine!r}).touch()
    deadline = time.monotonic() + 60
    while not Path({other!r}).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    print("seen by {name}")
"""
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    write_suite(tmp_path, "contract", text.format(mine=first, other=second, name="contract"))
    write_suite(tmp_path, "unit", text.format(mine=second, other=first, name="unit"))

    assert run_suites.main(["--tests", str(tmp_path)]) == 0

    output = capsys.readouterr().out
    assert "== unit said:" in output
    assert output.splitlines()[-1] == "2 passed, 0 failed, 0 skipped"


def test_budgets_fit_the_promise() -> None:
    assert run_suites.expected_s(list(run_suites.BUDGETS)) <= 27 * 60


def test_every_suite_runs_once_and_those_that_kill_one_after_the_other() -> None:
    phases = run_suites.phases(list(run_suites.BUDGETS))
    assert sorted(name for lanes in phases for lane in lanes for name in lane) == sorted(run_suites.BUDGETS)
    assert [lane for lanes in phases for lane in lanes if "kill" in lane and "chaos" in lane]
