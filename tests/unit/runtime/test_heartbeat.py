"""A desk that works or waits beats; one that is blocked, busy for ever, stopped or gone is silent."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime import heartbeat
from runtime.heartbeat import SILENT_S, Heartbeat, why_silent

NS = 1_000_000_000


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(heartbeat, "EVERY_S", 0.005)
    return tmp_path / heartbeat.NAME


def beats_in(path: Path, does: Callable[[Heartbeat], None]) -> int:
    """Count different beats of a loop that does something every now and then."""

    async def live() -> set[bytes]:
        seen = set()
        heart = Heartbeat(str(path))
        heart.start()
        heart.rest()
        for _ in range(20):
            does(heart)
            await asyncio.sleep(0.006)
            seen.add(path.read_bytes())
        heart.stop()
        return seen

    return len(asyncio.run(live()))


def test_desk_that_waits_beats(path: Path) -> None:
    assert beats_in(path, lambda heart: heart.rest()) > 2
    assert not path.exists()


def test_desk_that_works_beats(path: Path) -> None:
    assert beats_in(path, lambda heart: heart.work()) > 2


def test_desk_that_never_finishes_a_message_falls_silent(path: Path) -> None:
    begun: list[bool] = []

    def begin(heart: Heartbeat) -> None:
        if not begun:
            begun.append(True)
            heart.work()

    assert beats_in(path, begin) <= 2  # when it began, and when the message was taken up


def test_without_a_file_nothing_is_written(tmp_path: Path) -> None:
    async def live() -> None:
        heart = Heartbeat("")
        heart.start()
        heart.work()
        heart.rest()
        heart.stop()

    asyncio.run(live())
    assert list(tmp_path.iterdir()) == []


def write(path: Path, pid: int, at: int) -> None:
    path.write_bytes(heartbeat._BEAT.pack(pid, at))


def test_silence_is_told_with_its_length(tmp_path: Path) -> None:
    path = tmp_path / "beat"
    write(path, os.getpid(), 100 * NS)

    assert why_silent(path, 100 * NS) == ""
    assert why_silent(path, int((100 + SILENT_S) * NS)) == ""
    assert "took up nothing for 12 s, the limit is 10 s" in why_silent(path, 112 * NS)
    assert "took up nothing for -3 s" in why_silent(path, 97 * NS)  # before the machine's last start


def test_what_is_no_beat_of_a_living_desk_is_no_life(tmp_path: Path) -> None:
    path = tmp_path / "beat"

    assert why_silent(path) == "the desk does not run"
    path.write_bytes(b"short")
    assert why_silent(path) == "the desk does not run"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write(path, ended.pid, time.monotonic_ns())
    assert why_silent(path) == f"the desk's process {ended.pid} is gone"
