"""A Ray that is not whole is said in one line that names what is missing, before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from runtime import ray_programs
from runtime.cli import app


@pytest.fixture
def ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of the programs of a Ray that is complete."""
    package = tmp_path / "some_ray"
    programs = package / "core" / "src" / "ray"
    for place in ("raylet/raylet", "gcs/gcs_server"):
        (programs / place).parent.mkdir(parents=True)
        (programs / place).touch(mode=0o755)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(ray_programs, "PACKAGE", "some_ray")
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))
    return programs


def refused(home: Path) -> str:
    """Return the one line of a run with an actor per agent; nothing of it is left."""
    result = CliRunner().invoke(app, ["run", "--placement", "spread", "--duration", "1"])
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert not home.exists()
    return result.stderr


def test_whole_ray_is_taken(ray: Path) -> None:
    ray_programs.check_programs()


@pytest.mark.parametrize("place", ["raylet/raylet", "gcs/gcs_server"])
def test_missing_program_is_named(ray: Path, tmp_path: Path, place: str) -> None:
    program = ray / place
    program.unlink()

    told = refused(tmp_path / "home")

    assert f"parley: Ray's program {program.name!r} is missing from {str(program.parent)!r}" in told
    assert "--placement packed" in told


def test_ray_that_is_not_installed_is_named(
    ray: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_programs, "PACKAGE", "no_ray_at_all")

    assert "Ray is not installed: pip install 'parley[desk]'" in refused(tmp_path / "home")
