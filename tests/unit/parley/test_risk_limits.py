"""Limits: what is impossible or unknown is a configuration error."""

from decimal import Decimal

import pytest

from parley.errors import ConfigError
from parley.risk import Breakers, Limits, limits_of


def test_settings_override_defaults_and_leave_the_rest() -> None:
    limits = limits_of({"max_position": 0.3, "whitelist": ["BTC/USDT"], "breakers": {"drawdown": "0.08"}})

    assert limits.max_position == Decimal("0.3")
    assert limits.whitelist == ("BTC/USDT",)
    assert limits.breakers.drawdown == Decimal("0.08")
    assert limits.max_gross == Limits().max_gross


def test_defaults_are_those_of_the_feature_rows() -> None:
    limits, breakers = Limits(), Breakers()

    assert (limits.max_daily_loss, limits.max_drawdown) == (Decimal("0.03"), Decimal("0.10"))
    assert (breakers.daily_loss, breakers.daily_pause_min) == (Decimal("0.05"), 60)
    assert (breakers.drawdown, breakers.drawdown_pause_min) == (Decimal("0.10"), 24 * 60)
    assert breakers.flatten_drawdown == Decimal("0.20")
    assert (breakers.api_errors_per_min, breakers.api_pause_min) == (10, 5)
    assert (breakers.spike_per_min, breakers.lookback_trades) == (Decimal("0.10"), 20)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"max_positon": 0.3}, "did you mean 'max_position'"),
        ({"breakers": {"drawdow": 0.1}}, "did you mean 'drawdown'"),
        ({"max_position": 0}, "max_position"),
        ({"max_position": "NaN"}, "max_position"),
        ({"max_gross": -1}, "max_gross"),
        ({"max_daily_loss": 1.5}, "max_daily_loss"),
        ({"min_uninvested": 1}, "min_uninvested"),
        ({"collar_bps": "Infinity"}, "collar_bps"),
        ({"orders_per_s": 0}, "orders_per_s"),
        ({"version": -1}, "version"),
        ({"max_data_age_ms": float("nan")}, "max_data_age_ms"),
        ({"max_book_age_ms": float("nan")}, "max_book_age_ms"),
        ({"max_book_age_ms": -1}, "max_book_age_ms"),
        ({"correlation_threshold": 0}, "correlation_threshold"),
        ({"max_open_trades": "many"}, "max_open_trades"),
        ({"whitelist": ["A/B"], "blacklist": ["A/B"]}, "A/B"),
        ({"breakers": {"flatten_drawdown": 0.05}}, "flatten_drawdown"),
        ({"breakers": {"api_pause_min": 0}}, "api_pause_min"),
    ],
)
def test_impossible_setting_is_a_config_error(settings: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        limits_of(settings)
