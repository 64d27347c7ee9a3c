"""The size ratchet: what is too large is found, and the list of exceptions can only shrink."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import check_sizes

KEY = "file lines: agents/large.py"


def function_of(lines: int, name: str = "long") -> str:
    return f"def {name}():\n" + "    pass\n" * (lines - 1)


def class_of(methods: int) -> str:
    return "class Large:\n" + "".join(f"    def m{n}(self): ...\n" for n in range(methods))


@pytest.mark.parametrize(
    ("text", "oversized"),
    [
        ("x = 1\n" * 500, {}),
        ("x = 1\n" * 501, {"file lines: agents/a.py": 501}),
        (function_of(80), {}),
        (function_of(81), {"function lines: agents/a.py::long": 81}),
        ("async " + function_of(81), {"function lines: agents/a.py::long": 81}),
        (class_of(20), {}),
        (class_of(21), {"class public methods: agents/a.py::Large": 21}),
        (class_of(20) + "    def _private(self): ...\n    def __len__(self): ...\n", {}),
        (
            "class A:\n" + "".join(f"    {line}\n" for line in function_of(81).splitlines()),
            {"function lines: agents/a.py::A.long": 81},
        ),
        (
            "if True:\n" + "".join(f"    {line}\n" for line in function_of(81).splitlines()),
            {"function lines: agents/a.py::long": 81},
        ),
    ],
)
def test_only_what_is_above_its_limit_is_found(tmp_path: Path, text: str, oversized: dict[str, int]) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents/a.py").write_text(text)

    assert check_sizes.find_oversized(tmp_path) == oversized


def test_hidden_and_generated_folders_are_not_measured(tmp_path: Path) -> None:
    for folder in (".venv/lib", "var", "agents/__pycache__"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.py").write_text("x = 1\n" * 501)

    assert check_sizes.find_oversized(tmp_path) == {}


@pytest.mark.parametrize(
    ("oversized", "listed", "advice"),
    [
        ({}, {}, None),
        ({KEY: 600}, {KEY: 600}, None),
        ({KEY: 600}, {}, "split it"),
        ({KEY: 601}, {KEY: 600}, "grew from 600 to 601"),
        ({KEY: 590}, {KEY: 600}, "lower its entry"),
        ({}, {KEY: 600}, "remove its entry"),
    ],
)
def test_list_must_match_exactly(
    oversized: dict[str, int], listed: dict[str, int], advice: str | None
) -> None:
    problems = check_sizes.compare(oversized, listed)

    assert len(problems) == (advice is not None)
    assert all(advice in problem for problem in problems if advice)


@pytest.mark.parametrize(("before", "word"), [({}, "added"), ({KEY: 550}, "raised")])
def test_list_may_only_shrink(before: dict[str, int], word: str) -> None:
    [problem] = check_sizes.compare({KEY: 600}, {KEY: 600}, [before, before])

    assert word in problem


def test_shrinking_the_list_is_no_problem() -> None:
    assert check_sizes.compare({KEY: 600}, {KEY: 600}, [{KEY: 700, "file lines: gone.py": 900}]) == []


def test_no_earlier_list_outside_a_repository(tmp_path: Path) -> None:
    assert list(check_sizes.earlier_lists(tmp_path)) == []
