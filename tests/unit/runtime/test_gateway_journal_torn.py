"""A gateway's journal that was cut or garbled at the end: what comes back knows a prefix of what was said.

Not here: any journal's file torn at every byte in four ways (`test_journal_crash`).
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.gateway_log import Recovered, recover
from tests.kit.units import make_intent

ROOT = Path(__file__).parents[3]
ORDERS = 6
FRAME = 24 + 4096
# Attempt and answer of each order durable, one after the other; then the process is killed.
KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from msgspec.structs import replace
from parley.messages import Ack, Attempt, encode
from runtime.gateway_log import GatewayLog
from tests.kit.message_examples import example
from tests.kit.units import make_intent

async def main():
    loop = asyncio.get_running_loop()
    log = GatewayLog(Path(sys.argv[1]), {"unit": "gateway"}, loop, lambda error: os._exit(9))
    for n in range(int(sys.argv[2])):
        intent = make_intent(iid=bytes([n + 1]) * 16, cid=f"order{n}")
        done = loop.create_future()
        attempt = replace(example(Attempt), iid=intent.iid, cid=intent.cid)
        log.attempt(intent, encode(intent), attempt, 1, lambda seq, is_first: done.set_result(is_first))
        assert await done
        log.say(Ack(iid=intent.iid, venue_id=str(n), t_venue=0, cancel=False), 1)
        log.flush()
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("killed") / "gateway.journal"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), str(ORDERS)], cwd=ROOT, check=False, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    return path


def torn(killed: Path, folder: Path, at: int, mode: str) -> Recovered:
    """What a gateway would know whose journal's log was damaged from a byte on."""
    path = folder / "gateway.journal"
    for each in folder.glob("gateway.journal*"):
        each.unlink()
    shutil.copyfile(killed, path)
    wal = killed.with_name("gateway.journal-wal").read_bytes()
    rest = wal[at:]
    if mode == "cut":
        rest = b""
    elif mode == "garble":
        dice = random.Random(at)
        rest = bytes(byte ^ dice.randrange(1, 256) for byte in rest[:300]) + rest[300:]
    path.with_name("gateway.journal-wal").write_bytes(wal[:at] + rest)
    return recover(path)


def knows(known: Recovered) -> tuple[int, int]:
    """How many orders it knows, and of how many the answer."""
    return len(known.orders), sum(each.is_known for each in known.alive)


def used(killed: Path) -> int:
    """Where what was written into the log ends."""
    wal = killed.with_name("gateway.journal-wal").read_bytes()
    end = 32
    while wal[end + 8 : end + 16] == wal[16:24]:
        end += FRAME
    return end


def check(killed: Path, folder: Path, places: list[int], mode: str) -> None:
    """Look at all places from the last to the first: what is known only shrinks, and is always a prefix."""
    before = (ORDERS, ORDERS)
    for at in sorted(places, reverse=True):
        known = torn(killed, folder, at, mode)
        orders, answers = knows(known)
        assert sorted(known.orders) == [f"order{n}" for n in range(orders)], (mode, at)
        assert 0 <= orders - answers <= 1, (mode, at)  # its attempt comes first, and the next one after it
        assert (orders, answers) <= before, (mode, at)
        assert len(known.open_ended) == orders - answers, (mode, at)
        before = (orders, answers)
    assert before < (ORDERS, ORDERS)


@pytest.mark.parametrize("mode", ["cut", "garble"])
def test_torn_gateway_journal_knows_a_prefix_of_its_orders(killed: Path, tmp_path: Path, mode: str) -> None:
    end = used(killed)
    assert knows(torn(killed, tmp_path, end, mode)) == (ORDERS, ORDERS)
    dice = random.Random(3)
    near = {frame + offset for frame in range(32, end, FRAME) for offset in (-1, 0, 9, 24)}
    begin = end - 12 * FRAME

    places = [at for at in near if at >= begin] + [dice.randrange(begin, end) for _ in range(20)]
    check(killed, tmp_path, places, mode)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", ["cut", "garble"])
def test_gateway_journal_torn_at_every_byte_knows_a_prefix(killed: Path, tmp_path: Path, mode: str) -> None:
    end = used(killed)

    check(killed, tmp_path, list(range(end - 8 * FRAME, end)), mode)


def test_order_without_an_answer_is_in_doubt_for_who_comes_back(killed: Path, tmp_path: Path) -> None:
    found = {knows(torn(killed, tmp_path, at, "cut")) for at in range(32, used(killed), FRAME)}

    assert any(orders == answers + 1 for orders, answers in found)
    assert make_intent().iid not in recover(killed).unsent
