"""The built-in strategies on candle tables: when they enter, why not, when they leave, and what they keep."""

from collections.abc import Callable, Sequence
from math import nan, sin

import pytest

import strategies.breakout
import strategies.reversion
import strategies.trend
from parley.errors import ConfigError
from parley.messages import Bar
from parley.strategy_source import Entry, Held, Leave, Pass, SourceFactory, Stay, StrategySource
from strategies.setup import bet, hear
from tests.kit.builders import MINUTE, T0, make_bar, make_opinion
from tests.kit.candles import bars_of

MAKERS: dict[str, SourceFactory] = {
    "trend": strategies.trend.make,
    "reversion": strategies.reversion.make,
    "breakout": strategies.breakout.make,
}
SMALL: dict[str, dict[str, object]] = {
    "trend": {"every": 1, "fast": 2, "slow": 5, "atr": 3},
    "reversion": {"every": 1, "rsi": 4, "atr": 3},
    "breakout": {"every": 1, "channel": 5, "exit_channel": 3, "atr": 3},
}
# What each strategy waits for, at the end of the series.
SETUPS: dict[str, list[float]] = {
    "trend": [100.0 - n for n in range(10)] + [98.0],
    "reversion": [100.0 + sin(n) for n in range(6)] + [97.0, 94.0, 91.0, 94.5],
    "breakout": [100.0, 101.0, 99.0, 100.0, 101.0, 100.0, 103.0],
}
ENDS: dict[str, tuple[list[float], str]] = {
    "trend": (SETUPS["trend"] + [90.0, 80.0], "trend_end"),
    "reversion": (SETUPS["reversion"] + [98.0, 101.0], "mean_reached"),
    "breakout": (SETUPS["breakout"] + [102.0, 96.0], "channel_exit"),
}
LONG = Held(direction=1, entry_px=100.0, opened=T0)
Answer = Entry | Pass


