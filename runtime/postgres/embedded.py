"""The embedded server of one data folder: start it, find it again, stop it by its pid.

Problem: a PostgreSQL server outlives whoever started it, also when that one is killed. So it is owned by pid:
a start adopts the server that still runs on the folder, and a stop ends the postmaster by signal (fast
shutdown) without asking anybody. It listens on a Unix socket in a short folder of its own and nowhere else.

Layout: ``FOLDER/data`` (0700, the server's), ``FOLDER/server.log``, ``FOLDER/lock``.

Not here: databases, roles and schema (`migrate`), how to connect (`database`).

Invariant: at most one server runs on a data folder, and only a server of this folder is ever signalled.
"""

import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from parley.errors import ParleyError, UserError
from runtime.history import home_folder
from runtime.postgres.owner import Owner, obstacle
from runtime.postgres.programs import Programs, cause_of, clean_environment, find_programs
from runtime.unit import private_folder

PORT: Final = 5432  # of a Unix socket: a part of its file name
START_PATIENCE_S: Final = 120.0  # after a crash it first replays its log
STOP_PATIENCE_S: Final = 30.0
LONGEST_SOCKET: Final = 107
_POLL_S: Final = 0.02
_SETTINGS: Final = {
    "listen_addresses": "", "unix_socket_permissions": "0700", "max_connections": "60",
    "wal_level": "replica", "fsync": "on", "full_page_writes": "on", "timezone": "UTC", "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ", "log_min_messages": "warning", "max_wal_size": "1GB",
    "checkpoint_completion_target": "0.9", "autovacuum_naptime": "30s",
}  # fmt: skip


_LIBC: Final = ctypes.CDLL(None)
_PR_SET_PDEATHSIG: Final = 1
# A server outlives the object that started it; its handle is kept, so that the end of it can be collected.
_launched: list[subprocess.Popen[bytes]] = []


def default_folder(home: Path) -> Path:
    """Return the data folder that belongs to a home of runs.

    Never below the home: the data is another user's under root, and journals and keys lie there.
    """
    name = hashlib.blake2s(str(home.expanduser().resolve()).encode(), digest_size=5).hexdigest()
    if os.geteuid() == 0:
        return Path("/var/lib/parley-postgres") / name
    return Path.home() / ".local" / "share" / "parley-postgres" / name


