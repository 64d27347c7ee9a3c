"""Who may sit at a desk of freqtrade strategies under which name, and how `parley trade` is ended early."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from runtime.cli import app
from runtime.commands import trade
from tests.kit.freqtrade_folder import STRATEGIES, spot_candles, write_config

# The first run after a change of a kernel compiles it, on a busy machine for minutes.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A strategy with the name of an agent of ours, and settings that name that agent."""
    made = tmp_path_factory.mktemp("seats")
    spot_candles(made / "candles", 300)
    for name in ("user", "strategies"):
        (made / name).mkdir()
    write_config(made / "config.json")
    (made / "desk.toml").write_text('[agents."strategy/trend"]\n')
    text = (STRATEGIES / "trend_cross.py").read_text().replace("class TrendCross", "class trend")
    (made / "strategies" / "trend.py").write_text(text)
    return made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))
    handler = signal.getsignal(signal.SIGTERM)
    yield tmp_path / "home"
    signal.signal(signal.SIGTERM, handler)


def parley(folder: Path, *words: str) -> Result:
    named = {
        "desk": folder / "desk.toml", "config": folder / "config.json", "datadir": folder / "candles",
        "userdir": folder / "user", "strategy-path": folder / "strategies",
    }  # fmt: skip
    options = [word for name, place in named.items() for word in (f"--{name}", str(place))]
    return CliRunner().invoke(app, [*words, *options, "--strategy-list", "trend", "--json"])


@pytest.mark.parametrize(
    "words", [("backtest", "--no-lookahead-check"), ("trade", "--mode", "paper", "--duration", "5")]
)
def test_strategy_named_like_an_agent_of_the_desk_is_refused(
    words: tuple[str, ...], folder: Path, home: Path
) -> None:
    result = parley(folder, *words)

    assert (result.exit_code, result.stdout) == (2, ""), result.output
    line = result.stderr.splitlines()[-1]
    assert line.startswith("parley: the freqtrade strategy 'trend' and the desk's own agent 'strategy/trend'")
    assert list(home.glob("runs/*")) == []


def test_command_that_is_asked_to_end_takes_its_candles_with_it(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object, **__: object) -> None:
        assert list(home.glob("market-*"))
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(trade, "plan", asked)

    assert parley(folder, "trade", "--mode", "paper").exit_code == 143
    assert list(home.glob("market-*")) == []
