"""Every role has a factory, and every built-in name points at something that exists."""

import importlib.util

import pytest

from agents.registry import FACTORIES, SOURCES
from parley.agent import ROLES


def test_every_role_has_one_factory() -> None:
    assert set(FACTORIES) == set(ROLES)


@pytest.mark.parametrize("path", sorted(FACTORIES.values()) + sorted(SOURCES.values()))
def test_factory_is_a_make_function_of_its_package(path: str) -> None:
    module, _, name = path.partition(":")

    assert name == "make"
    assert module.split(".")[0] in ("agents", "strategies")


@pytest.mark.parametrize("path", sorted(SOURCES.values()))
def test_strategy_exists(path: str) -> None:
    assert importlib.util.find_spec(path.partition(":")[0]) is not None
