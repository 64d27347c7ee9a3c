"""What this machine's disk, SQLite and sockets cost, to read every other benchmark against.

`python -m benchmarks.yardsticks` prints a table, with `--json` one JSON object with loadavg
and versions. Figures are microseconds: p50 and p99 over all samples, and the best p50 of ten
windows, which is what the machine can do when nobody disturbs it.
"""

import argparse
import asyncio
import json
import os
import platform
import secrets
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from pathlib import Path

import msgspec

from runtime.journal import Group, IntentRow, JournalWriter, Record

try:
    import uvloop
except ImportError:
    uvloop = None  # type: ignore[assignment]

WINDOWS = 10
FRAME_BYTES = 1024
_AGENTS = 10
_WAVES = (2, 4, 1, 2, 2)


def percentiles(samples_us: list[float]) -> dict[str, float]:
    """Return p10, p50, p99 and the best p50 of ten windows of samples, all in us."""
    size = max(1, len(samples_us) // WINDOWS)
    windows = [sorted(samples_us[at : at + size]) for at in range(0, len(samples_us), size)]
    ordered = sorted(samples_us)
    return {
        "p10_us": round(ordered[len(ordered) // 10], 1),
        "p50_us": round(ordered[len(ordered) // 2], 1),
        "p99_us": round(ordered[len(ordered) * 99 // 100], 1),
        "best_window_p50_us": round(min(window[len(window) // 2] for window in windows), 1),
    }


def measure(action: Callable[[int], object], count: int) -> dict[str, float]:
    """Time `action(index)` `count` times, after a tenth as many unmeasured calls."""
    for index in range(count // 10):
        action(index)
    samples = []
    for index in range(count):
        start = time.perf_counter()
        action(index)
        samples.append((time.perf_counter() - start) * 1e6)
    return percentiles(samples)


def fdatasync(folder: Path, count: int = 2000) -> dict[str, float]:
    """Time writing 2 kB into a prezeroed file and fdatasync."""
    size = 8 * 2**20
    handle = os.open(folder / "raw", os.O_RDWR | os.O_CREAT)
    try:
        os.pwrite(handle, bytes(size), 0)
        os.fsync(handle)
        block = secrets.token_bytes(2048)

        def write(index: int) -> None:
            os.pwrite(handle, block, index * 4096 % size)
            os.fdatasync(handle)

        return measure(write, count)
    finally:
        os.close(handle)


def make_group(seq: int) -> Group:
    """Return one round as one group: 10 records of 150 bytes and one intent."""
    key = secrets.token_bytes(16)
    records = [Record(seq + at, at, key, secrets.token_bytes(150)) for at in range(10)]
    return Group(1, records, [IntentRow(secrets.token_bytes(16), secrets.token_bytes(16), seq)])


def journal_commit(folder: Path, count: int = 2000) -> dict[str, float]:
    """Time `append` until its future has its result, one group at a time, checkpoints included."""
    with JournalWriter.create(folder / "one.db", {"run_id": "yardstick"}) as writer:
        groups = [make_group(1 + 10 * at) for at in range(count + count // 10)]
        queue = iter(groups)
        return measure(lambda _: writer.append(next(queue)).result(), count)


def journal_commit_paced(folder: Path, count: int = 600) -> dict[str, float]:
    """Time `post_now` 300 times a second: a core and caches that slept between two commits."""
    samples = []
    with JournalWriter.create(folder / "paced.db", {"run_id": "yardstick"}) as writer:
        for at in range(count):
            group = make_group(1 + 10 * at)
            time.sleep(1 / 300)
            start = time.perf_counter()
            writer.post_now(group, lambda gid, error: None)
            samples.append((time.perf_counter() - start) * 1e6)
    return percentiles(samples)


def journal_burst(folder: Path, count: int = 20_000) -> dict[str, float]:
    """Time many groups appended at once until the last one is durable."""
    groups = [make_group(1 + 10 * at) for at in range(count)]
    done = threading.Event()
    left = count

    def acknowledge(gid: int, error: Exception | None) -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    with JournalWriter.create(folder / "burst.db", {"run_id": "yardstick"}) as writer:
        start = time.perf_counter()
        for group in groups:
            writer.post(group, acknowledge)
        queued = time.perf_counter()
        done.wait()
        end = time.perf_counter()
    return {
        "groups_per_s": round(count / (end - start)),
        "append_us": round((queued - start) / count * 1e6, 2),
    }


def socket_raw(folder: Path, count: int = 5000) -> dict[str, float]:
    """Time a 1 kB round trip over a Unix socket with blocking calls, echoed by a forked child."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    child = os.fork()
    if child == 0:
        near.close()
        while data := far.recv(FRAME_BYTES, socket.MSG_WAITALL):
            far.sendall(data)
        os._exit(0)
    far.close()
    frame = secrets.token_bytes(FRAME_BYTES)

    def turn(_: int) -> None:
        near.sendall(frame)
        near.recv(FRAME_BYTES, socket.MSG_WAITALL)

    try:
        return measure(turn, count)
    finally:
        near.close()
        os.waitpid(child, 0)


def socket_loop(
    folder: Path, run: Callable[[Coroutine[None, None, None]], None], count: int = 5000
) -> dict[str, float]:
    """Time a 1 kB round trip over asyncio streams on a Unix socket, server in a forked child."""
    path = str(folder / f"loop-{secrets.token_hex(4)}")
    child = os.fork()
    if child == 0:
        try:
            run(_echo(path))
        finally:
            os._exit(0)
    samples: list[float] = []
    try:
        run(_ask(path, count, samples))
    finally:
        os.waitpid(child, 0)
    return percentiles(samples[count // 10 :])


async def _echo(path: str) -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(await reader.readexactly(FRAME_BYTES))
        except (asyncio.IncompleteReadError, ConnectionError):
            gone.set()

    async with await asyncio.start_unix_server(serve, path):
        await asyncio.wait_for(gone.wait(), 60)


async def _ask(path: str, count: int, samples: list[float]) -> None:
    for _ in range(500):
        try:
            reader, writer = await asyncio.open_unix_connection(path)
            break
        except OSError:
            await asyncio.sleep(0.01)
    else:
        raise RuntimeError(f"echo server must listen at {path!r} within 5 s")
    frame = secrets.token_bytes(FRAME_BYTES)
    for _ in range(count):
        start = time.perf_counter()
        writer.write(frame)
        await reader.readexactly(FRAME_BYTES)
        samples.append((time.perf_counter() - start) * 1e6)
    writer.close()


def waves_paced(count: int = 900, rate: float = 300.0) -> dict[str, float]:
    """Time what a round asks of a desk whose agents have processes, if nobody had anything to do.

    Ten forked children that send back what they get, 1 kB, in waves of two, four, one, two and two, 300 times
    a second: an order's waves (signals, bids, ranking, counters, verdicts), without a loop or a decision.
    """
    pairs = [socket.socketpair() for _ in range(_AGENTS)]
    children = [_sending_back(pairs, n) for n in range(_AGENTS)]
    lines = [here for here, _ in pairs]
    for _, there in pairs:
        there.close()
    frame, samples = secrets.token_bytes(FRAME_BYTES), []
    due = time.perf_counter()
    try:
        for _ in range(count):
            due += 1 / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            start, first = time.perf_counter(), 0
            for width in _WAVES:
                asked = [lines[(first + n) % len(lines)] for n in range(width)]
                for line in asked:
                    line.sendall(frame)
                for line in asked:
                    line.recv(FRAME_BYTES, socket.MSG_WAITALL)
                first += width
            samples.append((time.perf_counter() - start) * 1e6)
    finally:
        for line in lines:
            line.close()
        for child in children:
            os.waitpid(child, 0)
    return percentiles(samples[count // 10 :])


def _sending_back(pairs: list[tuple[socket.socket, socket.socket]], mine: int) -> int:
    child = os.fork()
    if child:
        return child
    try:
        for here, _ in pairs:  # who keeps another's end never hears that it was closed
            here.close()
        there = pairs[mine][1]
        while got := there.recv(FRAME_BYTES, socket.MSG_WAITALL):
            there.sendall(got)
    finally:
        os._exit(0)


def processor() -> str:
    """Return the processor's name and clock as Linux tells them, MHz; empty where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return f"{said.get('model name', '')} {said.get('cpu MHz', '')}".strip()


def machine() -> dict[str, object]:
    """Return what the figures depend on: processor, load, cores and versions."""
    return {
        "processor": processor(),
        "loadavg": list(os.getloadavg()),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "msgspec": msgspec.__version__,
        "uvloop": None if uvloop is None else version("uvloop"),
        "kernel": platform.release(),
    }


def all_yardsticks(folder: Path) -> dict[str, dict[str, object]]:
    """Measure everything, in a folder on the disk that is to be measured."""
    # Sockets first: they fork, which a process with a commit thread should not.
    found: dict[str, object] = {
        "socket_raw": socket_raw(folder),
        "socket_asyncio": socket_loop(folder, asyncio.run),
    }
    if uvloop is not None:
        found["socket_uvloop"] = socket_loop(folder, uvloop.run)
    found["waves_of_ten_processes_paced"] = waves_paced()
    found["fdatasync_prezeroed_2k"] = fdatasync(folder)
    found["journal_commit_one_group"] = journal_commit(folder)
    found["journal_commit_paced"] = journal_commit_paced(folder)
    found["journal_burst"] = journal_burst(folder)
    return {"machine": machine(), "yardsticks": found}


def main() -> None:
    """Print the yardsticks of this machine."""
    parser = argparse.ArgumentParser(description="This machine's disk, SQLite and socket costs in us.")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="a folder on the disk to measure")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder, prefix=".yardsticks-") as folder:
        found = all_yardsticks(Path(folder))
    if chosen.json:
        print(json.dumps(found, indent=2))
        return
    for name, figures in found["yardsticks"].items():
        print(f"{name:28} {figures}")
    print(found["machine"])


if __name__ == "__main__":
    main()
