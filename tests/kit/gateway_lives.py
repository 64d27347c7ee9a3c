"""A run by the clock whose gateways die as planned and are followed by spares: all its processes are real.

Not here: what a test expects. Invariant: when the context ends, no process of the run is left.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime import launch
from runtime.book_check import check_books
from runtime.child import Child
from runtime.launch import Layout
from runtime.recorded_market import recorded_market
from runtime.restarts import Restarts
from runtime.settings import load_settings
from runtime.supervisor import Supervisor

DYING = "tests.kit.dying_gateway"
PATIENCE_S = 120.0


class GatewayLives:
    """The run; ``lives`` are the gateways that followed the first, in the order they were begun."""

    def __init__(self, layout: Layout, supervisor: Supervisor, fuses: Path) -> None:
        self.layout = layout
        self.supervisor = supervisor
        self.lives: list[Child] = []
        self._fuses = fuses

    @property
    def gateway(self) -> Child:
        """The one that has the account now."""
        return self.supervisor.child("gateway")

    @property
    def left(self) -> list[str]:
        """Fuses that nobody took yet."""
        found: list[str] = json.loads(self._fuses.read_text())
        return found

    def watch(self, until: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Follow the run until something holds, which has to happen in time."""
        deadline = time.monotonic() + patience_s
        held = False

        def each() -> bool:
            nonlocal held
            held = until()
            return not held and time.monotonic() < deadline

        def on_life(child: Child) -> None:
            if child.name == "gateway" and child not in self.lives:
                self.lives.append(child)

        self.supervisor.watch("desk", poll_s=0.02, each=each, restarts=Restarts(), on_life=on_life)
        assert held, f"it did not come to it in {patience_s} s: {[each.follows for each in self.lives]}"

    def end(self) -> dict[str, Any]:
        """End the run in order, and let the stand-alone script compare journal and exchange."""
        self.supervisor.end("desk")
        assert self.supervisor.child("desk").code == 0, self.supervisor.child("desk").last_words()
        self.supervisor.stop()
        return check_books(self.layout.truth, self.layout.journal)


@contextlib.contextmanager
def gateway_lives(
    home: Path, options: Mapping[str, object], fuses: Sequence[str] = (), *, most: int = 99
) -> Iterator[GatewayLives]:
    """Start a run whose n-th gateway has the n-th fuse; at most ``most`` of them are followed."""
    settings = load_settings(None, {**options, "home": home})
    layout = launch.make_layout(settings)
    market = recorded_market(settings)
    run = launch.make_run(settings, market, layout.run_id)
    supervisor = Supervisor(layout.logs)
    keys = ("key", "secret")
    try:
        supervisor.introduce("desk", to="gateway")
        venue = supervisor.start(
            "sandbox", "venues.sandbox", launch.write_sandbox(layout, settings, market, keys)
        )
        access = launch.sandbox_access(layout, keys, str(venue["rest"]), str(venue["ws"]))
        config = launch.write_gateway(layout, settings, market, access)
        listed = Path(f"{config}.fuses")
        listed.write_text(json.dumps(fuses))
        supervisor.start("gateway", DYING, config)
        supervisor.start("hub", "runtime.hub", launch.write_hub(layout, settings, market, access))
        desk = launch.write_desk(layout, run, gateway_returns_s=launch.GATEWAY_RETURNS_S)
        supervisor.start("desk", "runtime.desk", desk)
        supervisor.keep_spare("gateway", DYING, layout.gateway_heartbeat, Restarts(most=most))
        yield GatewayLives(layout, supervisor, listed)
    finally:
        supervisor.stop()
        launch.sweep(layout)
