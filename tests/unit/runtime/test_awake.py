"""Cores are kept awake while somebody holds the device, and a machine that does not allow it is refused.

Not here: how much that helps (`make bench-round`).
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from parley.errors import ConfigError
from runtime.awake import DEVICE, keep_awake
from runtime.commands import run
from runtime.settings import DeskSettings, Settings

allowed = pytest.mark.skipif(
    not os.access(DEVICE, os.R_OK | os.W_OK), reason=f"{DEVICE} is not ours to write"
)
HELD = "import sys, runtime.awake as a; held = a.keep_awake(); print(flush=True); sys.stdin.read()"


def waking_us() -> int:
    """How long waking a core may take now, as the kernel put everybody's wishes together."""
    with DEVICE.open("rb", buffering=0) as device:
        (value,) = struct.unpack("=i", device.read(4))
    return int(value)


@allowed
def test_cores_stay_awake_until_it_is_let_go() -> None:
    before = waking_us()
    held = keep_awake()
    assert waking_us() == 0
    held.close()
    assert waking_us() == before


@allowed
def test_killed_process_lets_the_cores_sleep_again() -> None:
    before = waking_us()
    holder = subprocess.Popen(
        [sys.executable, "-c", HELD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    during = waking_us()
    holder.kill()
    holder.communicate()
    assert (during, waking_us()) == (0, before)


def test_machine_without_the_device_refuses_and_makes_no_file(tmp_path: Path) -> None:
    device = tmp_path / "cpu_dma_latency"
    with pytest.raises(
        ConfigError, match=r"desk\.awake: this machine does not allow it: No such file .*expected"
    ):
        keep_awake(device)
    assert not device.exists()


def test_run_asks_for_it_only_if_told_to_and_not_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def refuse() -> None:
        asked.append("asked")
        raise ConfigError("not here")

    monkeypatch.setattr(run, "keep_awake", refuse)
    run._check_machine(Settings())()
    assert asked == []
    with pytest.raises(ConfigError, match="not here"):
        run._check_machine(Settings(desk=DeskSettings(awake=True)))
