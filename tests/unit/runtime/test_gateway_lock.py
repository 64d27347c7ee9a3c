"""A gateway's lock names its holder and counts how often it was taken, and no moment forgets the count.

Not here: that only one holds it (tests/kill/test_gateway_kill.py).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.gateway_lock import GatewayLock


def test_each_holding_counts_and_names_this_process(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        lock = GatewayLock(tmp_path / "gateway.journal")
        lock.take()
        lock.release()
        holder = lock.holder()
        assert holder is not None
        assert (lock.epoch, holder.epoch, holder.pid) == (epoch, epoch, os.getpid())


def test_what_an_older_version_wrote_is_covered_whole(tmp_path: Path) -> None:
    path = tmp_path / "gateway.journal.lock"
    path.write_text('{"pid":4194303,"started":123456789012345,"epoch":41}' + " " * 200)
    lock = GatewayLock(tmp_path / "gateway.journal")
    lock.take()
    lock.release()
    assert lock.epoch == 42
    assert (holder := lock.holder()) is not None
    assert holder.epoch == 42


def test_the_epoch_outlives_a_death_before_the_new_one_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = GatewayLock(tmp_path / "gateway.journal")
    lock.take()
    lock.release()

    def die(handle: int, *_: object) -> int:
        os.close(handle)  # as the kernel does
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(os, "pwrite", die)
        with pytest.raises(KeyboardInterrupt):
            GatewayLock(tmp_path / "gateway.journal").take()
    again = GatewayLock(tmp_path / "gateway.journal")
    again.take(1.0)
    again.release()
    assert again.epoch == 2
