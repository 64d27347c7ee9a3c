"""The nodes of the limit tree: their names, and what each may say.

Not here: what a node uses (`loads`), who wins (`tree`). Invariant: a limit that exists is possible.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec
from msgspec.structs import replace

from parley.errors import ConfigError
from parley.instruments import plain

LEVELS: Final = ("platform", "tenant", "account", "bot", "symbol")
ZERO: Final = Decimal(0)
MOST: Final = Decimal(10_000)


class NodeLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one node allows; None says nothing. Shares (`Decimal`) are of the account's equity.

    ``max_daily_loss`` and ``max_drawdown`` are of it at the start of the UTC day and at its peak, of a bot
    too; what a bot lost is its own result. ``max_position`` of one asset, ``max_concentration`` one asset's
    share of the node's gross, ``max_correlated`` of it and all that moves with it (`correlation`),
    ``max_book_share`` of the depth on the other side, ``self_match`` True: an order that would meet an own
    one is refused. What somebody holds longer than ``max_position_age_h`` is added to no more, and left.
    """

    max_order_notional: Decimal | None = None
    max_position: Decimal | None = None
    max_gross: Decimal | None = None
    max_net: Decimal | None = None
    max_leverage: Decimal | None = None
    max_concentration: Decimal | None = None
    max_correlated: Decimal | None = None
    max_book_share: Decimal | None = None
    collar_bps: Decimal | None = None
    max_daily_loss: Decimal | None = None
    max_drawdown: Decimal | None = None
    max_daily_trades: int | None = None
    orders_per_s: int | None = None
    duplicate_window_ms: int | None = None
    self_match: bool | None = None
    max_position_age_h: int | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not (value.is_finite() and ZERO < value <= MOST):
                raise ConfigError(f"{name} must be above 0 and at most {MOST}, was {value}")
            if isinstance(value, int) and value < 0:
                raise ConfigError(f"{name} must not be negative, was {value}")
        if self.max_position_age_h == 0:
            raise ConfigError("max_position_age_h must be at least 1, was 0")


def of_exposure(name: str, limits: NodeLimits) -> NodeLimits:
    """Leave out of a bot's node what only the desk can judge: its own result, its trades and its orders."""
    if level_of(name) != "bot":
        return limits
    return replace(limits, max_daily_loss=None, max_drawdown=None, max_daily_trades=None, orders_per_s=None)


def concerns(name: str, agent: str, symbol: str) -> bool:
    """Whether an agent's order of a symbol passes a node."""
    level, _, which = name.partition(":")
    if level == "symbol":  # a pair is limited at every exchange
        return which in (symbol, plain(symbol))
    return which == agent if level == "bot" else True


def longest_age_h(tree: Mapping[str, NodeLimits], agent: str, symbol: str) -> int | None:
    """Return for how many hours an agent may hold a symbol, None where no node says anything."""
    found = [
        limits.max_position_age_h
        for name, limits in tree.items()
        if limits.max_position_age_h is not None and concerns(name, agent, symbol)
    ]
    return min(found, default=None)


def level_of(name: str) -> str:
    """Return the level a node's name begins with.

    Raises
    ------
    ConfigError
        When it is none, or a bot or symbol has no name.
    """
    level, _, which = name.partition(":")
    if level not in LEVELS or (level in ("bot", "symbol") and not which):
        raise ConfigError(f"a node is platform, tenant, account, bot:NAME or symbol:A/B, was {name!r}")
    return level
