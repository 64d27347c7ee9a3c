"""The chaos harness does what it says: places exist, lines break, lanes end, doubts are seen, ends are fair.

Not here: the campaign itself (`make chaos`), its judge (`unit/tools/test_chaos_judge`).
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec.structs import replace

from parley.messages import KINDS, Attempt, encode
from tests.chaos import record
from tests.chaos.lanes import Lanes
from tests.chaos.line import OPEN, SLOW_S, Line, set_mood
from tests.chaos.record import FULL, LIGHT, Record
from tests.chaos.unsettled import Unsettled
from tests.differential.record import ROOT
from tests.kit.builders import make_fill
from tests.kit.message_examples import example
from tests.kit.units import make_intent

PLACES = """
import os, sys
from tests.chaos import nursery, places
missing = []
for place in (*places.GATEWAY, *places.DESK):
    pid = os.fork()
    if pid == 0:
        try:
            places.lay(places.Fuse(place, 1))
            os._exit(0)
        except BaseException as error:
            print(place, repr(error), file=sys.stderr)
            os._exit(1)
    if os.waitpid(pid, 0)[1]:
        missing.append(place)
print(missing)
"""
# A gateway whose fuse burns when the last desk asks what became of its orders, as on 2026-11-22.
ARMED = """
import json, sys, tempfile
from pathlib import Path
from tests.chaos.bout import Bout
from tests.chaos.campaign import judged
from tests.chaos.places import Fuse
from tests.chaos.plan import Plan

class Armed(Bout):
    def _born(self, unit, fuse):
        is_first = unit == "gateway" and self.outcome.lives == 0
        return super()._born(unit, Fuse("retelling", 1) if is_first else fuse)

with tempfile.TemporaryDirectory() as folder:
    bout = Armed(Plan(seed=7, kills=0, speed="max", candles=30), Path(folder))
    outcome = bout.fight()
    print(json.dumps({
        "strange": outcome.strange, "kills": outcome.kills, "holds": judged(Path(folder))["holds"],
    }))
"""


def python(text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_named_place_is_there() -> None:
    assert python(PLACES) == "[]"


def test_gateway_with_a_fuse_is_replaced_before_the_last_desk_asks() -> None:
    told = json.loads(python(ARMED))

    assert told == {"strange": [], "kills": {"gateway the end": 1}, "holds": True}


# ---------------------------------------------------------------- the line


class Dialling:
    """Connects, and hangs up when all is over."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def __call__(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers.append(writer)
        return reader, writer

    async def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.05)