class EmbeddedServer:
    """The server of one folder. `start` and `stop` may be called by any process, in any order, repeatedly.

    ``home`` of runs, which the folder must not lie in; None: the environment's.
    """

    def __init__(self, folder: Path, programs: Programs | None = None, *, home: Path | None = None) -> None:
        self._home = home
        self.folder = folder.expanduser().resolve()
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self._programs = programs
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Pid of the postmaster that runs on the folder, None when none does."""
        if self._child is not None:
            self._child.poll()  # one that ended would stay a zombie
        lines = self._pid_file()
        pid = int(lines[0]) if lines and lines[0].isdecimal() else 0
        return pid if pid and _serves(pid, self.data) else None

    @property
    def sockets(self) -> Path:
        """Folder of the socket, short whatever the data folder's path."""
        name = "pg-" + hashlib.blake2s(str(self.data).encode(), digest_size=5).hexdigest()
        if os.geteuid() != 0:
            return private_folder() / name
        # The private folder of root is closed to the server's user.
        return Path("/run/parley" if os.access("/run", os.W_OK) else "/tmp/parley-postgres") / name

    def conninfo(self, user: str, database: str) -> str:
        """Return how libpq reaches the server."""
        return f"host={self.sockets} port={PORT} user={user} dbname={database}"

    def start(self, *, ends_with_us: bool = False) -> int:
        """Adopt the server of this folder or start one, wait until it answers, and return its pid.

        With ``ends_with_us`` a server started here ends with the calling thread, also when that is killed.

        Raises
        ------
        UserError
            When the programs are missing, the folder cannot be used, or the socket's path is taken.
        ParleyError
            When the server does not come up; the text ends with its last word.
        """
        programs = self._programs = self._programs or find_programs()
        self._make_folder(programs.owner)
        with self._locked():
            if self.pid is None:
                self._clear_stale_pid()
                self._make_data(programs)
                self._launch(programs, ends_with_us=ends_with_us)
            return self._wait_until_ready()

    def stop(self, patience_s: float = STOP_PATIENCE_S) -> None:
        """End the server of this folder: running statements are cut off, what was committed stays."""
        pid = self.pid
        if pid is None:
            return
        self._wake()
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):  # fast, immediate, by force
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return
            deadline = time.monotonic() + patience_s
            while time.monotonic() < deadline:
                # Not by its file, which it removes before it ends.
                if not _serves(pid, self.data):
                    if self._child is not None and self._child.pid == pid:
                        self._child.wait(patience_s)
                    return
                time.sleep(_POLL_S)

    def _wake(self) -> None:
        # A process that somebody stopped hears of no end, and outlives its postmaster.
        for pid in _processes():
            if _works_in(pid, self.data):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _make_folder(self, owner: Owner) -> None:
        home = (self._home or home_folder()).expanduser().resolve()
        if self.folder.is_relative_to(home):
            raise UserError(
                f"the database's folder {str(self.folder)!r} must lie outside {str(home)!r}: journals"
                f" and keys are in there"
            )
        blocked = obstacle(self.data, owner)
        if blocked is not None and blocked != self.folder:
            raise UserError(
                f"PostgreSQL runs as user {owner.name!r}, who cannot enter {str(blocked)!r}: choose another"
                f" folder than {str(self.folder)!r} for the database, such as one below /var/lib"
            )
        try:
            self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            self._socket_folder(owner)
        except OSError as error:
            raise UserError(
                f"the database's folder {str(self.folder)!r} cannot be used: {error.strerror}"
            ) from error
        if not os.access(self.folder, os.W_OK):
            raise UserError(f"the database's folder {str(self.folder)!r} must be writable, it is not")

    def _socket_folder(self, owner: Owner) -> None:
        folder = self.sockets
        longest = len(os.fsencode(folder / f".s.PGSQL.{PORT}.lock"))
        if longest > LONGEST_SOCKET:
            raise UserError(
                f"a socket's path has at most {LONGEST_SOCKET} bytes, {str(folder)!r} is too long"
            )
        folder.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if found.st_uid not in (owner.uid, os.geteuid()) or found.st_mode & 0o077:
            raise UserError(f"the socket folder {str(folder)!r} must belong to PostgreSQL alone, mode 0700")
        owner.take(folder)

    def _make_data(self, programs: Programs) -> None:
        if (self.data / "PG_VERSION").is_file():
            return
        # Made beside and renamed: an initialisation that was cut off leaves nothing that looks like data.
        partial = self.folder / "data.new"
        arguments = ["--pgdata", str(partial), "--username=postgres", "--encoding=UTF8", "--locale=C"]
        arguments += ["--auth-local=trust", "--auth-host=reject", "--data-checksums"]
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(mode=0o700)
            programs.owner.take(partial)
            programs.run("initdb", *arguments, as_owner=True)
            partial.rename(self.data)
        except (ParleyError, OSError) as error:
            raise UserError(f"the database could not be made in {str(self.folder)!r}: {error}") from error

    def _launch(self, programs: Programs, *, ends_with_us: bool) -> None:
        command = [programs.path("postgres"), "-D", str(self.data), "-k", str(self.sockets), "-p", str(PORT)]
        for name, value in _SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C in the terminal is for whoever started it, not for the data.
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
                env=clean_environment(), **programs.owner.run_as(),
                preexec_fn=_end_with_parent if ends_with_us else None,
            )  # fmt: skip
        _launched.append(self._child)

    def _wait_until_ready(self) -> int:
        deadline = time.monotonic() + START_PATIENCE_S
        while time.monotonic() < deadline:
            lines = self._pid_file()
            if len(lines) > 7 and lines[7].strip() == "ready" and (pid := self.pid) is not None:
                return pid
            if self._child is not None and self._child.poll() is not None and self.pid is None:
                raise UserError(f"PostgreSQL did not start in {str(self.folder)!r}: {self._last_words()}")
            time.sleep(_POLL_S)
        raise ParleyError(f"PostgreSQL did not answer within {START_PATIENCE_S:.0f} s: {self._last_words()}")

    def _last_words(self) -> str:
        said = cause_of(self.log.read_text(encoding="utf-8", errors="replace"))
        return f"{said or 'it said nothing'} (log: {self.log})"

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []

    def _clear_stale_pid(self) -> None:
        # PostgreSQL takes over a pid file of a process that is gone. After a restart of the machine or the
        # container another process may have that number, and then it refuses for ever. Only when nothing
        # works in the folder any more may the file go: it is what protects the data from a second server.
        deadline = time.monotonic() + STOP_PATIENCE_S
        while any(_works_in(pid, self.data) for pid in _processes()):  # those of a postmaster just killed
            if time.monotonic() > deadline:
                raise UserError(f"processes of an ended server still use {str(self.data)!r}")
            time.sleep(_POLL_S)
        lines = self._pid_file()
        if lines and lines[0].isdecimal() and Path(f"/proc/{lines[0]}").exists():
            (self.data / "postmaster.pid").unlink(missing_ok=True)
        for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):  # in a folder of this server alone
            (self.sockets / name).unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _end_with_parent() -> None:
    # Between fork and exec, after the change of user, which would undo it; SIGINT is the fast shutdown.
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _works_in(pid: int, data: Path) -> bool:
    # Every process of a server has the data folder as its own.
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(data)
    except OSError:
        return False


def _serves(pid: int, data: Path) -> bool:
    if not _works_in(pid, data):
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"
