"""The last snapshots of agents from outside, kept beside the desk's journal for the desk's own next life.

Problem: a desk that comes back has its agents follow all they were told since the start, for their snapshots
died with it. A strategy whose code is not ours takes milliseconds for a message, and is not heard before it
has caught up: after hours of market, minutes.

Not here: asking for snapshots, and what a process makes of one (`socket_transport`, `agent_server`).

Invariant: what is found is whole, of this journal, and knows nothing that the journal does not hold; else
nothing is found, and the agent follows everything.
"""

import contextlib
import logging
from pathlib import Path

import msgspec

from runtime.agent_line import Asked
from runtime.pictures import read_picture, write_picture

log = logging.getLogger(__name__)


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """One file, behind the digest of its bytes."""

    run_id: str
    agent: str
    last_told: int
    most_told: int
    state: bytes


class KeptSnapshots:
    """Snapshots of one run's agents, in a folder beside its journal."""

    def __init__(self, journal: Path, run_id: str) -> None:
        self._folder = journal.with_name(f"{journal.name}.agents")
        self._run_id = run_id

    def keep(self, agent: str, asked: Asked, state: bytes) -> None:
        """Replace the snapshot of an agent; one that cannot be written costs time later, and no more."""
        path = self._path(agent)
        fresh = path.with_suffix(".new")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_picture(fresh, _Kept(self._run_id, agent, asked.last_told, asked.most_told, state))
            fresh.replace(path)
        except OSError as error:
            log.warning("snapshot_not_kept agent=%s why=%s", agent, error)

    def find(self, agent: str, last: int) -> tuple[int, bytes] | None:
        """Return what an agent was told last before its snapshot, and that; ``last``: the journal's last seq.

        One that reaches further rests on what was never made durable. It is removed, for the journal will
        grow to that length with other records.
        """
        path = self._path(agent)
        kept = read_picture(path, _Kept)
        if kept is not None and (kept.run_id, kept.agent) == (self._run_id, agent) and kept.most_told <= last:
            return kept.last_told, kept.state
        with contextlib.suppress(OSError):
            path.unlink()
        return None

    def _path(self, agent: str) -> Path:
        return self._folder / f"{agent.replace('/', '~')}.snapshot"
