"""The README's way from a freqtrade configuration to a desk on paper, command for command."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path

import pytest

from tests.kit import forked

pytestmark = pytest.mark.timeout(500)  # six commands; agents and the first load freqtrade
ROOT = Path(__file__).resolve().parent.parent.parent
HEAD = "## From a freqtrade configuration to a desk, in ten minutes"


def commands() -> list[list[str]]:
    """The words of each command of the section's code, with ``$PARLEY_DATA`` left in them."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text[text.index(HEAD) :]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return [shlex.split(line) for line in found[1].replace("\\\n", " ").splitlines()]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, market_data: Path) -> tuple[Path, dict[str, str]]:
    """Run the section; the home it ran in and what each command said, by its name."""
    home = tmp_path_factory.mktemp("tutorial")
    environment = {
        **os.environ, "PARLEY_HOME": str(home), "PARLEY_DATA": str(market_data), "COLUMNS": "200",
    }  # fmt: skip
    answers: dict[str, str] = {}
    for words in commands():
        assert words[0] == "parley"
        given = [
            word.replace("$PARLEY_DATA", str(market_data)).replace("/tmp/pages", str(home / "pages"))
            for word in words[1:]
        ]
        done = forked.commands().run("runtime.cli", *given, cwd=ROOT, env=environment, timeout=400)
        assert done.returncode == 0, (given, done.stdout[-2000:], done.stderr[-2000:])
        name = given[0] + (" --desk" if "--desk" in given else "")
        answers[name] = done.stdout
    return home, answers


def test_the_strategies_trade_alone_and_with_a_desk(said: tuple[Path, dict[str, str]]) -> None:
    home, answers = said
    assert "TrendCross" in answers["backtest"]
    assert list((home / "pages").glob("*.html"))
    assert "without a desk" in answers["backtest --desk"]


def test_on_paper_the_books_equal_the_exchange_and_all_replays(
    said: tuple[Path, dict[str, str]],
) -> None:
    _, answers = said
    assert "equals the exchange" in answers["trade"]
    assert "strategy/TrendCross" in answers["rounds"]
    counts = re.findall(r"(\d+) of (\d+) identical", answers["replay"])
    assert len(counts) == 3
    assert all(same == all_ for same, all_ in counts)
    assert int(counts[0][1]) > 0


def test_the_shadow_finds_nothing_that_needs_an_answer(said: tuple[Path, dict[str, str]]) -> None:
    home, _ = said
    environment = {**os.environ, "PARLEY_HOME": str(home)}
    done = forked.commands().run("runtime.cli", "shadow", "--json", cwd=ROOT, env=environment, timeout=200)
    assert done.returncode == 0, done.stdout[-2000:]
    assert json.loads(done.stdout)
