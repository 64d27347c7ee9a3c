"""Lanes: orders of one symbol go one after the other, those of different symbols side by side.

Not here: what is done in a lane (`gateway`).

Invariant: the jobs of a lane run in the order they came, never two at once. One that fails by a mistake of
ours leaves its lane shut, for nobody knows how far it came: `look` tells, and whoever serves ends.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine

Work = Coroutine[None, None, None]


class Lanes:
    """Lanes by name; ``rested`` is called in the loop's next turn whenever a lane has become empty."""

    def __init__(self, rested: Callable[[], None]) -> None:
        self._rested = rested
        self._lanes: dict[str, deque[Callable[[], Work]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: BaseException | None = None

    def waiting(self, name: str) -> int:
        """How many jobs are in a lane, with the one that is being done."""
        return len(self._lanes.get(name, ()))

    def enter(self, name: str, job: Callable[[], Work]) -> None:
        """Do a job after those that are in its lane."""
        lane = self._lanes.setdefault(name, deque())
        lane.append(job)
        if len(lane) == 1:
            self.begin(self._drive(lane))

    def begin(self, work: Work) -> None:
        """Do something in no lane."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._failed = self._failed or task.exception()

    def look(self) -> None:
        """Raise what the first work that failed raised, as long as it is asked."""
        if self._failed is not None:
            raise self._failed

    async def _drive(self, lane: deque[Callable[[], Work]]) -> None:
        while lane:
            # The job leaves its lane only afterwards, so that a new one does not start a second driver.
            await lane[0]()
            lane.popleft()
        # In the loop's next turn: what was said is written first.
        asyncio.get_running_loop().call_soon(self._rested)

    async def finish(self, patience_s: float) -> None:
        """Wait for all that was begun, and cancel what takes longer."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=patience_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
