"""Child processes of one run: start in order, know that they serve, stop in the opposite order, leave none.

Problem: a run is several processes, and whatever ends first, the user, an error, a child or this process, no
other may stay behind. Every child gets a group of its own, so that Ctrl-C reaches only this process, which
then ends them one after the other; each also asks the kernel to end it with its parent. When one dies, the
others that needed it follow, and only the first may be blamed. Some have several lives: the main one, when it
ends alone, is started again as it was, in its place in that order, and so is one that is kept, also when it
falls silent. Of another a spare may stand by (`standby`).

Not here: what the children are (`launch`), in which order they ended (`endings`), which end is answered by a
new life (`restarts`), what a spare does before its turn (`spare`).

Invariant: after `stop` none of the started pids runs. Only pids that were started here are signalled. A spare
has its turn only after the one before it was seen to have ended.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from parley.errors import ParleyError, UserError
from runtime.child import POLL_S, SETTLE_S, Child, Line
from runtime.endings import Endings
from runtime.gateway_door import introduction
from runtime.inheritance import inherited
from runtime.realtime import prefer
from runtime.restarts import Restarts
from runtime.seals import key_for, new_key
from runtime.silence import Silence
from runtime.standby import Standby

READY_PATIENCE_S: Final = 60.0
GRACE_S: Final = 10.0
GRACE_GATEWAY_S: Final = 85.0  # it cancels what rests and asks for the balances, see `gateway.serve`
# One that is busy with its past hears nothing until it is done with it.
GRACE_RETURNING_S: Final = 60.0
_USER_MISTAKE: Final = 2
# A disk with less room than this may have swallowed a process's last words.
_ROOM: Final = 1 << 16
# Behind this a module runs that may not import our logs: what it says is redacted like any other unit's.
_LOGS: Final = "runtime.logs"


class Stopped(Exception):
    """The user asked to stop before everything ran."""


class ChildFailed(ParleyError):
    """A child ended although it should run; the text says which, how and its last words."""


class Supervisor:
    """The children of one run, in the order they were started; setting `stopping` ends every wait.

    Of one with several lives ``children`` holds the last.
    """

    def __init__(self, logs: Path) -> None:
        self.children: list[Child] = []
        self.stopping = threading.Event()
        self._logs = logs
        self._endings = Endings()
        self._commands: dict[str, list[str]] = {}
        self._replaced: set[int] = set()  # pids of lives after which another one came
        self._why_not = ""
        self._introduced: dict[str, str] = {}  # who speaks under a key of its own -> to whom
        self._keys: dict[str, bytes] = {}  # of the lives that speak under one
        self._standby: Standby | None = None
        self._kept: dict[str, tuple[Silence, Restarts]] = {}
        self._preferred: Mapping[str, int] = {}

    def prefer(self, priorities: Mapping[str, int]) -> None:
        """Let every life of these children go before other processes; see `realtime`."""
        self._preferred = priorities

    def introduce(self, name: str, to: str) -> None:
        """Let ``to``, once started, listen to each life of ``name`` under a new key, and to nobody else."""
        self._introduced[name] = to

    def start(self, name: str, module: str, config: Path, patience_s: float = READY_PATIENCE_S) -> Line:
        """Start ``python -m module --config FILE`` and wait for its ready line; see `ready`."""
        return self.ready(self.begin(name, module, config), patience_s)

    def begin(self, name: str, module: str, config: Path) -> Child:
        """Start a child without waiting for it."""
        self._commands[name] = [*_module(module), "--config", str(config)]
        if name in self._introduced:
            self._commands[name].append("--key-on-input")
        elif name in self._introduced.values():
            self._commands[name].append("--introduced")
        child = self._spawn(name, 1)
        self.children.append(child)
        return child

    def _spawn(self, name: str, life: int) -> Child:
        log = self._logs / (f"{name}.log" if life == 1 else f"{name}-{life}.log")
        again = ["--again"] if life > 1 and name in self._kept else []
        to = self._introduced.get(name, "")
        has_input = bool(to) or name in self._introduced.values()
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [*self._commands[name], *again],
                stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=errors, process_group=0,
                env=inherited(),
            )  # fmt: skip
        if name in self._preferred:
            try:
                prefer(process.pid, self._preferred[name])
            except OSError:  # nobody else knows of it yet
                process.kill()
                process.communicate()
                raise
        child = Child(name, process, log, life)
        self._endings.watch(child.pid)
        if to:
            self._keys[name] = key = new_key()
            # the gateway first: what it can read already when the desk connects, it has read by then
            self.child(to).tell(self._introduction(child, self.child(to)))
            child.tell(key)
        return child

    def _introduction(self, who: Child, to: Child) -> bytes:
        return introduction(who.pid, key_for(self._keys[who.name], to.pid))

    def keep(self, name: str, heartbeat: Path, restarts: Restarts | None = None) -> None:
        """Follow an end of a started child, or its silence, by another life that is told ``--again``."""
        self._kept[name] = Silence(heartbeat), restarts or Restarts()

    def keep_spare(self, name: str, module: str, heartbeat: Path, restarts: Restarts | None = None) -> None:
        """Follow an end of a started child, or its silence, by a spare that waits in ``module``."""
        own = self._commands[name]
        command = [*_module(module), *own[own.index("--config") :], "--spare"]
        self._standby = Standby(
            name, command, self._logs, heartbeat, restarts or Restarts(), self._preferred.get(name)
        )
        self._standby.look()

    @property
    def spare(self) -> Child | None:
        """Who waits to take a place; None when nobody does."""
        return self._standby.spare if self._standby is not None else None

    def ready(self, child: Child, patience_s: float = READY_PATIENCE_S) -> Line:
        """Wait for a child's ready line.

        Raises
        ------
        UserError
            When the child says the user made a mistake (exit code 2).
        ChildFailed
            When it or one before it ends otherwise, or it is not ready in time.
        Stopped
            When `stopping` was set meanwhile.
        """
        ready = child.wait_for("ready", patience_s, self._is_over)
        if self.stopping.is_set():
            raise Stopped
        if ready is None:
            raise self._refused_start(child)
        return ready

    def child(self, name: str) -> Child:
        """Return a started child by name."""
        return next(child for child in self.children if child.name == name)

    def watch(
        self, main: str, *, poll_s: float, each: Callable[[], bool], restarts: Restarts | None = None,
        on_life: Callable[[Child], None] = lambda child: None,
    ) -> None:  # fmt: skip
        """Wait until the main child ends, `stopping` is set, or `each`, called between polls, says to stop.

        With ``restarts`` an end of the main child alone may be followed by a new life, and an end of one that
        is kept, or that a spare is kept for, as `keep` and `keep_spare` say. ``on_life`` is called when a
        life is begun, and when it is ready.

        Raises
        ------
        ChildFailed
            When another child ends before it, or the main one with an error and for good.
        """
        going, greeted = True, {child.name: child.life for child in self.children}
        while going and self._goes_on(main, restarts, on_life):
            for child in self.children:
                if child.life != greeted[child.name] and child.line("ready") is not None:
                    greeted[child.name] = child.life
                    on_life(child)
                child.sample_memory()
            if going := each():
                self._endings.read(poll_s)  # an end is not waited out
                going = not self.stopping.is_set()
        chief = self.child(main)
        if self._ended() in ([], [chief.pid]) and chief.code in (None, 0):
            return
        self._settle(chief)
        if chief.code != 0 or any(child.code for child in self.children):
            raise self.blame("running")

    def _goes_on(self, main: str, restarts: Restarts | None, on_life: Callable[[Child], None]) -> bool:
        """Follow ends by new lives where that may be; whether nothing has ended for good."""
        if self._standby is not None and not self.stopping.is_set():
            self._standby.look(self.child(self._standby.name))
        for name, (silence, _) in self._kept.items():
            if not self.stopping.is_set():
                silence.look(self.child(name))
        while self._ended():
            if not (
                self._is_relieved(on_life)
                or self._is_renewed(main, on_life)
                or self._starts_again(main, restarts, on_life)
            ):
                return False
        return True

    def _is_relieved(self, on_life: Callable[[Child], None]) -> bool:
        """Let the spare take the place of the one it is kept for, if that one has ended; whether it did."""
        standby = self._standby
        if standby is None or self.stopping.is_set():
            return False
        last = self.child(standby.name)
        if last.pid not in self._ended():
            return False
        if why_not := standby.why_not(last):
            self._why_not = why_not
            return False
        last.end(0.0)
        told = [self._introduction(c, standby.candidate()) for c in self.children if self._hears(c, last)]
        life = standby.relieve(last, told)
        self._replaced.add(last.pid)
        self._endings.watch(life.pid)
        self.children[self.children.index(last)] = life
        on_life(life)
        return True

    def _hears(self, who: Child, to: Child) -> bool:
        return self._introduced.get(who.name) == to.name and who.name in self._keys

    def _is_renewed(self, main: str, on_life: Callable[[Child], None]) -> bool:
        """Follow the end of one that is kept by its next life, unless somebody else is gone for good."""
        for name, (silence, restarts) in self._kept.items():
            last = self.child(name)
            if self.stopping.is_set() or last.pid not in self._ended():
                continue
            if self._is_one_awaited():
                self._settle(last)
            if not set(self._ended()) <= {self.child(each).pid for each in (main, *self._kept)}:
                return False
            follows = silence.how(last)
            silence.forget()
            return self._renew(last, restarts, follows, on_life)
        return False

    def _starts_again(self, name: str, restarts: Restarts | None, on_life: Callable[[Child], None]) -> bool:
        """Follow an end of one child alone by its next life; whether that was done."""
        last = self.child(name)
        if restarts is None or self.stopping.is_set() or not last.code:
            return False
        if self._is_one_awaited():
            self._settle(last)
        return self._ended() == [last.pid] and self._renew(last, restarts, last.how(), on_life)

    def _renew(self, last: Child, restarts: Restarts, follows: str, on_life: Callable[[Child], None]) -> bool:
        """Begin the life behind one that ended, if ``restarts`` has nothing against it; whether it did."""
        self._why_not = restarts.why_not(last.code or 0, last.served_s)
        if self._why_not:
            return False
        last.end(0.0)
        self._replaced.add(last.pid)
        life = self._spawn(last.name, last.life + 1)
        life.follows, life.peak_memory_mb = follows, last.peak_memory_mb
        self.children[self.children.index(last)] = life
        on_life(life)
        return True

    def blame(self, doing: str) -> ChildFailed:
        """Name the child that ended first, and those that ended because of it."""
        ended = [self._by_pid(pid) for pid in self._ended()]
        cause = _cause(ended)
        text = f"the {cause.name} {cause.how()} while {doing}; {_said(cause)} (log: {cause.log})"
        if others := ", ".join(child.fell() for child in ended if child is not cause):
            text += f"; because of it: {others}"
        if self._why_not:
            text += f"; it was not started again: {self._why_not}"
        return ChildFailed(text)

    def end(self, name: str) -> None:
        """End one child in order."""
        child = self.child(name)
        child.end(GRACE_S if child.life == 1 or child.line("ready") else GRACE_RETURNING_S)

    def stop(self) -> None:
        """End every child, the last started first; nobody takes a place any more."""
        if self._standby is not None:
            self._standby.end()
        for child in reversed(self.children):
            child.end(GRACE_GATEWAY_S if child.name == "gateway" else GRACE_S)
        self._endings.close()

    def memory_mb(self) -> dict[str, float]:
        """Return each child's highest memory, MB."""
        told = {child.name: round(child.peak_memory_mb, 1) for child in self.children}
        if self._standby is not None:
            told[f"{self._standby.name} spare"] = round(self._standby.peak_memory_mb, 1)
        return told

    def _ended(self, timeout_s: float = 0.0) -> list[int]:
        """Return the pids of children that ended for good, in the order of their ends."""
        return [pid for pid in self._endings.read(timeout_s) if pid not in self._replaced]

    def _is_over(self) -> bool:
        return self.stopping.is_set() or bool(self._ended())

    def _settle(self, chief: Child) -> None:
        """Give those that need the one that ended the time to notice it; the main one notices last."""
        began = time.monotonic()
        deadline = began + SETTLE_S
        while len(self._ended(POLL_S)) < len(self.children):
            now = time.monotonic()
            if chief.code is not None:
                deadline = min(deadline, now + SETTLE_S / 4)
            if now > (began + GRACE_S if self._is_one_awaited() else deadline):
                return

    def _is_one_awaited(self) -> bool:
        """Whether a child runs of which an ended one says that it lost it: it hung up and is tidying."""
        ended = [child for child in self.children if child.code is not None]
        return any(each.blames(child) for child in self.children if child.code is None for each in ended)

    def _by_pid(self, pid: int) -> Child:
        return next(child for child in self.children if child.pid == pid)

    def _refused_start(self, child: Child) -> ParleyError:
        # Nothing of a run that could not be started stays, hence no word of its log.
        if ended := self._ended():
            child = _cause([self._by_pid(pid) for pid in ended])
        if child.code == _USER_MISTAKE and (said := child.last_words()):
            return UserError(said.removeprefix("error: "))
        return ChildFailed(f"the {child.name} {child.how()} while starting; {_said(child)}")


def _module(module: str) -> list[str]:
    return [sys.executable, "-m", *([] if module.startswith("runtime.") else [_LOGS]), module]


def running(pids: Sequence[int]) -> list[int]:
    """Name those of some pids that still run; one that ended and is not yet collected does not."""
    return [pid for pid in pids if _state_of(pid) not in ("", "Z", "X")]


def _state_of(pid: int) -> str:
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return told.rpartition(")")[2].split()[0]


def _cause(ended: Sequence[Child]) -> Child:
    # Who ends in order hangs up first and tidies after, so the kernel may see the end of who lost it before.
    cause, left = ended[0], list(ended[1:])
    while lost := next((c for c in left if cause.blames(c)), None):
        left.remove(lost)
        cause = lost
    return cause


def _said(child: Child) -> str:
    if said := child.last_words():
        return f"its last words: {said}"
    try:
        disk = os.statvfs(child.log.parent)
    except OSError:
        return "it said nothing"
    is_full = disk.f_bavail * disk.f_frsize < _ROOM
    return "it said nothing, or could not: the disk is full" if is_full else "it said nothing"
