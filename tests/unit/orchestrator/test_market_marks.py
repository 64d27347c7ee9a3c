"""The desk keeps the newest mark of a contract, and takes no old book for a young one because marks came."""

from __future__ import annotations

from orchestrator.market import Market
from parley.messages import Mark, MarketBatch
from tests.kit.builders import MINUTE, T0, make_book

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
SECOND = 10**9


def mark(symbol: str, px: float) -> Mark:
    return Mark(symbol=symbol, t=T0, px=px, rate=0.0001, next_funding=T0 + MINUTE)


def test_the_newest_mark_of_each_contract_is_kept() -> None:
    market = Market(MINUTE)
    market.see(MarketBatch(step=1, t=T0, marks=(mark(BTC, 1.0), mark(ETH, 2.0))), 1)
    market.see(MarketBatch(step=2, t=T0, marks=(mark(BTC, 3.0),)), 2)
    assert market.marks == {BTC: mark(BTC, 3.0), ETH: mark(ETH, 2.0)}
    assert market.step == 2


def test_marks_alone_make_no_book_younger() -> None:
    market = Market(MINUTE)
    market.see(MarketBatch(step=1, t=T0, marks=(mark(BTC, 1.0),)), SECOND)
    assert market.age_ms(SECOND) is None
    market.see(MarketBatch(step=2, t=T0, books=(make_book(),), marks=(mark(BTC, 1.0),)), 2 * SECOND)
    market.see(MarketBatch(step=3, t=T0, marks=(mark(BTC, 2.0),)), 9 * SECOND)
    assert market.age_ms(9 * SECOND) == 7000.0
    market.see(MarketBatch(step=4, t=T0), 10 * SECOND)  # a step in which nothing happened
    assert market.age_ms(10 * SECOND) == 0.0
