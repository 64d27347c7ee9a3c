"""The JSON texts of Binance's market streams.

They are written with format strings: in lock-step some thirty of them go out for each step, and
an encoder over dictionaries costs several times as much. Symbols are alphanumeric and numbers are
our own, so nothing needs escaping. `E` is wall time, `t` and `T` are market time.
"""

from __future__ import annotations

from venues.sandbox.bars import Bar
from venues.sandbox.matching import PublicTrade
from venues.sandbox.units import MONEY_ONE, ONE, money_text, text8

_FLAG = {True: "true", False: "false"}


def trade(symbol: str, done: PublicTrade, wall: int) -> str:
    """<symbol>@trade"""
    trade_id, price, qty, buyer_is_maker, t = done
    return (
        f'{{"e":"trade","E":{wall},"s":"{symbol}","t":{trade_id},"p":"{text8(price)}","q":"{text8(qty)}",'
        f'"T":{t},"m":{_FLAG[buyer_is_maker]},"M":true}}'
    )


def agg_trade(symbol: str, done: PublicTrade, wall: int) -> str:
    """<symbol>@aggTrade; each trade is its own aggregate here"""
    trade_id, price, qty, buyer_is_maker, t = done
    return (
        f'{{"e":"aggTrade","E":{wall},"s":"{symbol}","a":{trade_id},"p":"{text8(price)}","q":"{text8(qty)}",'
        f'"f":{trade_id},"l":{trade_id},"T":{t},"m":{_FLAG[buyer_is_maker]},"M":true}}'
    )


def levels(side: list[tuple[int, int]]) -> str:
    """Price levels as a JSON list; written out, because these are most of all numbers sent."""
    return (
        "["
        + ",".join(
            [f'["{price // ONE}.{price % ONE:08d}","{qty // ONE}.{qty % ONE:08d}"]' for price, qty in side]
        )
        + "]"
    )


def depth_update(
    symbol: str, changes: tuple[int, int, list[tuple[int, int]], list[tuple[int, int]]], wall: int
) -> str:
    """<symbol>@depth"""
    first, last, bids, asks = changes
    return (
        f'{{"e":"depthUpdate","E":{wall},"s":"{symbol}","U":{first},"u":{last},'
        f'"b":{levels(bids)},"a":{levels(asks)}}}'
    )


def partial_depth(update_id: int, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> str:
    """<symbol>@depth5, 10 or 20, and the body of GET /api/v3/depth"""
    return f'{{"lastUpdateId":{update_id},"bids":{levels(bids)},"asks":{levels(asks)}}}'


def kline(symbol: str, interval: str, bar: Bar, closed: bool, wall: int) -> str:
    """<symbol>@kline_<interval>"""
    return (
        f'{{"e":"kline","E":{wall},"s":"{symbol}","k":{{"t":{bar.open_ms},"T":{bar.close_ms},"s":"{symbol}",'
        f'"i":"{interval}","f":{bar.first_id},"L":{bar.last_id},"o":"{text8(bar.open)}","c":"{text8(bar.close)}",'
        f'"h":"{text8(bar.high)}","l":"{text8(bar.low)}","v":"{text8(bar.volume)}","n":{bar.trades},'
        f'"x":{_FLAG[closed]},"q":"{money_text(bar.quote)}","V":"{text8(bar.taker_volume)}",'
        f'"Q":"{money_text(bar.taker_quote)}","B":"0"}}}}'
    )


def book_ticker(symbol: str, update_id: int, bid: tuple[int, int], ask: tuple[int, int]) -> str:
    """<symbol>@bookTicker, which has no event name"""
    return (
        f'{{"u":{update_id},"s":"{symbol}","b":"{text8(bid[0])}","B":"{text8(bid[1])}",'
        f'"a":"{text8(ask[0])}","A":"{text8(ask[1])}"}}'
    )


Day = tuple[Bar, Bar, int, int, int, int, int]


def mini_ticker(symbol: str, day: Day, last: int, wall: int) -> str:
    """<symbol>@miniTicker"""
    oldest, _, high, low, volume, quote, _ = day
    return (
        f'{{"e":"24hrMiniTicker","E":{wall},"s":"{symbol}","c":"{text8(last)}","o":"{text8(oldest.open)}",'
        f'"h":"{text8(high)}","l":"{text8(low)}","v":"{text8(volume)}","q":"{money_text(quote)}"}}'
    )


def ticker(symbol: str, day: Day, last: int, bid: tuple[int, int], ask: tuple[int, int], wall: int) -> str:
    """<symbol>@ticker"""
    oldest, newest, high, low, volume, quote, count = day
    change = last - oldest.open
    average = quote // volume if volume else 0
    return (
        f'{{"e":"24hrTicker","E":{wall},"s":"{symbol}","p":"{text8(change)}",'
        f'"P":"{percent(change, oldest.open)}","w":"{text8(average)}","x":"{text8(oldest.open)}",'
        f'"c":"{text8(last)}","Q":"{text8(0)}","b":"{text8(bid[0])}","B":"{text8(bid[1])}",'
        f'"a":"{text8(ask[0])}","A":"{text8(ask[1])}","o":"{text8(oldest.open)}","h":"{text8(high)}",'
        f'"l":"{text8(low)}","v":"{text8(volume)}","q":"{money_text(quote)}","O":{oldest.open_ms},'
        f'"C":{newest.close_ms},"F":{oldest.first_id},"L":{newest.last_id},"n":{count}}}'
    )


def percent(change: int, base: int) -> str:
    """A change in per cent with three decimals."""
    return f"{change * 100 / base:.3f}" if base else "0.000"


assert MONEY_ONE == ONE * ONE  # quote // volume above is a price only then
