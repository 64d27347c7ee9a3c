"""The market's label on series whose kind is plain to see."""

from math import sin

import pytest

from parley.indicators import EwmaVol, Regime, Ring


def label_after(closes: list[float], **over: float) -> Regime:
    regime = Regime(window=12, memory=48, **over)
    for close in closes:
        regime.update(close)
    return regime


def test_straight_way_up_and_down_are_trends() -> None:
    assert label_after([100.0 + n for n in range(60)]).label == "trend_up"
    assert label_after([200.0 - n for n in range(60)]).label == "trend_down"


def test_nothing_is_said_before_the_window_is_full() -> None:
    regime = label_after([100.0 + n for n in range(12)])

    assert regime.label == ""
    assert not regime.ready
    assert regime.update(113.0) == "trend_up"


def test_sideways_with_usual_volatility_is_a_range() -> None:
    assert label_after([100.0 + sin(2.1 * n) for n in range(80)]).label in ("range", "quiet")


def test_sideways_after_wild_days_is_quiet_and_wild_after_quiet_is_volatile() -> None:
    wild = [100.0 + 5.0 * (-1) ** n for n in range(60)]
    calm = [100.0 + 0.1 * (-1) ** n for n in range(30)]

    assert label_after(wild + calm).label == "quiet"
    assert label_after(calm + calm + [100.0 + 5.0 * (-1) ** n for n in range(6)]).label == "volatile"


def test_trend_is_kept_where_it_would_not_be_entered() -> None:
    up = [100.0 + n for n in range(60)]
    # steps of +2.2 and -1: efficiency 0.6 / 1.6 = 0.375, between leaving (0.3) and entering (0.4)
    ragged = [160.0]
    for n in range(24):
        ragged.append(ragged[-1] + (2.2 if n % 2 else -1.0))

    assert label_after(up + ragged).label == "trend_up"
    assert label_after(up + ragged, hold=0.0).label != "trend_up"


@pytest.mark.parametrize("make", [lambda: Ring(0), lambda: EwmaVol(0.0), lambda: EwmaVol(float("nan"))])
def test_impossible_parameter_is_refused(make: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        make()  # type: ignore[operator]