@asynccontextmanager
async def echo_through_a_line(folder: Path) -> AsyncIterator[tuple[Path, Dialling]]:
    """An echo behind a line: comes with the file of its mood and who connects to it."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(100):
                writer.write(data)
        writer.close()

    far = await asyncio.start_server(echo, "127.0.0.1", 0)
    mood = folder / "mood"
    set_mood(mood, OPEN)
    line = Line("127.0.0.1", far.sockets[0].getsockname()[1], mood)
    near = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    following = asyncio.ensure_future(line.follow())
    dial = Dialling(near.sockets[0].getsockname()[1])
    try:
        yield mood, dial
    finally:
        following.cancel()
        await dial.hang_up()
        near.close()
        line.hang_up()
        far.close()


async def heard(reader: asyncio.StreamReader, patience_s: float = 0.3) -> bytes | None:
    """What comes: bytes, nothing in time (None), or an end (empty)."""
    try:
        return await asyncio.wait_for(reader.read(100), patience_s)
    except TimeoutError:
        return None
    except ConnectionError:
        return b""


def test_open_line_passes_on_and_a_cut_one_resets_and_takes_nobody(tmp_path: Path) -> None:
    async def run() -> None:
        async with echo_through_a_line(tmp_path) as (mood, dial):
            reader, writer = await dial()
            writer.write(b"one")
            assert await heard(reader) == b"one"
            set_mood(mood, "cut")
            assert await heard(reader) == b""
            again, _ = await dial()
            assert await heard(again) == b""
            set_mood(mood, OPEN)
            await asyncio.sleep(0.05)
            reader, writer = await dial()
            writer.write(b"two")
            assert await heard(reader) == b"two"

    asyncio.run(run())


@pytest.mark.parametrize("lost", ["mute", "deaf"])
def test_half_open_line_swallows_and_is_reset_when_it_is_back(tmp_path: Path, lost: str) -> None:
    async def run() -> None:
        async with echo_through_a_line(tmp_path) as (mood, dial):
            reader, writer = await dial()
            writer.write(b"one")
            assert await heard(reader) == b"one"
            set_mood(mood, lost)
            await asyncio.sleep(0.05)
            writer.write(b"two")
            assert await heard(reader) is None
            set_mood(mood, OPEN)
            assert await heard(reader) == b""

    asyncio.run(run())


def test_slow_line_holds_what_it_passes_on(tmp_path: Path) -> None:
    async def run() -> None:
        async with echo_through_a_line(tmp_path) as (mood, dial):
            reader, writer = await dial()
            set_mood(mood, "slow")
            await asyncio.sleep(0.05)
            began = time.monotonic()
            writer.write(b"one")
            assert await heard(reader, 5.0) == b"one"
            assert time.monotonic() - began >= 2 * SLOW_S

    asyncio.run(run())


# ---------------------------------------------------------------- doubts


def test_order_is_unsettled_until_something_certain_is_known_of_it(tmp_path: Path) -> None:
    path = tmp_path / "gateway.journal"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE records (seq INTEGER PRIMARY KEY, kind INTEGER, body BLOB)")
        intent = make_intent()
        attempt = replace(example(Attempt), iid=intent.iid)
        told: list[Any] = [intent, attempt, make_fill(iid=intent.iid)]
        left = Unsettled(path)
        counts = []
        for seq, message in enumerate(told, 1):
            db.execute("INSERT INTO records VALUES (?, ?, ?)", (seq, KINDS[type(message)], encode(message)))
            counts.append(left.look())

    assert counts == [0, 1, 0]


# ---------------------------------------------------------------- lanes


def everything(lanes: Lanes) -> dict[int, Any]:
    found: dict[int, Any] = {}
    while len(lanes):
        found.update(lanes.ended(5.0))
    return found


def test_lanes_work_beside_each_other_in_folders_that_are_removed() -> None:
    def work(seed: int, folder: Path) -> tuple[int, str]:
        if seed == 3:
            raise ValueError("this one falls over")
        time.sleep(0.3)
        return os.getpid(), str(folder)

    lanes = Lanes(3, work)
    began = time.monotonic()
    for seed in (1, 2, 3):
        assert lanes.has_room
        lanes.begin(seed)
    assert not lanes.has_room
    found = everything(lanes)

    assert time.monotonic() - began < 0.6
    assert found[1][0] != found[2][0] != os.getpid()
    assert "this one falls over" in found[3]
    assert not any(Path(found[seed][1]).exists() for seed in (1, 2))


def test_bout_that_is_cut_off_leaves_no_folder_and_no_process() -> None:
    def work(seed: int, folder: Path) -> None:
        time.sleep(60)

    lanes = Lanes(1, work)
    lanes.begin(1)
    (folder,) = lanes.folders
    before = {each.pid for each in psutil.Process().children()}
    lanes.stop()

    assert not folder.exists()
    assert len(before - {each.pid for each in psutil.Process().children()}) == 1


# ---------------------------------------------------------------- the file


def test_campaigns_share_a_file_and_other_code_becomes_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chaos.json"
    monkeypatch.setattr(record, "fingerprint", lambda campaign: f"{campaign} one")
    record.save(path, LIGHT, Record(next_seed=5, kills=Counter({"desk random": 7}), seconds=2.0))
    record.save(path, FULL, Record(kills=Counter({"hub random": 1}), seconds=1.0))
    assert record.load(path, LIGHT).next_seed == 5
    assert record.load(path, FULL).killed == 1

    monkeypatch.setattr(record, "fingerprint", lambda campaign: f"{campaign} two")
    assert record.load(path, LIGHT).killed == 0
    record.save(path, LIGHT, Record())

    kept = json.loads(path.read_text())
    assert [each["total"]["kills"] for each in kept[LIGHT]["earlier"]] == [7]
    assert kept[FULL]["code"] == "full one"
