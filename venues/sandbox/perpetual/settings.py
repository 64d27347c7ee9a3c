"""The configuration's `perpetuals`: brackets, funding, liquidation fee and the insurance fund.

Not here: what they do. Invariant: a pair that is not named has the figures of its kind (`brackets`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from typing import Any

from venues.sandbox.config_values import (
    ConfigError,
    count_of,
    decimal_of,
    list_of,
    object_of,
    refuse_unknown,
    text_of,
)
from venues.sandbox.perpetual.brackets import Brackets

Rows = tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True)
class PerpetualConfig:
    """What a venue of perpetual contracts has beside its orders.

    ``brackets`` (notional up to, leverage, maintenance rate) and ``funding_rates`` are by symbol (BTCUSDT); a
    rate that is given is settled whatever the premium says. Funding is settled every ``funding_hours`` of
    market time.
    """

    asset: str = "USDT"
    insurance_fund: str = "1000000"
    liquidation_fee: str = "0.0125"
    funding_hours: int = 8
    funding_rates: dict[str, str] = field(default_factory=dict)
    brackets: dict[str, Rows] = field(default_factory=dict)


def parse_perpetuals(raw: object) -> PerpetualConfig:
    """The settings from decoded JSON."""
    values = object_of(raw, "perpetuals")
    refuse_unknown(values, {each.name for each in fields(PerpetualConfig)}, "perpetuals")
    return PerpetualConfig(
        asset=text_of(values, "asset", "USDT"),
        insurance_fund=decimal_of(values, "insurance_fund", "1000000"),
        liquidation_fee=_share(values, "liquidation_fee", "0.0125"),
        funding_hours=count_of(values, "funding_hours", 8, 1, 24),
        funding_rates={
            symbol: _rate(symbol, text) for symbol, text in _object(values, "funding_rates").items()
        },
        brackets={symbol: _rows(symbol, rows) for symbol, rows in _object(values, "brackets").items()},
    )


def _object(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    return object_of(values.get(key, {}), f"perpetuals.{key}")


def _share(values: Mapping[str, Any], key: str, default: str) -> str:
    text = decimal_of(values, key, default)
    if Decimal(text) >= 1:
        raise ConfigError(f"perpetuals.{key}: expected a share below 1, got {text!r}")
    return text


def _rate(symbol: str, text: object) -> str:
    try:
        rate = Decimal(text) if isinstance(text, str) else Decimal("NaN")
    except InvalidOperation:
        rate = Decimal("NaN")
    if not rate.is_finite() or abs(rate) > Decimal("0.02") or rate.scaleb(8) % 1:
        raise ConfigError(
            f"perpetuals.funding_rates of {symbol}: expected a decimal text from -0.02 to 0.02 with up to 8 "
            f"decimals, got {text!r}"
        )
    return text if isinstance(text, str) else ""


def _rows(symbol: str, raw: object) -> Rows:
    where = f"perpetuals.brackets of {symbol}"
    rows = []
    for row in list_of(raw, where):
        if (
            not (
                isinstance(row, list)
                and len(row) == 3
                and isinstance(row[0], str)
                and isinstance(row[2], str)
            )
            or type(row[1]) is not int
        ):
            raise ConfigError(
                f"{where}: expected rows [notional, leverage, rate], texts but for the second, got {row!r}"
            )
        rows.append((row[0], row[1], row[2]))
    try:
        Brackets(rows)
    except (ValueError, InvalidOperation) as error:
        raise ConfigError(f"{where}: {error}") from error
    return tuple(rows)
