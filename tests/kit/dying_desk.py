"""A desk that kills itself at a named place: ``python -m tests.kit.dying_desk --config FILE``.

The environment variable ``DIE`` says where and at which passing: ``place:n``. Places are those where the
order of two effects matters; the desk's own code is wrapped, nothing in it knows of this. ``SNAPSHOT_EVERY``
says after how many frames it asks its agents for snapshots.

Not here: killing at a random moment, which anybody can do from outside (`tests.kit.desk_lives`).

Invariant: a desk that passes its place often enough ends there by SIGKILL and nowhere else.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from orchestrator.policy import GroupOut
from parley.bus import InProc, Wave
from parley.messages import KINDS, Decision, Fill
from runtime import desk, socket_transport
from runtime.frames import Link
from runtime.hub_line import HubLine
from runtime.journal import JournalWriter
from runtime.outbox import Outbox
from runtime.socket_transport import SocketTransport

# In these a round is open: agents are being asked, or its order is on its way into the journal.
IN_A_ROUND: Final = (
    "asking_for_bids", "asking_for_size", "asking_risk", "order_unknown_to_anybody", "order_cut_off",
    "order_handed_over",
)  # fmt: skip
WHILE_SERVING: Final = (
    *IN_A_ROUND, "order_durable", "order_released", "fill_heard", "step_durable", "step_closed",
)  # fmt: skip
WHILE_STARTING: Final = ("journal_made", "folding", "resync_asked", "hub_not_met")
BEHIND_A_CUT: Final = "tail_kept"  # passed only by a desk whose earlier life was cut within a cascade


class Fuse:
    """Kills this process at the n-th passing of the place."""

    def __init__(self, text: str) -> None:
        self.place, _, n = text.partition(":")
        self.left = int(n)
        self.is_armed = self.place not in WHILE_SERVING

    def arm(self, line: Mapping[str, object]) -> None:
        """Count from the ready line on, where folding the past would pass the place too."""
        self.is_armed = self.is_armed or "ready" in line

    def burn(self) -> None:
        self.left -= self.is_armed
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, owner: Any, name: str, when: Callable[..., bool] = lambda *_: True) -> None:
        """Burn before each call."""
        self._wrap(owner, name, when, lambda *_: False)

    def after(self, owner: Any, name: str, when: Callable[..., bool] = lambda *_: True) -> None:
        """Burn after each call."""
        self._wrap(owner, name, lambda *_: False, when)

    def after_asking(self, stage: str) -> None:
        """Burn after each wave of a stage, wherever the agents are."""
        self.after(InProc, "exchange", asks(stage))
        self.after(SocketTransport, "exchange", asks(stage))

    def _wrap(self, owner: Any, name: str, before: Callable[..., bool], after: Callable[..., bool]) -> None:
        inner = getattr(owner, name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            if before(*arguments):
                self.burn()
            result = inner(*arguments, **named)
            if after(*arguments):
                self.burn()
            return result

        setattr(owner, name, wrapped)


def has_orders(_: Outbox, out: GroupOut, epoch: int) -> bool:
    return bool(out.orders)


def is_cut_off(outbox: Outbox, out: GroupOut, epoch: int) -> bool:
    """As `has_orders`, and what led to the order is on disk: as if deciding had taken long."""
    if out.orders:
        outbox._journal.flush()
    return bool(out.orders)


def decides(_: Outbox, out: GroupOut, epoch: int) -> bool:
    """Whether the group is a decision with its order: its cascade goes on, so what follows is cut."""
    return bool(out.orders) and any(kind == KINDS[Decision] for _, kind, *_ in out.records)


def asks(stage: str) -> Callable[[object, Wave], bool]:
    return lambda _, wave: wave.stage == stage


def says(word: bytes) -> Callable[[Link, bytes], bool]:
    return lambda _, frame: word in frame


def set_up(fuse: Fuse) -> None:
    """Wrap the place of a fuse; an unknown one is an error."""
    match fuse.place:
        case "order_unknown_to_anybody":
            fuse.before(Outbox, "commit", has_orders)
        case "order_cut_off":
            fuse.before(Outbox, "commit", is_cut_off)
        case "order_handed_over":
            fuse.before(JournalWriter, "post_now")
        case "order_durable":
            fuse.before(Outbox, "_leave")
        case "order_released":
            fuse.after(Outbox, "commit", decides)
        case "fill_heard":
            fuse.before(desk.Desk, "_note", lambda _, message: isinstance(message, Fill))
        case "asking_for_bids":
            fuse.after_asking("bids")
        case "asking_for_size":
            fuse.after_asking("counters")
        case "asking_risk":
            fuse.after_asking("risk")
        case "step_closed":
            fuse.after(Link, "send_now", says(b"closed:"))
        case "step_durable":
            fuse.before(Link, "send_now", says(b"closed:"))
        case "tail_kept":
            fuse.after(Outbox, "keep")
        case "folding":
            fuse.after(InProc, "exchange")
        case "resync_asked":
            fuse.after(Link, "send", lambda _, envelope: envelope.body.startswith(b"resync:"))
        case "journal_made":
            fuse.before(desk.Desk, "_make_outbox")
        case "hub_not_met":
            fuse.before(HubLine, "open")
        case _:
            raise SystemExit(f"no place {fuse.place!r}")
    announce = desk.announce

    def armed(line: Mapping[str, object]) -> None:
        announce(line)
        fuse.arm(line)

    desk.announce = armed  # type: ignore[assignment]


def main() -> int:
    if often := os.environ.get("SNAPSHOT_EVERY"):  # else no short test would ever see one
        socket_transport.SNAPSHOT_EVERY = int(often)  # type: ignore[misc]
    if text := os.environ.get("DIE"):
        set_up(Fuse(text))
    return desk.main()


if __name__ == "__main__":
    sys.exit(main())
