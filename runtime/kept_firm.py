"""A firm as it was at a place of its journal, kept beside that journal for the desk's next life.

Problem: start is recovery, and recovery folds the journal: a run that hears its market fifty times a second
has minutes of it after a day. What the understudy folded while the desk traded is therefore kept, and a desk
that comes back folds only what came after.

A picture is pickled, for a firm is a graph of a hundred small objects and only this version's code knows it;
so it is of no use to any other version, and names its own. It lies in the run's own folder, like the code of
its strategies, and its reader makes objects of the kernel and the orchestrator only.

Not here: when pictures are taken (`understudy`), folding on from one (`recovery`).

Invariant: what is found is whole, of this run, this code and this journal; else nothing is found, and all is
folded. That it is right is seen by whoever folds on: each later record must come out of it.
"""

import io
import logging
import pickle
import sys
from collections.abc import Mapping
from functools import cached_property
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec

from orchestrator.firm import Firm
from parley.agent import AgentSpec
from parley.messages import Started
from parley.view import FirmView

from .bootstrap import hosts_of
from .hub_have import Have
from .journal import GroupRow, JournalReader
from .recovered import Recovered
from .refold import outsiders
from .run_config import RunConfig

log = logging.getLogger(__name__)

PACKAGES: Final = ("parley", "orchestrator", "agents", "strategies", "arbitrage", "runtime")
_DIGEST: Final = 16
_MAKES: Final = ("parley.", "orchestrator.")  # of their classes objects may be made
_BUILT_IN: Final = frozenset(
    {
        ("builtins", "set"), ("builtins", "frozenset"), ("builtins", "getattr"), ("collections", "deque"),
        ("collections", "OrderedDict"), ("collections", "defaultdict"), ("decimal", "Decimal"),
        ("msgspec._utils", "rebuild"),  # a structure from its fields
    }
)  # fmt: skip


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """One file, behind the digest of its bytes; ``seq`` is the last record folded, ``head`` its group's."""

    run_id: str
    code: bytes
    seq: int
    gid: int
    head: bytes
    agents: dict[str, bytes]
    started: Started | None
    is_open: bool
    have: Have
    gaps: int
    fills: set[tuple[str, str]]
    paid: set[str]
    placed: dict[bytes, int]
    state: bytes


class KeptFirm:
    """The picture of one run's firm, a file beside its journal; ``why_not``: there will be none."""

    def __init__(self, journal: Path, run: RunConfig) -> None:
        self.path = journal.with_name(f"{journal.name}.firm")
        self._run = run
        self.why_not = "an agent from outside has to hear all of it again" if outsiders(run) else ""

    @cached_property
    def _code(self) -> bytes:
        return code_of(self._run.agents)

    def keep(self, past: Recovered, at: GroupRow) -> int:
        """Replace the picture by that of a firm whose last cascade ends with a group; gives its size, bytes.

        Raises
        ------
        OSError
            When it cannot be written; the one before it stays.
        """
        views = {agent: host.view for agent, host in past.hosts.items()}
        kept = _Kept(
            self._run.run_id, self._code, at.last_seq, at.gid, at.hash,
            {agent: host.agent.snapshot() for agent, host in past.hosts.items()},
            past.started, past.is_open, past.have, past.gaps, past.fills, past.paid, past.placed,
            pickle.dumps((past.firm, views), protocol=5),
        )  # fmt: skip
        raw = msgspec.msgpack.encode(kept)
        fresh = self.path.with_suffix(".fresh")
        # Not made durable: a desk that was killed has it, and after a power cut the digest tells.
        fresh.touch(mode=0o600)
        fresh.write_bytes(blake2b(raw, digest_size=_DIGEST).digest() + raw)
        fresh.replace(self.path)
        return len(raw)

    def find(self, reader: JournalReader) -> Recovered | None:
        """Return the firm as it was then; ``gid`` of what is returned is where the journal goes on from."""
        kept = None if self.why_not else self._read()
        if kept is None or kept.run_id != self._run.run_id or kept.code != self._code:
            return None
        group = next(reader.groups(kept.gid - 1), None)
        if group is None or (group.gid, group.last_seq, group.hash) != (kept.gid, kept.seq, kept.head):
            return None
        try:
            firm, views = _unpickled(kept.state)
            hosts = hosts_of(self._run)
            for agent, host in hosts.items():
                host.agent.restore(kept.agents[agent])
                host.see(views[agent])
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, there is the journal
            log.warning("firm_not_restored path=%s why=%r", self.path, error)
            return None
        return Recovered(
            run=self._run, firm=firm, hosts=hosts, started=kept.started, is_open=kept.is_open,
            last=kept.seq, gid=kept.gid, have=kept.have, gaps=kept.gaps, fills=kept.fills, paid=kept.paid,
            placed=kept.placed,
        )  # fmt: skip

    def drop(self) -> None:
        """Keep none."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> _Kept | None:
        try:
            raw = self.path.read_bytes()
            if blake2b(raw[_DIGEST:], digest_size=_DIGEST).digest() != raw[:_DIGEST]:
                return None
            return msgspec.msgpack.decode(raw[_DIGEST:], type=_Kept)
        except (OSError, msgspec.MsgspecError):
            return None


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.startswith(_MAKES) or (module, name) in _BUILT_IN:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"a firm holds no {module}.{name}")


def _unpickled(state: bytes) -> tuple[Firm, Mapping[str, FirmView]]:
    firm, views = _Reader(io.BytesIO(state)).load()
    if not isinstance(firm, Firm):
        raise pickle.UnpicklingError(f"expected a firm, was {type(firm).__name__}")
    return firm, views


def code_of(agents: tuple[AgentSpec, ...]) -> bytes:
    """Return the digest of all code that makes or reads a picture: ours, the agents', and what runs it."""
    digest = blake2b(digest_size=_DIGEST)
    digest.update(f"{sys.version} {msgspec.__version__}".encode())
    own = [file for package in PACKAGES for file in sorted(_folder(package).rglob("*.py"))]
    named = [spec.factory for spec in agents] + [str(spec.params.get("source", "")) for spec in agents]
    for file in [*own, *sorted({path for name in named if (path := _file(name)) is not None})]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.digest()


def _folder(package: str) -> Path:
    return Path(__file__).resolve().parent.parent / package


def _file(name: str) -> Path | None:
    """Find the file of ``module:attribute``."""
    module = name.partition(":")[0]
    found = find_spec(module) if module else None
    return Path(found.origin) if found is not None and found.origin is not None else None
