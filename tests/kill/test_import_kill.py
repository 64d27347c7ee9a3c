"""An import that is killed at any moment leaves the store as it was or as it shall be, never in between.

The moments are spread over the time a whole import takes; which instruction they hit is up to the machine.
tests/unit/runtime/test_market_store.py cuts the same path at each of its renamings.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.marketstore.formats import write
from runtime.marketstore.series import Series
from runtime.marketstore.store import MarketStore
from tests.kit.market import HOUR, MINUTE, candles, content
from tests.kit.sandbox import ROOT

KILLS = 10
# Loads everything first, so that the kills fall into the import and not into Python's start.
IMPORT = """
import sys
from pathlib import Path
from runtime.marketstore.importing import find_sources, import_files
from runtime.marketstore.series import Given
from runtime.marketstore.store import MarketStore
sources, _ = find_sources([Path(sys.argv[1])], Given())
print("ready", flush=True)
sys.stdin.readline()
import_files(MarketStore(Path(sys.argv[2])), sources, lambda _: None)
"""

pytestmark = pytest.mark.kill


def begin(source: Path, root: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORT, str(source), str(root)], cwd=ROOT, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdin.write(b"go\n")
    process.stdin.flush()
    return process


def end(process: subprocess.Popen[bytes], *, kill: bool) -> int:
    if kill:
        process.kill()
    code = process.wait(60)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    return code


def test_killed_import_is_all_or_nothing(tmp_path: Path) -> None:
    source, old = tmp_path / "source", tmp_path / "old"
    source.mkdir()
    hours = Series("binance", "BTC/USDT", "spot", "30m")
    write(candles(24 * 200, step=30 * MINUTE), source / hours.file_name(), hours)
    for number in range(4):
        series = Series("binance", f"X{number}/USDT", "spot", "1h")
        write(candles(500, step=HOUR, seed=number), source / series.file_name(), series)
    with MarketStore(old).change() as change:
        change.add(hours, candles(1000, step=30 * MINUTE), "test")
    before = content(old)
    whole = tmp_path / "whole"
    shutil.copytree(old, whole)
    started = time.perf_counter()
    assert end(begin(source, whole), kill=False) == 0
    took = time.perf_counter() - started
    after = content(whole)
    assert len(after) > len(before)
    outcomes = {"before": 0, "after": 0}

    for number in range(KILLS):
        root = tmp_path / f"killed-{number}"
        shutil.copytree(old, root)
        process = begin(source, root)
        time.sleep(took * number / KILLS)
        end(process, kill=True)

        MarketStore(root)  # whoever opens it next finishes what was final
        with MarketStore(root).change():
            pass  # and whoever writes next removes what was not
        found = content(root)

        assert found in (before, after)
        outcomes["after" if found == after else "before"] += 1
        assert end(begin(source, root), kill=False) == 0
        assert content(root) == after
        shutil.rmtree(root)
    assert outcomes["before"] > 0
