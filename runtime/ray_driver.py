"""The process that keeps Ray: starts it, tells what became of each agent, starts it anew when it breaks.

Problem: Ray's head or raylet may die, and a process that holds a Ray client dies with them. So this one holds
none: each life of Ray is a child of it (`ray_session`), every process of Ray descends from it, and what it
started it can name and end. While Ray starts anew the agents are silent, which the desk counts as no answer.

Not here: Ray's API, what agents do, the command line.

Invariant: after its end no process of Ray that it started runs, and none that an earlier driver of this user
left behind when it was killed. Agents it was told to pause are paused in every life.
"""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from parley.errors import ParleyError, UserError
from runtime.process_tree import adopt_orphans, descendants, end_descendants, memory_mb, reap
from runtime.ray_config import RayConfig, check_temp, environment
from runtime.ray_control import Answer, Question, serve_control
from runtime.ray_folder import RayFolder
from runtime.unit import announce, die_with_parent, first_of, path_of, read_config, run_unit

log = logging.getLogger(__name__)

START_PATIENCE_S: Final = 58.0
RECORD_S: Final = 1.0
_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 10.0
_GRACE_S: Final = 3.0
_CALL_S: Final = 10.0
# Without these Ray may look alive for minutes, but restarts nothing.
_VITAL: Final = ("gcs_server", "raylet")


class Life:
    """One life of Ray: its process, what it said last, and the end of it."""

    def __init__(self, process: subprocess.Popen[bytes], known: "dict[str, AgentState]") -> None:
        self.process = process
        self.up: dict[str, Any] = {}
        self.took: dict[str, float] = {}
        self.began = asyncio.Event()
        self.over = asyncio.Event()
        self.why = ""
        self._known = known
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._asked = 0
        self._watched: list[int] = []

    def watch(self, pid: int, why: str) -> None:
        """End this life as soon as a process of it ends."""
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            self.end(why)
            return
        self._watched.append(descriptor)
        asyncio.get_running_loop().add_reader(descriptor, self.end, why)

    def end(self, why: str) -> None:
        """Say that it is over; the first reason counts."""
        self.why = self.why or why
        self.over.set()
        for descriptor in self._watched:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)
        self._watched.clear()
        for future in self._answers.values():
            if not future.done():
                future.set_result({"error": f"Ray is starting anew: {self.why}"})

    async def listen(self) -> None:
        """Take what the session says until it says no more."""
        assert self.process.stdout is not None
        reader = asyncio.StreamReader(limit=1 << 22)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self.process.stdout
        )
        try:
            async for raw in reader:
                with contextlib.suppress(msgspec.DecodeError):
                    self._take(msgspec.json.decode(raw))
            await self.over.wait()
        finally:
            transport.close()

    def _take(self, line: Mapping[str, Any]) -> None:
        for agent, said in line.get("agents", {}).items():
            self._known[agent].take(said)
        if "up" in line:
            self.up, self.took = line["up"], line["took"]
            for each in descendants():
                if each.name in _VITAL and not each.is_zombie:
                    self.watch(each.pid, f"its {each.name} ended")
            self.began.set()
        if (future := self._answers.pop(line.get("done", -1), None)) is not None and not future.done():
            future.set_result(line["result"])

    async def ask(self, do: str, agent: str) -> Answer:
        """Let the session carry out a command."""
        if self.over.is_set() or not self.began.is_set():
            return {"error": "Ray is starting: try again in some seconds"}
        assert self.process.stdin is not None
        self._asked += 1
        future = self._answers[self._asked] = asyncio.get_running_loop().create_future()
        line = msgspec.json.encode({"id": self._asked, "do": do, "agent": agent}) + b"\n"
        try:
            os.write(self.process.stdin.fileno(), line)
            return await asyncio.wait_for(future, _CALL_S)
        except (OSError, TimeoutError):
            return {"error": "Ray's session does not answer"}


