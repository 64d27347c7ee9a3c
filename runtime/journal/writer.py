"""The journal as its process sees it: a queue in front of one commit thread.

`append` only queues; the commit thread takes whatever waits, commits it with one fsync and
resolves the futures. It does not sleep to gather: the fsync in progress is the window.
What is not here: SQL (`commit`), hashing (`chain`).

Guarantees: groups become durable in the order of `append`, each one whole or not at all;
a future resolves only after the fsync; after a failed write nothing is retried, every
pending and later group fails with `JournalFailed`, and `on_fatal` is called once.
"""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, Self

from runtime.journal.commit import Committer
from runtime.journal.opening import create_file, open_file
from runtime.journal.schema import Group, InvalidGroup, JournalError, JournalFailed

log = logging.getLogger(__name__)

MAX_BATCH: Final = 1024
LAZY_BATCH: Final = 256
SNAPSHOT_PATIENCE_S: Final = 1.0

OnDurable = Callable[[int, JournalError | None], None]
"""Called in the thread that committed with (gid, None), or (0, why the group did not become durable)."""
OnFatal = Callable[[JournalFailed], None]
_Sink = Future[int] | OnDurable

# Closing a connection checkpoints once more, which after a failed write must not happen; a failed
# journal's connection is therefore kept from the garbage collector. The process has to end anyway.
_abandoned: list[Committer] = []


class _Flush:
    pass


class _Close:
    pass


_Payload = Group | tuple[int, bytes] | _Flush | _Close


