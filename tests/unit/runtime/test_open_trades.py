"""`[desk] max_open_trades` reaches desk, limits and capital; what is said elsewhere can only tighten."""

from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from agents import capital
from parley.agent import params_of
from parley.messages import Breach, Verdict
from parley.risk.limits import limits_of
from runtime.commands.explain import show
from runtime.explain import explain
from runtime.history import open_journal
from runtime.launch import make_run, synthetic_market
from runtime.open_trades import binding, notes
from runtime.run_config import RunConfig
from runtime.settings import Settings, load_settings
from tests.kit import small_journal
from tests.kit.small_journal import ROUNDS, write_journal


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PARLEY_HOME", "PARLEY_DESK__MAX_OPEN_TRADES", "PARLEY_LIMITS__MAX_OPEN_TRADES"):
        monkeypatch.delenv(name, raising=False)


def settings_of(folder: Path, text: str) -> Settings:
    file = folder / "desk.toml"
    file.write_text(text)
    return load_settings(file)


def made(folder: Path, text: str) -> RunConfig:
    settings = settings_of(folder, text)
    return make_run(settings, synthetic_market(settings), "r")


def numbers(run: RunConfig) -> dict[str, int]:
    """What desk, gate, risk and capital work with."""
    specs = {spec.role: spec for spec in run.agents}
    told = specs["risk"].params["limits"]
    assert isinstance(told, dict)
    return {
        "desk": run.desk.max_open_trades,
        "gate": limits_of(run.limits).max_open_trades,
        "risk": limits_of(told).max_open_trades,
        "capital": params_of(specs["capital"], capital.Params).max_open_trades,
    }


CASES: dict[str, tuple[str, tuple[int, int, int], str]] = {
    "nothing said": ("", (8, 8, 8), "[desk] max_open_trades 8"),
    "the desk's is everybody's": (
        "[desk]\nmax_open_trades = 3\n",
        (3, 3, 3),
        "[desk] max_open_trades 3",
    ),
    "more for all": ("[desk]\nmax_open_trades = 20\n", (20, 20, 20), "[desk] max_open_trades 20"),
    "tighter limits": (
        "[desk]\nmax_open_trades = 6\n[limits]\nmax_open_trades = 2\n",
        (6, 2, 6),
        (
            "[limits] max_open_trades 2 (looser: [desk] max_open_trades 6,"
            ' [agents."capital/main"] max_open_trades 6)'
        ),
    ),
    "limits as text": (
        '[desk]\nmax_open_trades = 6\n[limits]\nmax_open_trades = "2"\n',
        (6, 2, 6),
        (
            "[limits] max_open_trades 2 (looser: [desk] max_open_trades 6,"
            ' [agents."capital/main"] max_open_trades 6)'
        ),
    ),
    "looser limits": (
        "[desk]\nmax_open_trades = 4\n[limits]\nmax_open_trades = 12\n",
        (4, 4, 4),
        "[desk] max_open_trades 4",
    ),
    "capital's own": (
        '[agents."capital/main"]\nmax_open_trades = 5\n',
        (8, 8, 5),
        (
            '[agents."capital/main"] max_open_trades 5'
            " (looser: [desk] max_open_trades 8, [limits] max_open_trades 8)"
        ),
    ),
    "capital's own, looser": (
        '[desk]\nmax_open_trades = 4\n[agents."capital/main"]\nmax_open_trades = 5\n',
        (4, 4, 5),
        '[desk] max_open_trades 4 (looser: [agents."capital/main"] max_open_trades 5)',
    ),
}


@pytest.mark.parametrize(("text", "expected", "binds"), CASES.values(), ids=CASES)
def test_number_reaches_everybody_and_the_tightest_binds(
    tmp_path: Path, text: str, expected: tuple[int, int, int], binds: str
) -> None:
    run = made(tmp_path, text)
    desk, limits, stakes = expected

    assert numbers(run) == {"desk": desk, "gate": limits, "risk": limits, "capital": stakes}
    assert binding(run) == binds


def test_other_limits_stay_as_they_were_said(tmp_path: Path) -> None:
    run = made(tmp_path, "[desk]\nmax_open_trades = 3\n[limits]\nmax_leverage = 2\n")

    assert run.limits == {"max_leverage": 2, "max_open_trades": 3}


def test_looser_limit_is_said_at_the_start_and_a_tighter_one_is_not(tmp_path: Path) -> None:
    looser = settings_of(tmp_path, "[desk]\nmax_open_trades = 4\n[limits]\nmax_open_trades = 12\n")
    tighter = settings_of(tmp_path, "[desk]\nmax_open_trades = 4\n[limits]\nmax_open_trades = 2\n")

    assert notes(looser) == (
        "[limits] max_open_trades 12 is looser than [desk] max_open_trades 4, which binds",
    )
    assert notes(tighter) == ()


@pytest.fixture
def tight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal of a run with tighter limits, whose third round risk refuses for its open trades."""
    small, verdict = small_journal.run_config, small_journal._verdict

    def limited() -> RunConfig:
        return small(limits={"max_open_trades": 1})

    def full(*arguments: object, **options: object) -> Verdict:
        said: Verdict = verdict(*arguments, **options)  # type: ignore[arg-type]
        breached = (Breach(limit="max_open_trades", value="2", cap="1"),)
        return said if said.ok else msgspec.structs.replace(said, breached=breached)

    monkeypatch.setattr(small_journal, "run_config", limited)
    monkeypatch.setattr(small_journal, "_verdict", full)
    return write_journal(tmp_path / "desk.journal")


def test_explain_names_the_setting_that_ended_the_round(tight: Path) -> None:
    reader = open_journal(tight)
    bought, refused = explain(reader, ROUNDS[1]), explain(reader, ROUNDS[2])

    assert refused.open_trades == "[limits] max_open_trades 1 (looser: [desk] max_open_trades 8)"
    out = StringIO()
    show(refused, Console(file=out, width=120))
    assert refused.open_trades in out.getvalue()
    assert bought.open_trades == ""
