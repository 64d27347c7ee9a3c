"""What an account may do at most: one frozen, versioned table of limits.

Shares (`Decimal`) are fractions of the account's equity. The gate enforces the
table on every order, the assessment keeps a little `headroom` below it so that what
risk allowed is not refused a moment later for a tick. Where several limits speak
about the same thing the strictest wins (trap T11), so raising one never loosens
another.

Not here: which rule reads which limit (`rules`), who changes the table (an audited
command; a new table is a new `version`).

Invariant: a `Limits` that exists is possible: every share and count is finite and
in its range.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from parley.errors import ConfigError, nearest

from .nodes import NodeLimits, level_of

MINUTE_NS = 60_000_000_000
HOUR_NS = 60 * MINUTE_NS
ZERO = Decimal(0)


class Breakers(msgspec.Struct, frozen=True, kw_only=True):
    """When trading stops by itself (F239-F244). Losses, falls and moves are fractions.

    ``stale_*``, ``reject*`` and ``pnl_jump`` are those of `watches`.
    ``reduce_*``: from this fall on sizes are multiplied by ``reduce_factor``, and by
    nothing less (F244). ``lookback_trades`` closed trades are judged together.
    """

    daily_loss: Decimal = Decimal("0.05")
    daily_pause_min: int = 60
    drawdown: Decimal = Decimal("0.10")
    drawdown_pause_min: int = 1440
    flatten_drawdown: Decimal = Decimal("0.20")
    api_errors_per_min: int = 10
    api_pause_min: int = 5
    spike_per_min: Decimal = Decimal("0.10")
    lookback_trades: int = 20
    reduce_drawdown: Decimal = Decimal("0.10")
    reduce_factor: Decimal = Decimal("0.5")
    loss_streak: int = 8
    loss_streak_pause_min: int = 60
    stale_bars: int = 3
    stale_pause_min: int = 5
    rejects_least: int = 10
    reject_share: Decimal = Decimal("0.5")
    reject_window_min: int = 10
    reject_pause_min: int = 15
    pnl_jump: Decimal = Decimal("0.15")
    pnl_jump_pause_min: int = 60

    def __post_init__(self) -> None:
        for name in ("daily_loss", "drawdown", "flatten_drawdown", "spike_per_min", "reduce_drawdown"):
            _in_range(name, getattr(self, name), ZERO, Decimal(1))
        for name in ("reduce_factor", "reject_share"):
            _in_range(name, getattr(self, name), ZERO, Decimal(1))
        _in_range("pnl_jump", self.pnl_jump, ZERO, Decimal(100))
        for name in ("daily_pause_min", "drawdown_pause_min", "api_pause_min", "loss_streak_pause_min"):
            _at_least(name, getattr(self, name), 1)
        for name in ("stale_pause_min", "reject_pause_min", "reject_window_min", "pnl_jump_pause_min"):
            _at_least(name, getattr(self, name), 1)
        for name in ("api_errors_per_min", "lookback_trades", "loss_streak", "stale_bars", "rejects_least"):
            _at_least(name, getattr(self, name), 1)
        if self.flatten_drawdown < self.drawdown:
            raise ConfigError(
                f"flatten_drawdown must not be below drawdown {self.drawdown}, was {self.flatten_drawdown}"
            )


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """All limits of an account. Shares are of equity, ``*_bps`` basis points, ``*_ms`` milliseconds.

    An empty ``whitelist`` allows every known symbol; the blacklist always wins.
    ``max_drawdown`` is the fall from a peak that the risk agent re-arms after its
    pause; ``breakers.flatten_drawdown`` the one from the true peak that the gate
    never forgets. ``max_book_age_ms`` is that of a symbol's own book in market time, 0: only the age of the
    newest data counts. ``max_away_bps`` bounds how far a passive price may lie from the
    market, ``collar_bps`` how far an aggressive one, ``cumulative_collar_bps`` how
    far from the mid at the decision. ``max_schedule_min`` is how long the later
    children of a decision may rest on its verdict. ``tree`` are limits by node (`tree`), on top of these.
    """

    version: int = 0
    max_order_notional: Decimal = Decimal("0.20")
    max_position: Decimal = Decimal("0.25")
    max_gross: Decimal = Decimal("0.80")
    max_net: Decimal = Decimal("0.80")
    min_uninvested: Decimal = Decimal("0.20")
    max_leverage: Decimal = Decimal(1)
    max_maintenance: Decimal = Decimal("0.50")
    correlation_threshold: float = 0.8
    max_correlated: Decimal = Decimal("0.50")
    max_daily_loss: Decimal = Decimal("0.03")
    max_drawdown: Decimal = Decimal("0.10")
    max_daily_trades: int = 2000
    max_open_trades: int = 8
    max_position_age_h: int = 168
    collar_bps: Decimal = Decimal(300)
    max_away_bps: Decimal = Decimal(1000)
    cumulative_collar_bps: Decimal = Decimal(1000)
    max_slippage_bps: Decimal = Decimal(100)
    max_spread_bps: Decimal = Decimal(100)
    max_book_share: Decimal = Decimal("0.20")
    book_levels: int = 10
    duplicate_window_ms: int = 2000
    orders_per_s: int = 20
    orders_per_10s: int = 80
    max_repeats: int = 20
    max_data_age_ms: float = 5000.0
    max_book_age_ms: float = 0.0
    max_clock_offset_ms: float = 100.0
    max_schedule_min: int = 240
    self_match_prevention: bool = True
    whitelist: tuple[str, ...] = ()
    blacklist: tuple[str, ...] = ()
    headroom: Decimal = Decimal("0.02")
    min_resize: Decimal = Decimal("0.10")
    breakers: Breakers = msgspec.field(default_factory=Breakers)
    tree: dict[str, NodeLimits] = {}

    def __post_init__(self) -> None:
        for node in self.tree:
            level_of(node)
        for name in ("max_order_notional", "max_position", "max_gross", "max_net", "max_correlated"):
            _in_range(name, getattr(self, name), ZERO, Decimal(20))
        for name in ("max_daily_loss", "max_drawdown", "max_book_share", "max_maintenance"):
            _in_range(name, getattr(self, name), ZERO, Decimal(1))
        _in_range("max_leverage", self.max_leverage, ZERO, Decimal(125))
        for name in (
            "collar_bps",
            "max_away_bps",
            "cumulative_collar_bps",
            "max_slippage_bps",
            "max_spread_bps",
        ):
            _in_range(name, getattr(self, name), ZERO, Decimal(10_000))
        for name in ("min_uninvested", "headroom", "min_resize"):
            value: Decimal = getattr(self, name)
            if not (value.is_finite() and 0 <= value < 1):
                raise ConfigError(f"{name} must be at least 0 and below 1, was {value}")
        for name in (
            "max_daily_trades",
            "max_open_trades",
            "max_position_age_h",
            "book_levels",
            "max_repeats",
        ):
            _at_least(name, getattr(self, name), 1)
        for name in ("orders_per_s", "orders_per_10s", "max_schedule_min"):
            _at_least(name, getattr(self, name), 1)
        for name in ("version", "duplicate_window_ms"):
            _at_least(name, getattr(self, name), 0)
        for name in ("max_data_age_ms", "max_clock_offset_ms"):
            if not 0 < getattr(self, name) <= 3_600_000:
                raise ConfigError(f"{name} must be above 0 and at most an hour, was {getattr(self, name)}")
        if not 0 <= self.max_book_age_ms <= 3_600_000:
            raise ConfigError(
                f"max_book_age_ms must be at least 0 and at most an hour, was {self.max_book_age_ms}"
            )
        if not 0 < self.correlation_threshold <= 1:
            raise ConfigError(f"correlation_threshold must be in (0, 1], was {self.correlation_threshold}")
        both = sorted(set(self.whitelist) & set(self.blacklist))
        if both:
            raise ConfigError(f"symbols on whitelist and blacklist: {', '.join(both)}")


def limits_of(settings: Mapping[str, object]) -> Limits:
    """Build limits from settings; what is not named keeps its default.

    Raises
    ------
    ConfigError
        On an unknown key (naming the nearest), a value of the wrong type, or an impossible one.
    """
    values = dict(settings)
    _known("limits", values, Limits)
    inner = values.get("breakers")
    if isinstance(inner, Mapping):
        _known("limits.breakers", inner, Breakers)
    tree = values.get("tree")
    for name, node in tree.items() if isinstance(tree, Mapping) else ():
        if isinstance(node, Mapping):
            _known(f"limits.tree.{name}", node, NodeLimits)
    try:
        return msgspec.convert(values, Limits, strict=False)
    except msgspec.ValidationError as err:
        raise ConfigError(f"limits: {err}") from err


def _known(where: str, values: Mapping[str, object], kind: type[msgspec.Struct]) -> None:
    known = [f.name for f in msgspec.structs.fields(kind)]
    for key in values:
        if key not in known:
            raise ConfigError(f"{where} has no key {key!r}: {nearest(str(key), known)}")


def _in_range(name: str, value: Decimal, above: Decimal, most: Decimal) -> None:
    if not (value.is_finite() and above < value <= most):
        raise ConfigError(f"{name} must be above {above} and at most {most}, was {value}")


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"{name} must be at least {least}, was {value}")
