"""What is kept of a symbol: every bar counts once, candles reach their own track."""

import msgspec

from parley.indicators import Resampler
from parley.messages import Bar
from strategies.tracks import Tracks

MINUTE = 60_000_000_000


class Kept(msgspec.Struct):
    frame: Resampler
    seen: int = 0
    age: int = 0


def bar(n: int, symbol: str = "BTC/USDT", high: float = 2.0) -> Bar:
    return Bar(
        symbol=symbol, t_open=n * MINUTE, tf_ns=MINUTE, open=1.0, high=high, low=1.0, close=1.0, volume=1.0
    )


def made() -> Tracks[Kept]:
    return Tracks(lambda: Kept(Resampler(3)), Kept)


def test_every_bar_counts_in_seen_and_age_and_every_third_makes_a_candle() -> None:
    tracks = made()
    candles = [[candle for _, candle in tracks.push(bar(n))] for n in range(7)]

    assert [len(found) for found in candles] == [0, 0, 1, 0, 0, 1, 0]
    track = tracks.get("BTC/USDT")
    assert track is not None
    assert (track.seen, track.age) == (7, 7)


def test_repeated_older_and_unusable_bars_change_nothing() -> None:
    tracks = made()
    for each in (bar(1), bar(1), bar(0), bar(2, high=0.5)):
        list(tracks.push(each))

    track = tracks.get("BTC/USDT")
    assert track is not None
    assert (track.seen, track.age, track.frame.last) == (1, 1, MINUTE)


def test_symbols_are_apart_and_come_back_from_a_snapshot() -> None:
    tracks = made()
    for n in range(2):
        list(tracks.push(bar(n)))
    list(tracks.push(bar(0, "ETH/USDT")))
    again = made()
    again.restore(tracks.snapshot())

    assert again.get("SOL/USDT") is None
    assert [len(list(each.push(bar(2)))) for each in (tracks, again)] == [1, 1]
    assert again.snapshot() == tracks.snapshot()
    eth = again.get("ETH/USDT")
    assert eth is not None
    assert eth.seen == 1