class AgentState:
    """What is known of one agent's process."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.state = "starting"
        self.restarts = 0
        self.said: dict[str, Any] = {}

    def take(self, said: Mapping[str, Any]) -> None:
        """Take the newest health; another pid is another process."""
        self.state = str(said.get("state", "unknown"))
        before, now = self.said.get("pid"), said.get("pid")
        if now is not None:
            self.restarts += before is not None and now != before
            self.said = {name: value for name, value in said.items() if name != "state"}

    def show(self) -> dict[str, object]:
        """Return all of it, with the memory of the process."""
        pid = self.said.get("pid")
        return {
            "state": self.state, "node": self.node, "restarts": self.restarts, **self.said,
            "memory_mb": memory_mb(pid) if isinstance(pid, int) and self.state == "alive" else None,
        }  # fmt: skip


class Driver:
    """Keeps one Ray alive until it is told to stop."""

    def __init__(self, config: RayConfig, file: Path, folder: RayFolder) -> None:
        self._config = config
        self._file = file
        self._folder = folder
        self._agents = {place.agent: AgentState(place.node) for place in config.agents}
        self._life: Life | None = None
        self._lives = 0
        self._peak_mb = 0.0

    async def run(self) -> None:
        """Start Ray, announce it, and start it again whenever it breaks."""
        wait = _FIRST_WAIT_S
        while True:
            life = await self._live()
            came_up = life.began.is_set()
            if self._lives == 1 and not came_up:
                raise ParleyError(f"Ray did not start: {life.why}")
            # Agents are silent meanwhile, so only a Ray that does not even come up is given time.
            wait = _FIRST_WAIT_S if came_up else min(2 * wait, _LONGEST_WAIT_S)
            await asyncio.sleep(wait)

    async def _live(self) -> Life:
        self._lives += 1
        life = self._life = Life(self._start(), self._agents)
        life.watch(life.process.pid, "its session ended")
        listening = asyncio.create_task(life.listen())
        try:
            if await _either(life.began, life.over, START_PATIENCE_S):
                self._folder.record()
                log.warning("ray_up life=%d seconds=%s", self._lives, life.took)
                if self._lives == 1:
                    announce({"ready": True, **self._ready(life)})
            else:
                life.end(f"it was not up after {START_PATIENCE_S:.0f} s")
            await self._keep(life)
            log.warning("ray_lost life=%d why=%s", self._lives, life.why)
        finally:
            life.end("the driver ends")
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
        for agent in self._agents.values():
            agent.state = "lost"
        left = await asyncio.to_thread(end_descendants, 0.0)
        life.process.wait()
        if left:
            raise ParleyError(f"processes {left} of Ray could not be ended")
        return life

    async def _keep(self, life: Life) -> None:
        while not life.over.is_set():
            reap()  # Ray leaves orphans behind while it works
            self._folder.record()
            self._peak_mb = max(self._peak_mb, self._memory_mb())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(life.over.wait(), RECORD_S)

    def _memory_mb(self) -> float:
        return round(sum(memory_mb(each.pid) for each in descendants()), 1)

    def last_words(self) -> dict[str, object]:
        """Return what a run's summary says of Ray."""
        restarts = {name: agent.restarts for name, agent in self._agents.items() if agent.restarts}
        return {"lives": self._lives, "peak_memory_mb": self._peak_mb, "restarts": restarts}

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "runtime.ray_session", "--config", str(self._file)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(self._config), bufsize=0,
        )  # fmt: skip

    def _ready(self, life: Life) -> dict[str, object]:
        return {
            "pid": os.getpid(), "control": self._config.control, "took": life.took,
            "ray": {**life.up, "token_file": str(self._config.token_file)},
            "agents": {name: agent.show() for name, agent in self._agents.items()},
        }  # fmt: skip

    async def answer(self, question: Question) -> Answer:
        """Answer a person's question."""
        life = self._life
        if question.do == "status":
            processes = [each for each in descendants() if not each.is_zombie]
            is_up = life is not None and life.began.is_set() and not life.over.is_set()
            return {
                "driver": os.getpid(), "lives": self._lives, "is_up": is_up,
                "why": "" if is_up or life is None else life.why,
                "ray": {**(life.up if life else {}), "token_file": str(self._config.token_file)},
                "processes": {each.pid: each.name for each in processes},
                "memory_mb": self._memory_mb(),
                "agents": {name: agent.show() for name, agent in self._agents.items()},
            }  # fmt: skip
        if question.do not in ("pause", "resume", "restart", "dump"):
            return {"error": f"the Ray driver does not know {question.do!r}"}
        agent = one_agent(question.agent, list(self._agents))
        if life is None:
            return {"error": "Ray is starting: try again in some seconds"}
        said = await life.ask(question.do, agent)
        if question.do in ("pause", "resume") and "error" not in said:
            # Whoever asks next must not be told what the last look, up to a second ago, has seen.
            self._agents[agent].take({**said, "state": "alive"})
        return said


def one_agent(name: str, known: list[str]) -> str:
    """Find the agent a person means: its id ``role/name``, or either half where that is unique.

    Raises
    ------
    UserError
        When none or more than one is of that name.
    """
    found = [each for each in known if name == each] or [each for each in known if name in each.split("/")]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{name!r} may be {' or '.join(sorted(found))}: give the whole id")
    raise UserError(f"there is no agent {name!r}: known are {', '.join(sorted(known))}")


async def _either(good: asyncio.Event, bad: asyncio.Event, timeout_s: float) -> bool:
    waits = [asyncio.create_task(good.wait()), asyncio.create_task(bad.wait())]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
    return good.is_set()


async def serve(config: RayConfig, file: Path, stop: asyncio.Event) -> None:
    """Keep Ray until `stop` is set, and end all of it then."""
    check_temp(config)
    adopt_orphans()
    folder = RayFolder(Path(config.temp))
    swept = await asyncio.to_thread(folder.open)
    if swept:
        log.warning("ray_orphans_ended pids=%s", swept)
    driver = Driver(config, file, folder)
    server = await serve_control(Path(config.control), driver.answer)
    try:
        await first_of(stop, driver.run())
    finally:
        server.close()
        announce({"end": driver.last_words()})
        Path(config.control).unlink(missing_ok=True)
        left = await asyncio.to_thread(end_descendants, _GRACE_S)
        folder.close()
    if left:
        raise ParleyError(f"processes {left} of Ray could not be ended")


def main() -> int:
    """Run as a unit of the supervisor."""
    parser = ArgumentParser(prog="python -m runtime.ray_driver", description="Keeps Ray and its actors.")
    parser.add_argument("--config", type=Path, required=True)
    file = path_of(str(parser.parse_args().config))

    async def run(stop: asyncio.Event) -> None:
        config = read_config(file, RayConfig)
        if config.parent_pid:
            die_with_parent()
        await serve(config, file, stop)

    return run_unit("ray", run)


if __name__ == "__main__":
    sys.exit(main())
