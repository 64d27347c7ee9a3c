"""Which factory makes an agent of a role when a desk's configuration names none.

Strings only: whoever reads this map imports no agent; `runtime/host.py` loads the one it hosts.
"""

from typing import Final

FACTORIES: Final[dict[str, str]] = {
    "strategy": "agents.strategy:make",
    "signal": "agents.signal:make",
    "capital": "agents.capital:make",
    "risk": "agents.risk:make",
    "execution": "agents.execution:make",
    "arbitrage": "agents.arbitrageur:make",
    "meta": "agents.meta:make",
}

# Strategies to hand to `agents.strategy:make`, by the name people use.
SOURCES: Final[dict[str, str]] = {
    "trend": "strategies.trend:make",
    "reversion": "strategies.reversion:make",
    "breakout": "strategies.breakout:make",
}
