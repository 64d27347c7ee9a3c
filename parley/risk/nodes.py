"""The nodes of the limit tree: their names, and what each may say.

Not here: what a node uses (`loads`), who wins (`tree`). Invariant: a limit that exists is possible.
"""

from decimal import Decimal
from typing import Final

import msgspec

from parley.errors import ConfigError

LEVELS: Final = ("platform", "tenant", "account", "bot", "symbol")
ZERO: Final = Decimal(0)
MOST: Final = Decimal(10_000)


class NodeLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one node allows; None says nothing. Shares (`Decimal`) are of the node's equity.

    ``max_position`` of one asset, ``max_concentration`` one asset's share of the node's gross,
    ``max_book_share`` of the depth on the other side, ``self_match`` True: an order that would meet an own
    one is refused.
    """

    max_order_notional: Decimal | None = None
    max_position: Decimal | None = None
    max_gross: Decimal | None = None
    max_net: Decimal | None = None
    max_leverage: Decimal | None = None
    max_concentration: Decimal | None = None
    max_book_share: Decimal | None = None
    collar_bps: Decimal | None = None
    max_daily_loss: Decimal | None = None
    max_drawdown: Decimal | None = None
    max_daily_trades: int | None = None
    orders_per_s: int | None = None
    duplicate_window_ms: int | None = None
    self_match: bool | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not (value.is_finite() and ZERO < value <= MOST):
                raise ConfigError(f"{name} must be above 0 and at most {MOST}, was {value}")
            if isinstance(value, int) and value < 0:
                raise ConfigError(f"{name} must not be negative, was {value}")


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
