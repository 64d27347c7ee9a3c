"""Looks at the shipper's backlog while a desk trades, and tells the desk when it has to reduce.

Problem: nothing on the order path may wait for a disk or a database, yet trading must not go on without end
while nothing is shipped. So a thread of its own looks once a second at a file of a few hundred bytes and says
something only when the answer changes; what it says is a `Strain`, admitted and journaled like any message.

Not here: when it is too much (`runtime.backlog`), what a strain does (`orchestrator.account`).

Invariant: while the watch runs, a backlog over its limit is told within two of its intervals.
"""

import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from pathlib import Path
from typing import Final

from orchestrator.firm import Firm
from parley.messages import Strain
from runtime.backlog import Backlog, BacklogConfig, Moment, disk_use, read_status

SOURCE: Final = "backlog"
REDUCE: Final = 3  # the level of strain at which only reducing orders are made


class BacklogWatch:
    """The thread; `tell` is called in it. ``is_reducing``: what the desk it watches for does already.

    ``clock`` gives the wall time in ns.
    """

    def __init__(
        self,
        config: BacklogConfig,
        tell: Callable[[Strain], object],
        *,
        is_reducing: bool,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        journals = [Path(each) for each in config.journals]
        self._status = Path(config.status)
        self._disk = journals[0].parent
        self._backlog = Backlog(journals, config.since_ns, config.limits, is_reducing=is_reducing)
        self._is_reducing = is_reducing
        self._every_s = config.every_s
        self._tell = tell
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="backlog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End; nothing is told after."""
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Look once, and tell what changed."""
        status, disk = read_status(self._status), disk_use(self._disk)
        why = self._backlog.look(Moment(status, self._clock(), disk))
        if bool(why) != self._is_reducing:
            self._is_reducing = bool(why)
            self._tell(Strain(source=SOURCE, level=REDUCE if why else 0, why=why))

    def _run(self) -> None:
        while not self._stop.is_set():
            self.look()
            self._stop.wait(self._every_s)


def watched(
    config: BacklogConfig | None, loop: AbstractEventLoop, firm: Firm, say: Callable[[Strain], None]
) -> BacklogWatch | None:
    """Watch, in a thread of its own, how far the shipper of a desk is behind; None where there is none."""
    if config is None:
        return None
    reduces = firm.account.strains.level >= REDUCE

    def tell(note: Strain) -> None:
        loop.call_soon_threadsafe(say, note)

    watch = BacklogWatch(config, tell, is_reducing=reduces)
    watch.start()
    return watch
