"""A run with real money that ended is gone on with: its own settings, all its journals, one more life."""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from parley.errors import DataError, UserError
from runtime import launch, leftovers
from runtime.commands.live import compose
from runtime.history import JOURNAL_NAME
from runtime.journal.schema import side_files
from runtime.launch import Market
from runtime.provenance import with_origin
from runtime.real_money import BOOKS
from runtime.resuming import AUTO, LAST, refuse_another, resume_layout, run_named
from runtime.run_config import RunConfig
from runtime.settings import Settings
from tests.kit.small_journal import Notes, instrument

RUN = "20260101T000000-abcdef"
MARKET = Market(pairs=("ETH/USDT",), crosses=())


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [each for each in os.environ if each.startswith("PARLEY_")]:
        monkeypatch.delenv(name)
    # the folder of sockets is the user's own, and a long way from a test's
    monkeypatch.setattr("runtime.resuming.private_folder", lambda: tmp_path)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def settings(home: Path, **over: object) -> Settings:
    fields: dict[str, Any] = {
        "home": home, "venue": "bybit", "pairs": ("ETH/USDT",), "capital": Decimal(500), "speed": 1.0,
        "limits": {"max_position": 0.2},
    }  # fmt: skip
    return Settings(**(fields | over))


def ended(home: Path, run_id: str = RUN, **over: object) -> Path:
    """Leave what a run leaves that traded real money and ended; return its folder."""
    folder = home / "runs" / run_id
    for name in ("config", "logs"):
        (folder / name).mkdir(parents=True)
    run = replace(
        with_origin(compose(settings(home, **over), MARKET, run_id)),
        instruments={"ETH/USDT": instrument()},
    )
    Notes(folder / JOURNAL_NAME, run).writer.close()
    (folder / "gateway.journal").write_bytes(b"what the gateway wrote")
    (folder / BOOKS).write_bytes(b'{"USDT":"1000"}')
    (folder / "config" / "gateway.json").write_bytes(b"{}")
    (folder / "logs" / "desk.log").write_text("the first start")
    return folder


def run_of(home: Path, run_id: str = RUN, **over: object) -> RunConfig:
    return compose(settings(home, **over), MARKET, run_id)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def kept(folder: Path) -> dict[str, bytes]:
    """Return all that no later start may change."""
    return {
        name: raw
        for name, raw in contents(folder).items()
        if not name.startswith(("config/", leftovers.CLAIM))
    }


# --------------------------------------------------------------- which run


def test_a_run_is_named_by_its_id(home: Path) -> None:
    assert run_named(settings(home), "any") == "any"


def test_last_is_the_newest_with_real_money(home: Path) -> None:
    for run_id in ("20260102T000000-bbbbbb", RUN, "20260103T000000-aaaaaa"):
        ended(home, run_id)
    (home / "runs" / "20260103T000000-aaaaaa" / BOOKS).unlink()  # one on paper

    assert run_named(settings(home), LAST) == "20260102T000000-bbbbbb"
    assert run_named(settings(home), AUTO) == "20260102T000000-bbbbbb"


@pytest.mark.parametrize("has_runs", [False, True])
def test_last_of_none_is_a_clear_refusal(home: Path, has_runs: bool) -> None:
    if has_runs:
        (ended(home) / BOOKS).unlink()

    with pytest.raises(UserError, match=r"there is no run with real money in '.*/home/runs' to go on with"):
        run_named(settings(home), LAST)
    assert run_named(settings(home), AUTO) == ""


# ------------------------------------------------------- the same settings


def test_the_settings_it_was_begun_with_are_accepted(home: Path) -> None:
    over: dict[str, Any] = {
        "agents": {"capital/main": {"stake": Decimal(25), "budgets": {"strategy/trend": "0.25"}}},
        "silent": ("arbitrage",),
    }
    ended(home, **over)

    refuse_another(settings(home, **over), RUN, run_of(home, **over))


@pytest.mark.parametrize(
    ("over", "parts"),
    [
        ({"limits": {"max_position": 0.3}}, "agents, limits"),
        ({"silent": ("meta",)}, "silent"),
        ({"seed": 2}, "desk"),
        ({"venue": "binance"}, "desk"),
        ({"agents": {"capital/main": {"ramp_days": 0.0}}}, "agents"),
        ({"seed": 2, "silent": ("meta",), "agents": {"meta/main": {}}}, "desk, silent"),
    ],
)  # fmt: skip
def test_other_settings_are_refused_by_the_parts_that_differ(
    home: Path, over: dict[str, Any], parts: str
) -> None:
    ended(home)
    text = rf"^the run '{RUN}' was begun with other settings of {parts}: go on with those, or start a new"

    with pytest.raises(UserError, match=text):
        refuse_another(settings(home), RUN, run_of(home, **over))


def test_a_run_nobody_made_is_not_gone_on_with(home: Path) -> None:
    ended(home)

    with pytest.raises(
        UserError, match=r"there is no run 'other' to go on with: '.*/other/desk.journal' does"
    ):
        refuse_another(settings(home), "other", run_of(home, "other"))


def test_a_run_on_paper_is_not_gone_on_with(home: Path) -> None:
    (ended(home) / BOOKS).unlink()

    with pytest.raises(UserError, match=rf"^the run '{RUN}' was on paper, or ended before its first order"):
        refuse_another(settings(home), RUN, run_of(home))