def fed(name: str, bars: Sequence[Bar], **over: object) -> StrategySource:
    source = MAKERS[name](SMALL[name] | over)
    for bar in bars:
        source.on_bar(bar)
    return source


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_setup_gives_an_entry_whose_numbers_hang_together(name: str) -> None:
    bars = bars_of(SETUPS[name], wick=0.5)

    found = fed(name, bars).entry("BTC/USDT", bars[-1], ())

    assert isinstance(found, Entry), found
    assert found.direction == 1
    assert found.stop < bars[-1].close < found.take
    risk, reward = bars[-1].close - found.stop, found.take - bars[-1].close
    edge = (found.conf * reward - (1 - found.conf) * risk) / bars[-1].close * 1e4
    assert found.edge_bps == pytest.approx(edge, abs=1.0)
    assert found.edge_bps > 0


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_shorts_are_the_mirror_image_and_only_where_asked_for(name: str) -> None:
    up = bars_of(SETUPS[name], wick=0.5)
    down = bars_of([200.0 - close for close in SETUPS[name]], wick=0.5)
    bull, bear = make_opinion(direction=0.9), make_opinion(direction=-0.9)

    long = fed(name, up, shorts=True).entry("BTC/USDT", up[-1], ())
    short = fed(name, down, shorts=True).entry("BTC/USDT", down[-1], ())
    against = fed(name, down, shorts=True, veto=0.5).entry("BTC/USDT", down[-1], (bull,))
    agreed = fed(name, down, shorts=True, veto=0.5).entry("BTC/USDT", down[-1], (bear,))
    rising = make_opinion(regime="trend_up")
    mirrored = fed(name, down, shorts=True, avoid=["trend_down"]).entry("BTC/USDT", down[-1], (rising,))

    assert isinstance(long, Entry)
    assert isinstance(short, Entry)
    assert isinstance(agreed, Entry)
    assert (long.direction, short.direction) == (1, -1)
    assert short.take < down[-1].close < short.stop
    assert short.stop - down[-1].close == pytest.approx(up[-1].close - long.stop)
    assert short.conf == pytest.approx(long.conf)
    assert isinstance(against, Pass)
    assert against.code == "against_opinion"
    assert isinstance(mirrored, Pass)
    assert mirrored.code == "against_regime"
    assert isinstance(fed(name, down).entry("BTC/USDT", down[-1], ()), Pass)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_setup_is_offered_for_a_few_candles_only(name: str) -> None:
    bars = bars_of(SETUPS[name] + [SETUPS[name][-1]] * 3, wick=0.5)
    slow = fed(name, bars[: len(SETUPS[name])], every=1)

    # one more decision without the setup takes the offer back
    slow.on_bar(bars[-3])

    assert isinstance(slow.entry("BTC/USDT", bars[-3], ()), Pass)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_strategy_says_that_it_is_warming_up(name: str) -> None:
    [bar] = bars_of([100.0])

    found = fed(name, [bar]).entry("BTC/USDT", bar, ())

    assert isinstance(found, Pass)
    assert found.code == "warming_up"
    assert found.detail.startswith("1/")
    assert MAKERS[name]({}).entry("BTC/USDT", bar, ()) == Pass(
        "warming_up", f"0/{MAKERS[name]({}).warmup_bars}"
    )


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_calm_market_is_no_setup_once_warm(name: str) -> None:
    closes = [100.0 + 0.1 * (n % 2) for n in range(40)]
    bars = bars_of(closes, wick=0.5)

    found = fed(name, bars).entry("BTC/USDT", bars[-1], ())

    assert isinstance(found, Pass)
    assert found.code == "no_setup"


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_opinions_can_stop_an_entry_and_become_its_evidence(name: str) -> None:
    bars = bars_of(SETUPS[name], wick=0.5)
    source = fed(name, bars, avoid=["volatile"], veto=0.5)
    good = make_opinion(oid=b"g" * 16, agent="signal/a", direction=0.9)
    mild = make_opinion(oid=b"m" * 16, agent="signal/b", direction=-0.1)
    bad = make_opinion(oid=b"b" * 16, agent="signal/c", direction=-0.9)
    wild = make_opinion(agent="signal/d", regime="volatile")

    def code(*opinions: object) -> str:
        found = source.entry("BTC/USDT", bars[-1], opinions)  # type: ignore[arg-type]
        return found.code if isinstance(found, Pass) else ""

    assert code(bad) == "against_opinion"
    assert code(wild) == "against_regime"
    assert code(good, mild) == ""
    found = source.entry("BTC/USDT", bars[-1], (good, mild))
    assert isinstance(found, Entry)
    assert found.evidence == (b"g" * 16,)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_end_of_the_reason_is_an_exit_with_its_code(name: str) -> None:
    closes, code = ENDS[name]
    bars = bars_of(closes, wick=0.5)

    found = fed(name, bars).exit("BTC/USDT", bars[-1], LONG, ())

    assert isinstance(found, Leave)
    assert found.code == code


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_holding_runs_into_its_time_limit(name: str) -> None:
    bars = bars_of(SETUPS[name], wick=0.5)
    source = fed(name, bars, hold=5)
    end = bars[-1].t_open + MINUTE

    young = source.exit("BTC/USDT", bars[-1], Held(direction=1, entry_px=1.0, opened=end - 4 * MINUTE), ())
    old = source.exit("BTC/USDT", bars[-1], Held(direction=1, entry_px=1.0, opened=end - 5 * MINUTE), ())

    assert isinstance(young, Stay)
    assert isinstance(old, Leave)
    assert old.code == "time_limit"


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("name", ["trend", "breakout"])
def test_trailing_level_is_on_the_losing_side(name: str, direction: int) -> None:
    way = [100.0 + direction * n for n in range(12)]
    bars = bars_of(way, wick=0.5)
    holding = Held(direction=direction, entry_px=100.0, opened=bars[-1].t_open)

    found = fed(name, bars).exit("BTC/USDT", bars[-1], holding, ())

    assert isinstance(found, Stay)
    assert (bars[-1].close - found.stop) * direction > 0


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_unusable_and_repeated_bars_change_nothing(name: str) -> None:
    bars = bars_of(SETUPS[name], wick=0.5)
    clean = fed(name, bars)
    dirty = MAKERS[name](SMALL[name])
    for bar in bars:
        dirty.on_bar(make_bar(t_open=bar.t_open, close=nan))
        dirty.on_bar(bar)
        dirty.on_bar(bar)
        dirty.on_bar(make_bar(t_open=bar.t_open + MINUTE, high=float("inf")))

    assert dirty.snapshot() == clean.snapshot()


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_restored_strategy_answers_the_same(name: str) -> None:
    closes = [100.0 + 8.0 * sin(n / 3) + sin(1.7 * n) for n in range(90)]
    bars = bars_of(closes, wick=0.5)
    kept = MAKERS[name](SMALL[name] | {"every": 2})
    for n, bar in enumerate(bars):
        if n % 7 == 0:
            other = MAKERS[name](SMALL[name] | {"every": 2})
            other.restore(kept.snapshot())
            kept = other
        kept.on_bar(bar)
    plain = fed(name, bars, every=2)

    assert kept.snapshot() == plain.snapshot()
    assert kept.entry("BTC/USDT", bars[-1], ()) == plain.entry("BTC/USDT", bars[-1], ())


