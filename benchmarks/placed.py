"""The agents of a benchmark's desk under Ray: started, asked for their memory, ended.

Not here: what is measured (`bench_round`), Ray itself (`runtime.ray_driver`).
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec

from parley.agent import AgentSpec
from runtime.ray_config import AgentPlace, RayConfig
from runtime.ray_control import Question, ask
from runtime.ray_folder import PREFIX

_PATIENCE_S = 90.0


class RayAgents:
    """A Ray with one actor for each agent, which dial ``address`` until a desk listens there."""

    def __init__(self, folder: Path, specs: tuple[AgentSpec, ...], *, realtime: bool) -> None:
        self._realtime = realtime
        self.address = str(folder / "a.sock")
        self._control = folder / "r.sock"
        self._folder = folder
        self._specs = specs
        self._process: asyncio.subprocess.Process
        self._began = 0.0
        self.ready_s = 0.0

    async def begin(self) -> None:
        """Start Ray without waiting for it."""
        config = RayConfig(
            folder=str(self._folder / "lives"),
            temp=f"/tmp/parley-{os.getuid()}/{PREFIX}{token_hex(3)}",
            control=str(self._control),
            agents=tuple(
                AgentPlace(agent=spec.id, address=self.address, realtime=self._realtime)
                for spec in self._specs
            ),
            dashboard=False,
            parent_pid=os.getpid(),
        )
        file = self._folder / "ray.json"
        file.write_bytes(msgspec.json.encode(config))
        self._began = time.monotonic()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "runtime.ray_driver", "--config", str(file),
            stdout=subprocess.PIPE, stderr=(self._folder / "ray.log").open("wb"),
        )  # fmt: skip

    async def ready(self) -> None:
        """Wait until every actor is there.

        Raises
        ------
        RuntimeError
            When Ray did not start; with the end of its log.
        """
        stdout = self._process.stdout
        line = await asyncio.wait_for(stdout.readline(), _PATIENCE_S) if stdout is not None else b""
        if not line:
            raise RuntimeError(f"Ray did not start: {(self._folder / 'ray.log').read_text()[-500:]}")
        self.ready_s = time.monotonic() - self._began

    async def memory_mb(self) -> dict[str, float]:
        """Return the memory of the agents' processes and of all of Ray, shared pages divided, MB."""
        status: dict[str, Any] = await asyncio.to_thread(ask, self._control, Question("status", ""))
        agents = {name: float(each["memory_mb"] or 0.0) for name, each in status["agents"].items()}
        return {"mean_agent": sum(agents.values()) / len(agents), "ray_with_agents": status["memory_mb"]}

    async def end(self) -> None:
        """End Ray and everything below it."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        await self._process.wait()
