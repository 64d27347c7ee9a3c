"""Starts the sandbox exchanges of a run: one, or one for each exchange that its desk trades at.

Not here: what they play (`launch`), which they are (`several`).
"""

from dataclasses import replace

from runtime import launch, several
from runtime.launch import Access, Layout, Market
from runtime.settings import Settings
from runtime.supervisor import Supervisor
from venues.key_pairs import made_for


def start_sandboxes(supervisor: Supervisor, layout: Layout, settings: Settings, market: Market) -> Access:
    parts = dict(several.of_each(settings))
    first = parts.pop("")
    keys = made_for(settings.venue)
    told = supervisor.start("sandbox", "venues.sandbox", launch.write_sandbox(layout, first, market, keys))
    return replace(
        launch.sandbox_access(layout, keys, str(told["rest"]), str(told["ws"])),
        also={name: _further(supervisor, layout, part, market, name) for name, part in parts.items()},
    )


def _further(
    supervisor: Supervisor, layout: Layout, settings: Settings, market: Market, exchange: str
) -> Access:
    keys = made_for(exchange)
    config = launch.write_sandbox(layout, settings, market, keys, exchange)
    told = supervisor.start(f"sandbox {exchange}", "venues.sandbox", config)
    return launch.sandbox_access(layout, keys, str(told["rest"]), str(told["ws"]), exchange)