class JournalWriter:
    """Writer of one journal file; any thread may append, one commit thread writes.

    `next_seq` is the sequence number the next group has to start with; it moves with
    `append`, also past a group that is then refused, so a refusal leaves a gap.
    """

    def __init__(self, committer: Committer, *, on_fatal: OnFatal | None, lazy_ms: float) -> None:
        self.path = committer.path
        self.next_seq = committer.last_seq + 1
        self._committer = committer
        self._on_fatal = on_fatal
        self._lazy_s = lazy_ms / 1000
        self._epoch = committer.epoch
        self._lock = threading.Lock()
        self._items: deque[tuple[_Payload, _Sink, bool]] = deque()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._sleeping = False
        self._lazy_armed = False
        self._failure: JournalFailed | None = None
        self._closed = False
        # Whoever holds it may use the committer and what follows: the commit thread, or `post_now`.
        self._own = threading.Lock()
        # What was taken from the queue and not yet answered: groups to write, and the sinks of these and
        # of the groups the open transaction holds.
        self._batch: list[Group] = []
        self._sinks: list[_Sink] = []
        self._snapshots: list[tuple[int, bytes, _Sink]] = []
        self._controls: list[_Sink] = []
        self._deadline: float | None = None
        self._snapshot_deadline = 0.0
        self._urgent = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"journal {self.path.name}", daemon=True)
        self._thread.start()

    @classmethod
    def create(
        cls,
        path: str | Path,
        run: Mapping[str, str],
        *,
        durable: bool = True,
        prezero_mb: int = 8,
        on_fatal: OnFatal | None = None,
        first_seq: int = 1,
        lazy_ms: float = 50.0,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> Self:
        """Make a new journal file and start its commit thread.

        Parameters
        ----------
        run : what the `run` table says; `previous_head` (hex) chains a rotated file to the old one,
            `schema_version` and `first_seq` are added
        durable : False writes without fsync, for backtests
        prezero_mb : size of the log written before use; 0 lets it grow
        first_seq : sequence number of the first record, above 1 after a rotation
        clock_ns : source of `groups.t_commit`, ns

        Raises
        ------
        JournalExists
            The file or one of its side files exists.
        JournalError
            A row of `run` is reserved or no text, or the file cannot be made.
        """
        try:
            committer = create_file(
                Path(path),
                run,
                first_seq=first_seq,
                durable=durable,
                prezero_mb=prezero_mb,
                clock_ns=clock_ns,
            )
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"journal {str(path)!r} could not be made: {error}") from error
        return cls(committer, on_fatal=on_fatal, lazy_ms=lazy_ms)

    @classmethod
    def resume(
        cls,
        path: str | Path,
        *,
        durable: bool = True,
        prezero_mb: int = 8,
        check_groups: int = 1000,
        on_fatal: OnFatal | None = None,
        lazy_ms: float = 50.0,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> Self:
        """Continue a journal, sealed or left by a crash, after checking the end of its chain.

        Parameters
        ----------
        check_groups : number of groups at the end whose hashes are checked; `verify` checks all

        Raises
        ------
        FileNotFoundError
            There is no such file.
        JournalVersionError, JournalCorrupt
            It is no journal of this version, or the end of its chain does not verify.
        """
        committer = open_file(
            Path(path), durable=durable, prezero_mb=prezero_mb, check_groups=check_groups, clock_ns=clock_ns
        )
        return cls(committer, on_fatal=on_fatal, lazy_ms=lazy_ms)

    @property
    def head(self) -> bytes:
        """Hash of the last committed group."""
        return self._committer.head

    @property
    def epoch(self) -> int:
        """The epoch of the last group, queued ones included."""
        return self._epoch

    @property
    def pending(self) -> int:
        """Number of entries the commit thread has not taken yet."""
        return len(self._items)

    def append(self, group: Group, *, lazy: bool = False) -> Future[int]:
        """Queue a group; the future gives its gid once it is durable.

        Parameters
        ----------
        lazy : may wait for company, at most `lazy_ms` or 256 groups

        Raises
        ------
        InvalidGroup
            Its first seq is not `next_seq`, or its epoch is below an earlier one. Rules that need
            a look at every row fail the future instead.
        JournalError
            The journal is closed.
        """
        future: Future[int] = Future()
        future.set_running_or_notify_cancel()  # what is queued cannot be called back
        self._enqueue(group, future, lazy)
        self._rouse(lazy)
        return future

    def post(self, group: Group, on_durable: OnDurable, *, lazy: bool = False) -> None:
        """Queue a group like `append`, with a callback run in the commit thread instead of a future.

        The callback must be short and must not raise; an exception is logged and dropped.
        """
        self._enqueue(group, on_durable, lazy)
        self._rouse(lazy)

    def post_now(self, group: Group, on_durable: OnDurable) -> None:
        """Commit a group, and all queued before it, in the calling thread when the commit thread rests.

        Saves both hand-overs between the threads, about a third of a commit, and blocks the caller for
        the fsync; when the commit thread is at work the group is queued as by `post`. The callback runs
        in whichever thread committed.
        """
        self._enqueue(group, on_durable, False)
        if not self._own.acquire(blocking=False):
            self._rouse(False)
            return
        try:
            self._take()
            if self._sinks and self._failure is None:
                self._commit()
            self._urgent = bool(self._controls or self._snapshots)
        except Exception as error:  # noqa: BLE001 - as in the commit thread: nobody may wait for ever
            self._fail(error)
        finally:
            self._own.release()
        if self._urgent or self._items or self._committer.wants_checkpoint:
            self._wake.put(None)

    def settle(self) -> None:
        """Write what is queued into the open transaction, in the calling thread, without making it durable.

        For idle moments: the next commit then finds its work half done. Does nothing when the commit
        thread is at work or a checkpoint is due.
        """
        if not self._items or not self._own.acquire(blocking=False):
            return
        try:
            if self._failure is None and not self._committer.wants_checkpoint:
                self._take()
                self._insert()
        except Exception as error:  # noqa: BLE001 - as in the commit thread: nobody may wait for ever
            self._fail(error)
        finally:
            self._own.release()
        # It may have fallen asleep without a timeout while these were in nobody's queue.
        if self._urgent or (self._sleeping and not self._lazy_armed):
            self._wake.put(None)

    def _rouse(self, lazy: bool) -> None:
        waiting = len(self._items) + len(self._sinks)  # what was taken and is not durable counts too
        if self._sleeping and not (lazy and self._lazy_armed and waiting < LAZY_BATCH):
            self._wake.put(None)

    def _enqueue(self, group: Group, sink: _Sink, lazy: bool) -> None:
        records = group.records
        with self._lock:
            if records and records[0].seq != self.next_seq:
                raise InvalidGroup(f"first seq must be {self.next_seq}, was {records[0].seq!r}")
            if group.epoch < self._epoch:
                raise InvalidGroup(f"group epoch must be at least {self._epoch}, was {group.epoch!r}")
            if self._failure is not None or self._closed:
                self._refuse(sink)
                return
            self.next_seq += len(records)
            self._epoch = group.epoch
            self._items.append((group, sink, lazy))

    def snapshot(self, seq: int, state: bytes) -> Future[int]:
        """Queue the state after record `seq`, written as its own transaction in an idle moment.

        The future fails with `InvalidGroup` when `seq` is not behind the last snapshot.
        """
        return self._control((seq, state))

    def flush(self) -> None:
        """Wait until everything queued before is durable, lazy groups and snapshots too.

        Raises
        ------
        JournalFailed
            It did not become durable.
        """
        self._control(_Flush()).result()

    def close(self) -> None:
        """Commit what waits, checkpoint fully, leave WAL mode and write the `.sum` file; idempotent.

        Raises
        ------
        JournalFailed
            A write failed, now or earlier; the file is not sealed.
        JournalError
            A reader held the file open for 5 s; all is durable, but the file is not sealed.
        """
        with self._lock:
            if self._closed and self._failure is None:
                return
        future = self._control(_Close())
        self._thread.join()
        future.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _control(self, payload: _Payload) -> Future[int]:
        future: Future[int] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            if self._failure is not None or self._closed:
                self._refuse(future)
                return future
            self._closed = isinstance(payload, _Close)
            self._items.append((payload, future, False))
        if self._sleeping:
            self._wake.put(None)
        return future

    def _refuse(self, sink: _Sink) -> None:
        if self._failure is not None:
            _answer(sink, self._failure)
        else:
            raise JournalError(f"journal {str(self.path)!r} must be open, it is closed")

    # ------------------------------------------------------------------ commit thread

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:  # noqa: BLE001 - a thread's edge: whatever broke, nobody may wait for ever
            self._fail(error)

    def _serve(self) -> None:
        while True:
            with self._own:
                if self._failure is not None:  # a caller's commit failed
                    return
                goes_on = self._turn()
            if goes_on is None:
                return
            if not goes_on:
                self._sleep()

    def _turn(self) -> bool | None:
        """Do what is due; tell whether to look again at once, None after sealing."""
        self._take()
        if self._sinks and (self._urgent or len(self._sinks) >= LAZY_BATCH or self._is_late()):
            self._commit()
        self._urgent = False
        idle = not self._items
        if self._snapshots and (self._controls or idle or time.monotonic() > self._snapshot_deadline):
            self._write_snapshots()
        if self._closing and idle:
            self._seal()
            return None
        if not self._closing:
            self._answer_controls()
        return self._committer.checkpoint_if_due(idle=idle) or not idle

    def _take(self) -> None:
        items = self._items
        while items and len(self._batch) < MAX_BATCH and not self._controls:
            payload, sink, lazy = items.popleft()
            match payload:
                case Group():
                    self._batch.append(payload)
                    self._sinks.append(sink)
                    if not lazy:
                        self._urgent = True
                    elif self._deadline is None:
                        self._deadline = time.monotonic() + self._lazy_s
                case _Flush() | _Close():
                    self._controls.append(sink)
                    self._urgent = True
                    self._closing = isinstance(payload, _Close)
                case (seq, state):
                    if not self._snapshots:
                        self._snapshot_deadline = time.monotonic() + SNAPSHOT_PATIENCE_S
                    self._snapshots.append((seq, state, sink))
                    self._urgent = True  # the records it covers go first

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _insert(self) -> None:
        if self._batch:
            self._committer.insert(self._batch)
            self._batch = []

    def _commit(self) -> None:
        outcomes = self._committer.commit(self._batch)
        sinks = self._sinks
        self._batch, self._sinks, self._deadline = [], [], None
        for sink, outcome in zip(sinks, outcomes, strict=True):
            _answer(sink, outcome)

    def _write_snapshots(self) -> None:
        if self._sinks:
            self._commit()  # a snapshot is its own transaction
        while self._snapshots:
            seq, state, sink = self._snapshots[0]
            try:
                outcome: int | JournalError = self._committer.snapshot(seq, state)
            except InvalidGroup as refusal:
                outcome = refusal
            del self._snapshots[0]
            _answer(sink, outcome)

    def _answer_controls(self) -> None:
        controls, self._controls = self._controls, []
        for sink in controls:
            _answer(sink, self._committer.gid)

    def _seal(self) -> None:
        outcome: int | JournalError = self._committer.gid
        try:
            self._committer.seal()
        except JournalError as error:
            outcome = error
        for sink in self._controls:
            _answer(sink, outcome)

    def _sleep(self) -> None:
        # Appenders queue first and look at these flags after; here it is the other way round, so one of
        # both sides always sees the other. A lazy group needs no wake-up while a timeout is set.
        self._lazy_armed = self._deadline is not None
        self._sleeping = True
        try:
            if not self._items:
                timeout = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
                self._wake.get(timeout=timeout)
        except Empty:
            pass
        self._sleeping = False
        while not self._wake.empty():
            self._wake.get()

    def _fail(self, error: Exception) -> None:
        failure = JournalFailed(
            f"journal {str(self.path)!r} must be written, {type(error).__name__}: {error}"
        )
        failure.__cause__ = error
        _abandoned.append(self._committer)
        with self._lock:
            self._failure = failure
            waiting = [sink for _, sink, _ in self._items]
            self._items.clear()
        log.critical("journal_failed path=%s error=%r", self.path, error)
        taken = [*self._sinks, *(sink for _, _, sink in self._snapshots), *self._controls]
        for sink in taken + waiting:
            _answer(sink, failure)
        self._wake.put(None)  # the commit thread ends too
        if self._on_fatal is not None:
            self._on_fatal(failure)


def _answer(sink: _Sink, outcome: int | JournalError) -> None:
    if isinstance(sink, Future):
        if isinstance(outcome, int):
            sink.set_result(outcome)
        else:
            sink.set_exception(outcome)
        return
    try:
        if isinstance(outcome, int):
            sink(outcome, None)
        else:
            sink(0, outcome)
    except Exception:  # someone else's callback; the group is durable whatever it does
        log.exception("journal_callback_failed")