def test_a_journal_nobody_can_read_is_a_clear_refusal(home: Path) -> None:
    (ended(home) / JOURNAL_NAME).write_bytes(b"no journal")

    with pytest.raises(DataError):
        refuse_another(settings(home), RUN, run_of(home))


# ---------------------------------------------------------------- its folder


def test_a_folder_is_taken_up_again_with_everything_in_it(home: Path) -> None:
    folder = ended(home)
    before = kept(folder)

    layout = resume_layout(settings(home), RUN)

    assert (layout.run_id, layout.folder, layout.journal) == (RUN, folder.resolve(), folder / JOURNAL_NAME)
    assert layout.is_resumed
    before["logs-1/desk.log"] = before.pop("logs/desk.log")
    before["config-1/gateway.json"] = b"{}"
    assert kept(folder) == before
    assert list(layout.logs.iterdir()) == list((folder / "config").iterdir()) == []
    assert leftovers.is_claimed(folder / leftovers.CLAIM)
    launch.sweep(layout)
    assert not leftovers.is_claimed(folder / leftovers.CLAIM)


def test_the_logs_of_every_start_are_kept_in_order(home: Path) -> None:
    folder = ended(home)
    for start in ("second", "third"):
        layout = resume_layout(settings(home), RUN)
        (layout.logs / "desk.log").write_text(f"the {start} start")
        launch.sweep(layout)
    launch.sweep(resume_layout(settings(home), RUN))

    assert {name: raw for name, raw in contents(folder).items() if name.startswith("logs")} == {
        "logs-1/desk.log": b"the first start",
        "logs-2/desk.log": b"the second start",
        "logs-3/desk.log": b"the third start",
    }


def test_a_run_that_lives_is_left_alone(home: Path) -> None:
    folder = ended(home)
    alive = leftovers.claim(folder)
    before = contents(folder)
    try:
        with pytest.raises(UserError, match=rf"^the run '{RUN}' lives: 'parley status' shows it$"):
            resume_layout(settings(home), RUN)
        assert contents(folder) == before
        assert leftovers.is_claimed(folder / leftovers.CLAIM)
    finally:
        leftovers.release(folder, alive)
    launch.sweep(resume_layout(settings(home), RUN))


def test_there_is_no_folder_of_a_run_that_never_was(home: Path) -> None:
    (home / "runs" / "other").mkdir(parents=True)

    with pytest.raises(UserError, match="there is no run 'other' to go on with"):
        resume_layout(settings(home), "other")
    assert list((home / "runs" / "other").iterdir()) == []


def test_a_resume_that_was_killed_on_the_way_is_no_obstacle_to_the_next(home: Path) -> None:
    folder = ended(home)
    (folder / "logs").rename(folder / "logs-1")
    (folder / "config" / "gateway.json").unlink()
    (folder / "config").rmdir()
    before = kept(folder)

    layout = resume_layout(settings(home), RUN)
    launch.sweep(layout)

    assert kept(folder) == before
    assert list(layout.logs.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_a_clear_refusal(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ended(home)
    before = kept(folder)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(UserError, match=r"cannot take up '.*': Permission denied"):
        resume_layout(settings(home), RUN)
    assert kept(folder) == before
    assert not (folder / leftovers.CLAIM).exists()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def fill() -> None:
        def no_room(folder: Path) -> None:
            raise UserError(f"cannot write to {str(folder)!r}: no space left on device")

        monkeypatch.setattr(launch, "try_out", no_room)

    return fill


def test_a_full_disk_refuses_and_the_run_can_be_gone_on_with_later(
    home: Path, full: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ended(home)
    before = {name: raw for name, raw in kept(folder).items() if not name.startswith(("logs", "config"))}
    full()

    with pytest.raises(UserError, match="no space left"):
        resume_layout(settings(home), RUN)
    assert not (folder / leftovers.CLAIM).exists()
    monkeypatch.undo()
    monkeypatch.setattr("runtime.resuming.private_folder", lambda: home)
    launch.sweep(resume_layout(settings(home), RUN))
    after = kept(folder)
    assert {name: raw for name, raw in after.items() if not name.startswith(("logs", "config"))} == before
    assert [raw for name, raw in after.items() if name.startswith("config")] == [b"{}"]
    assert [raw for name, raw in after.items() if name.startswith("logs")] == [b"the first start"]


def test_a_resumed_run_that_could_not_be_started_leaves_everything(home: Path) -> None:
    folder = ended(home)
    for side in side_files(folder / JOURNAL_NAME):
        side.write_bytes(b"beside")
    layout = resume_layout(settings(home), RUN)
    before = kept(folder)

    launch.discard(layout)

    assert kept(folder) == before
    assert "logs-1/desk.log" in before
    assert not (folder / leftovers.CLAIM).exists()
    launch.sweep(resume_layout(settings(home), RUN))


@pytest.mark.parametrize("was_served", [True, False])
def test_a_new_run_that_could_not_be_started_leaves_what_a_gateway_wrote(
    home: Path, was_served: bool
) -> None:
    folder = ended(home)
    layout = resume_layout(settings(home), RUN)
    if not was_served:
        (folder / "account.json").unlink()

    launch.discard(replace_resumed(layout))

    assert (folder / JOURNAL_NAME).exists() == was_served


def replace_resumed(layout: launch.Layout) -> launch.Layout:
    return launch.Layout(
        run_id=layout.run_id, folder=layout.folder, journal=layout.journal, sockets=layout.sockets,
        claim=layout.claim,
    )  # fmt: skip
