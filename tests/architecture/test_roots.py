"""The root packages: one list in three places, found in this repository, their names used only once."""

from __future__ import annotations

import configparser
import importlib.util
from pathlib import Path

import pytest

from tests.architecture.project import PYPROJECT, ROOT, module_name, root_packages, sources


@pytest.fixture(scope="module")
def import_linter() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter", encoding="utf-8")
    return config


def test_packages_of_the_distribution_are_the_root_folders() -> None:
    listed = PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]

    assert {name for name in listed if not name.endswith(".*")} == set(root_packages())
    assert {name.removesuffix(".*") for name in listed if name.endswith(".*")} == set(root_packages())


def test_import_contracts_cover_the_root_folders(import_linter: configparser.ConfigParser) -> None:
    roots = set(root_packages())

    assert set(import_linter["importlinter"]["root_packages"].split()) == roots
    assert set(import_linter["importlinter:contract:acyclic"]["ancestors"].split()) == roots
    layers = import_linter["importlinter:contract:layers"]["layers"].replace("|", " ").split()
    assert {name for name in layers if not name.startswith("(")} == roots


def test_pure_packages_are_the_same_in_contracts_and_makefile(
    import_linter: configparser.ConfigParser,
) -> None:
    [line] = [line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("PURE :=")]

    assert set(line.split()[2:]) == set(import_linter["importlinter:contract:pure"]["source_modules"].split())


@pytest.mark.parametrize("root", root_packages())
def test_root_resolves_inside_the_repository(root: str) -> None:
    spec = importlib.util.find_spec(root)

    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).parent == ROOT / root


def test_nothing_inside_a_root_is_named_like_a_root() -> None:
    # Started from its folder, such a module would shadow the root. Tests mirror the source tree, but
    # they are imported by their full name from the top (--import-mode=importlib).
    names = set(root_packages())
    inside = {module_name(path) for root in root_packages() for path in sources(root)}

    found = {name for name in inside if names & set(name.split(".")[1:])}

    # The folder is called as freqtrade's users call theirs; its files are loaded by path, never started.
    assert sorted(name for name in found if not name.startswith("freqtrade_bridge.strategies")) == []