@pytest.mark.parametrize(
    ("make", "params", "text"),
    [
        (strategies.trend.make, {"fsat": 3}, "did you mean 'fast'"),
        (strategies.trend.make, {"fast": 50, "slow": 20}, "fast must be below slow"),
        (strategies.trend.make, {"stop_atr": -1.0}, "> 0"),
        (strategies.reversion.make, {"low": 60.0}, "< 50"),
        (strategies.breakout.make, {"channel": 1}, ">= 2"),
    ],
)
def test_impossible_parameters_are_refused(make: SourceFactory, params: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        make(params)


def test_opinions_are_heard_in_any_order_alike() -> None:
    a = make_opinion(oid=b"a", agent="a", direction=0.5, conf=0.5, regime="range")
    b = make_opinion(oid=b"b", agent="b", direction=-1.0, conf=0.25, regime="quiet")

    assert hear((a, b)) == hear((b, a))
    assert hear((a, b)).direction == pytest.approx(0.0)
    assert hear((a, b)).regime == "range"
    assert hear(()).direction == 0.0


@pytest.mark.parametrize("risk", [0.0, -1.0, nan, 100.0])
def test_bet_without_a_possible_stop_is_no_setup(risk: float) -> None:
    found: Callable[[float], Answer] = lambda r: bet(1, 100.0, r, 5.0, 0.1, hear(()), 1, "x")  # noqa: E731

    assert isinstance(found(risk), Pass)
    assert isinstance(found(5.0), Entry)


def test_short_bet_has_its_stop_above() -> None:
    found = bet(-1, 100.0, 2.0, 4.0, 0.1, hear(()), 1, "x")

    assert isinstance(found, Entry)
    assert (found.stop, found.take) == (102.0, 96.0)


@pytest.mark.parametrize(
    ("name", "closes", "code"),
    [
        ("trend", SETUPS["trend"], "trend_end"),
        ("breakout", SETUPS["breakout"], "channel_exit"),
        ("reversion", [100.0 - n for n in range(10)], "mean_reached"),
    ],
)
def test_short_is_left_where_a_long_is_kept(name: str, closes: list[float], code: str) -> None:
    bars = bars_of(closes, wick=0.5)
    source = fed(name, bars)
    opened = bars[-1].t_open

    short = source.exit("BTC/USDT", bars[-1], Held(direction=-1, entry_px=100.0, opened=opened), ())
    long = source.exit("BTC/USDT", bars[-1], Held(direction=1, entry_px=100.0, opened=opened), ())

    assert isinstance(short, Leave)
    assert short.code == code
    assert isinstance(long, Stay)
