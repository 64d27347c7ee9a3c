"""A firm as it was at a place of its journal, kept beside that journal for the desk's next life.

Problem: start is recovery, and recovery folds the journal: a run that hears its market fifty times a second
has minutes of it after a day. What the understudy folded while the desk traded is therefore kept, and a desk
that comes back folds only what came after.

A picture is pickled, for a firm is a graph of a hundred small objects and only this version's code knows it;
so it is of no use to any other version, and names its own. It lies in the run's own folder, like the code of
its strategies, and its reader makes objects of the kernel and the orchestrator only.

A picture is first only a candidate. Whoever made it folds on from what can be read of it, and publishes it
when enough records came out of that: a snapshot that is not whole shows before a desk begins with it.

Not here: when pictures are taken (`understudy`), folding on from one (`recovery`).

Invariant: what is found is whole, of this run, this code and this journal; else nothing is found, and all is
folded. That it is right is seen by whoever folds on: each later record must come out of it.
"""

import io
import logging
import pickle
import sys
from collections.abc import Iterable, Mapping
from enum import EnumType
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

from orchestrator.firm import Firm
from parley.agent import AgentSpec
from parley.errors import ConfigError
from parley.messages import Started
from parley.view import FirmView

from .bootstrap import hosts_of
from .host import load
from .hub_have import Have
from .journal import GroupRow, JournalReader
from .pictures import read_picture, write_picture
from .recovered import Recovered
from .refold import outsiders
from .run_config import RunConfig

log = logging.getLogger(__name__)

PACKAGES: Final = ("parley", "orchestrator", "agents", "strategies", "arbitrage", "runtime")
_DIGEST: Final = 16
_MAKES: Final = ("parley.", "orchestrator.")  # of their classes objects may be made
_BUILT_IN: Final = frozenset(
    {
        ("builtins", "set"), ("builtins", "frozenset"), ("collections", "deque"),
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
        self.candidate = self.path.with_suffix(".candidate")
        self._run = run
        self._pinned = b""
        self.why_not = "an agent from outside has to hear all of it again" if outsiders(run) else ""

    def pin(self) -> None:
        """Take the code as it is now for that of every picture: once it is changed on disk none is made."""
        self._pinned = code_of(self._run.agents)

    def keep(self, past: Recovered, at: GroupRow) -> int:
        """Write a candidate of a firm whose last cascade ends with a group; gives its size, bytes.

        Raises
        ------
        OSError
            When it cannot be written; a published one stays.
        ConfigError
            When the code is no longer what was pinned.
        """
        if code_of(self._run.agents) != self._pinned:
            raise ConfigError("the code on disk is no longer the code that runs")
        views = {agent: host.view for agent, host in past.hosts.items()}
        kept = _Kept(
            self._run.run_id, self._pinned, at.last_seq, at.gid, at.hash,
            {agent: host.agent.snapshot() for agent, host in past.hosts.items()},
            past.started, past.is_open, past.have, past.gaps, past.fills, past.paid, past.placed,
            pickle.dumps((past.firm, views), protocol=5),
        )  # fmt: skip
        return write_picture(self.candidate, kept)

    def publish(self) -> None:
        """Let desks begin with the candidate; raises `OSError` when there is none."""
        self.candidate.replace(self.path)

    def find(self, reader: JournalReader, *, candidate: bool = False) -> Recovered | None:
        """Return the firm as it was then; ``gid`` of what is returned is where the journal goes on from."""
        kept = None if self.why_not else read_picture(self.candidate if candidate else self.path, _Kept)
        if kept is None or kept.run_id != self._run.run_id:
            return None
        try:
            if kept.code != code_of(self._run.agents):
                return None
        except (OSError, ImportError, ConfigError) as error:
            log.warning("code_not_read why=%r", error)
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
        self.candidate.unlink(missing_ok=True)


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "getattr"):
            return _method
        if (module, name) in _BUILT_IN:
            return super().find_class(module, name)
        # a dotted name would lead out of the module again
        if module.startswith(_MAKES) and "." not in name:
            found = super().find_class(module, name)
            if getattr(found, "__module__", "").startswith(_MAKES):
                return found
        raise pickle.UnpicklingError(f"a firm holds no {module}.{name}")


def _method(owner: object, name: str) -> Any:
    """Give a method of one of our objects or a name of one of our enumerations: a firm needs no more."""
    if isinstance(owner, EnumType) and owner.__module__.startswith(_MAKES) and name in owner.__members__:
        return owner[name]
    if type(owner).__module__.startswith(_MAKES) and callable(getattr(type(owner), name, None)):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f"a firm holds no attribute {name!r} of {type(owner).__name__}")


def _unpickled(state: bytes) -> tuple[Firm, Mapping[str, FirmView]]:
    firm, views = _Reader(io.BytesIO(state)).load()
    if not isinstance(firm, Firm):
        raise pickle.UnpicklingError(f"expected a firm, was {type(firm).__name__}")
    return firm, views


def code_of(agents: Iterable[AgentSpec]) -> bytes:
    """Return the digest of the code that makes and reads pictures: ours, the agents', and what runs it.

    Of an agent's own module also every module that it brought along from where it lies.

    Raises
    ------
    ConfigError, ImportError, OSError
        When a module cannot be loaded or read.
    """
    digest = blake2b(f"{sys.version} {msgspec.__version__} {version('numpy')}".encode(), digest_size=_DIGEST)
    root = Path(__file__).resolve().parent.parent
    files = {file for package in PACKAGES for file in (root / package).rglob("*.py")}
    for name in sorted(
        {each for spec in agents for each in (spec.factory, str(spec.params.get("source", "")))}
    ):
        if name and name.partition(".")[0] not in PACKAGES:
            load(name)
            files |= _beside(sys.modules[name.partition(":")[0]])
    for file in sorted(files):
        digest.update(str(file).encode() + b"\0" + file.read_bytes())
    return digest.digest()


def _beside(module: ModuleType) -> set[Path]:
    """Give the files of a module and of all loaded ones that lie in its folder or below."""
    folder = Path(module.__file__ or "").resolve().parent
    loaded = [
        Path(each).resolve() for m in list(sys.modules.values()) if (each := getattr(m, "__file__", None))
    ]
    return {file for file in loaded if file.is_relative_to(folder) and file.suffix == ".py"}


def is_ours(run: RunConfig) -> bool:
    """Whether all of a run's agents are Parley's own, so that folding beside it does nothing else twice."""
    named = [each for spec in run.agents for each in (spec.factory, str(spec.params.get("source", "")))]
    return not outsiders(run) and all(not each or each.partition(".")[0] in PACKAGES for each in named)
