"""Where a process ends itself: named places on the way of an order, at the n-th passing.

Problem: the moments that matter lie between two effects a few microseconds apart, and a random kill from
outside seldom finds them. Here the process's own functions are wrapped in the forked child; nothing in the
product knows of it. A fuse may burn on for some microseconds after its place, so that it also hits what
lies behind and has no name.

Not here: when a fuse is laid (`plan`); the desk's own places are those of `tests.kit.dying_desk`.

Invariant: a process that passes its place often enough ends there, or up to ``delay_us`` later, by SIGKILL.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from parley.messages import Ack, Attempt, Fill, Intent, Message, Unknown, VenueReject
from runtime import desk
from runtime.doubts import Doubts
from runtime.frames import Link
from runtime.gateway_log import NOT_ACCEPTED, GatewayLog
from runtime.gateway_orders import Gateway
from runtime.journal import Group, JournalError
from runtime.journal import commit as committing
from runtime.journal.commit import Committer
from runtime.resync import Retelling
from tests.kit import dying_desk
from venues.ccxt_venue import CcxtVenue

GATEWAY: Final = (
    "order_arrived", "attempt_unwritten", "attempt_uncommitted", "attempt_committed", "order_unsent",
    "request_out", "answer_unheard", "ack_unwritten", "ack_said", "unknown_said", "fill_unwritten",
    "fill_said", "cancel_unsent", "looking_up", "looked_up", "found", "end_unwritten", "end_durable",
    "adopting", "adopted", "retelling", "retold", "half_a_frame", "checkpointing", "sealing",
    "commit_fails", "commit_fails_after_all",
)  # fmt: skip
DESK: Final = (
    *dying_desk.WHILE_SERVING, "journal_made", "folding", "resync_asked", "hub_not_met",
    "group_uncommitted", "group_committed", "half_a_frame", "checkpointing", "sealing",
    "commit_fails", "commit_fails_after_all",
)  # fmt: skip
# Not a death but a disk that fails: the process has to end by itself, whatever the disk kept.
FAILING: Final = frozenset({"commit_fails", "commit_fails_after_all"})
# Passed at most once in a life, so a fuse is laid on the first passing.
ONCE: Final = frozenset({
    "adopting", "adopted", "retelling", "retold", "sealing", "journal_made", "resync_asked", "hub_not_met"
})  # fmt: skip
EARLY_CHECKPOINT_PAGES: Final = 20
BROKEN_DISK: Final = "disk I/O error"


class Fuse:
    """Ends this process at the n-th passing of a place, or ``delay_us`` after."""

    def __init__(self, place: str, nth: int, delay_us: int = 0) -> None:
        self.place = place
        self.delay_us = delay_us
        self._left = nth

    def burn(self) -> None:
        """Pass the place."""
        self._left -= 1
        if self._left != 0:
            return
        if self.delay_us:
            threading.Thread(target=self._burn_on, daemon=True).start()
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    def _burn_on(self) -> None:
        time.sleep(self.delay_us / 1e6)
        os.kill(os.getpid(), signal.SIGKILL)

    def before(self, owner: Any, name: str, when: Callable[..., bool] = lambda *_: True) -> None:
        """Burn before each call that ``when`` takes."""
        inner = getattr(owner, name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            if when(*arguments):
                self.burn()
            return inner(*arguments, **named)

        setattr(owner, name, wrapped)

    def after(self, owner: Any, name: str, when: Callable[..., bool] = lambda *_: True) -> None:
        """Burn after each call that ``when`` takes."""
        inner = getattr(owner, name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            burns = when(*arguments)  # before: the call may change what is looked at
            result = inner(*arguments, **named)
            if burns:
                self.burn()
            return result

        setattr(owner, name, wrapped)


def _says(*kinds: type[Message]) -> Callable[..., bool]:
    return lambda _, message, *more: isinstance(message, kinds)


def _takes_ids(_: Committer, groups: Sequence[Group]) -> bool:
    return any(group.intents for group in groups)


def _buries(_: Gateway, message: Message, *more: object) -> bool:
    return isinstance(message, VenueReject) and message.code == NOT_ACCEPTED[0]


def _is_due(committer: Committer, **_: object) -> bool:
    return committer.wants_checkpoint


def _half_a_frame(fuse: Fuse) -> None:
    """Write the first half of an order's or answer's frame and end there."""
    for name in ("send_frame", "send_now"):
        inner = getattr(Link, name)

        def wrapped(link: Link, frame: bytes, inner: Any = inner) -> None:
            fuse._left -= 1
            if fuse._left == 0 and link.is_open and not link.unsent:
                with contextlib.suppress(OSError):  # whoever should read it may be gone
                    os.write(link._fd, frame[: len(frame) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            inner(link, frame)

        setattr(Link, name, wrapped)


def _commit_fails(fuse: Fuse) -> None:
    """Let the n-th commit with groups, and all after it, fail as a broken disk does."""
    inner = Committer.commit

    def wrapped(committer: Committer, groups: Sequence[Group]) -> list[int | JournalError]:
        fuse._left -= bool(groups)
        if fuse._left <= 0 and fuse.place == "commit_fails":
            raise sqlite3.OperationalError(BROKEN_DISK)
        outcomes = inner(committer, groups)
        if fuse._left <= 0:
            raise sqlite3.OperationalError(BROKEN_DISK)
        return outcomes

    Committer.commit = wrapped  # type: ignore[method-assign, assignment]


def lay(fuse: Fuse) -> None:
    """Wrap the place of a fuse in this process, which is a gateway or a desk; an unknown one is an error."""
    match fuse.place:
        case "order_arrived":
            fuse.before(Gateway, "_take_order")
        case "attempt_unwritten":
            fuse.before(GatewayLog, "attempt")
        case "attempt_uncommitted" | "group_uncommitted":
            fuse.before(Committer, "commit", _takes_ids)
        case "attempt_committed" | "group_committed":
            fuse.after(Committer, "commit", _takes_ids)
        case "order_unsent":
            fuse.before(CcxtVenue, "send")
        case "request_out":
            fuse.after(Gateway, "_send", _says(Attempt))
        case "answer_unheard":
            fuse.before(Gateway, "_conclude", lambda _, intent, *more: isinstance(intent, Intent))
        case "ack_unwritten":
            fuse.before(Gateway, "_say", _says(Ack))
        case "ack_said":
            fuse.after(Gateway, "_say", _says(Ack))
        case "unknown_said":
            fuse.after(Gateway, "_say", _says(Unknown))
        case "fill_unwritten":
            fuse.before(Gateway, "_say", _says(Fill))
        case "fill_said":
            fuse.after(Gateway, "_say", _says(Fill))
        case "cancel_unsent":
            fuse.before(CcxtVenue, "cancel")
        case "looking_up":
            fuse.before(CcxtVenue, "look_up")
        case "looked_up":
            fuse.before(Doubts, "_looked")
        case "found":
            fuse.before(Gateway, "found")
        case "end_unwritten":
            fuse.before(GatewayLog, "say_durably")
        case "end_durable":
            fuse.before(Gateway, "_send", _buries)
        case "adopting":
            fuse.before(Gateway, "adopt")
        case "adopted":
            fuse.after(Gateway, "adopt")
        case "retelling":
            fuse.before(Gateway, "_retell")
        case "retold":
            fuse.before(Retelling, "missing")
        case "half_a_frame":
            _half_a_frame(fuse)
        case "checkpointing":
            committing.CHECKPOINT_PAGES = EARLY_CHECKPOINT_PAGES  # type: ignore[misc]
            fuse.before(Committer, "checkpoint_if_due", _is_due)
        case "commit_fails" | "commit_fails_after_all":
            _commit_fails(fuse)
        case "sealing":
            fuse.before(Committer, "seal")
        case _:
            dying_desk.set_up(dying_desk.Fuse(f"{fuse.place}:{fuse._left}"))


def tell_ready(events: Path) -> None:
    """Let a desk write down from when on it trades, and in which epoch, before it does."""
    serve = desk.Desk._serve

    async def told(self: desk.Desk) -> None:
        line = {"wall_ns": time.time_ns(), "what": "trades", "epoch": self._assembly.firm.table.epoch}
        with events.open("a") as file:
            file.write(json.dumps(line) + "\n")
        await serve(self)

    desk.Desk._serve = told  # type: ignore[method-assign]
