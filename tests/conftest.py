"""What every suite shares: market data, hypothesis profiles, and the fence around the pure suites.

Not here: builders and fakes (`tests.kit`).

Invariant: a test below unit/ or property/ reaches neither the network nor Ray, so it says the same thing
on every machine.
"""

from __future__ import annotations

import importlib
import importlib.util
import ipaddress
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
FENCED_SUITES = {"unit", "property"}

# Same examples in every run of `make test`, so that a failure there is a change of the code; new examples
# are what `make long` is for.
hypothesis.settings.register_profile(
    "ci", derandomize=True, max_examples=60, deadline=None, print_blob=True, database=None
)
hypothesis.settings.register_profile("long", max_examples=3_000, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("PARLEY_HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def market_data() -> Path:
    """Folder of recorded market data: PARLEY_DATA, or `data` next to a checkout that shares one."""
    folder = Path(os.environ.get("PARLEY_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"no market data: {folder} has no manifest.csv, set PARLEY_DATA to the data folder")
    return folder


@pytest.fixture(autouse=True)
def _fence(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if FENCED_SUITES & set(request.path.relative_to(ROOT).parts[:-1]):
        _forbid_network(monkeypatch)
        _forbid_ray(monkeypatch)


def _forbid_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def guard(real: Callable[..., Any], position: int) -> Callable[..., Any]:
        def guarded(self: socket.socket, *arguments: Any) -> Any:
            address = arguments[position]
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
                pytest.fail(f"this suite has no network, but {address!r} was addressed")
            return real(self, *arguments)

        return guarded

    monkeypatch.setattr(socket.socket, "connect", guard(socket.socket.connect, 0))
    monkeypatch.setattr(socket.socket, "connect_ex", guard(socket.socket.connect_ex, 0))
    monkeypatch.setattr(socket.socket, "sendto", guard(socket.socket.sendto, -1))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name: resolving it would already need the network
        return False


def _forbid_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("ray") is None:
        return

    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("this suite runs without Ray, but ray.init was called")

    monkeypatch.setattr(importlib.import_module("ray"), "init", refuse)
