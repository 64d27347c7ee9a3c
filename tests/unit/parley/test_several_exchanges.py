"""Names and money of an account that lies at several exchanges: other assets, one currency."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.pooled import pooled
from parley.instruments import (
    Instrument,
    assets_of,
    at,
    coin_of,
    exchange_of,
    is_contract,
    plain,
    symbol_of,
)
from parley.ledger import Ledger
from parley.messages import Cash, Fill, Holding, Position, StateView
from parley.risk.exposure import Prices, exposure
from parley.view import FirmView
from tests.kit.builders import make_instrument, make_state

D = Decimal
HOME, AWAY = "BTC/USDT", "BTC/USDT@bybit"
names = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=6)
exchanges = st.sampled_from(["", "bybit", "okx", "kraken"])


@given(base=names, quote=names, exchange=exchanges, settled=st.booleans())
def test_a_symbol_is_made_of_what_it_splits_into(base: str, quote: str, exchange: str, settled: bool) -> None:
    symbol = at(f"{base}/{quote}:{quote}" if settled else f"{base}/{quote}", exchange)
    bought, paid = assets_of(symbol)
    assert symbol_of(bought, paid) == symbol_of(bought, plain(paid)) == symbol
    assert exchange_of(symbol) == exchange_of(bought) == exchange_of(paid) == exchange
    assert plain(paid) == quote
    assert plain(symbol) == symbol.partition("@")[0]
    assert is_contract(bought) == settled
    assert coin_of(symbol) == coin_of(plain(symbol)) == plain(bought)


def listed(symbol: str) -> Instrument:
    base, quote = assets_of(symbol)
    return replace(make_instrument(), symbol=symbol, base=base, quote=quote, lot=D("0.001"))


def ledger() -> Ledger:
    return Ledger("main", "USDT", {symbol: listed(symbol) for symbol in (HOME, AWAY)})


def fill(symbol: str, side: str, qty: str, px: str, number: int, fee: str = "0") -> Fill:
    return Fill(
        trade_id=str(number), venue=exchange_of(symbol) or "binance", account="main", iid=b"i", venue_id="v",
        symbol=symbol, side=side, qty=D(qty), px=D(px), fee=D(fee), fee_asset=assets_of(symbol)[1],
        liquidity="taker", t=number,
    )  # fmt: skip


def test_money_at_every_exchange_is_cash_and_each_purse_pays_for_itself() -> None:
    books = ledger()
    books.open((("USDT", D(1000)), ("USDT@bybit", D(500))), 0)
    assert books.equity() == books.opening == D(1500)
    books.apply(fill(AWAY, "buy", "2", "100", 1, fee="1"), agent="a", pid=b"p", round=b"r")
    assert (books.cash("USDT"), books.cash("USDT@bybit"), books.cash("BTC@bybit")) == (D(1000), D(299), D(2))
    assert books.equity() == D(1499)
    assert books.realised == D(-1)
    books.apply(fill(HOME, "buy", "1", "110", 2), agent="a", pid=b"p", round=b"r")
    books.mark(HOME, D(120), 3)
    books.mark(AWAY, D(119), 3)
    assert books.equity() == D(890) + D(299) + D(120) + D(2) * D(119)
    assert {h.symbol: h.qty for h in books.holdings()} == {HOME: D(1), AWAY: D(2)}
    assert books.results()["a"] == books.equity() - D(1500)


steps = st.lists(
    st.tuples(
        st.sampled_from([HOME, AWAY]), st.sampled_from(["buy", "sell"]), st.integers(1, 50),
        st.integers(50, 150), st.integers(0, 5), st.sampled_from("abc"),
    ),
    max_size=25,
)  # fmt: skip


@given(steps=steps)
def test_what_opens_and_what_is_earned_is_always_what_is_there(
    steps: list[tuple[str, str, int, int, int, str]],
) -> None:
    books = ledger()
    books.open((("USDT", D(10_000)), ("USDT@bybit", D(10_000))), 0)
    purses = {"USDT": D(10_000), "USDT@bybit": D(10_000), "BTC": D(0), "BTC@bybit": D(0)}
    for number, (symbol, side, qty, px, fee, agent) in enumerate(steps, 1):
        one = fill(symbol, side, str(qty), str(px), number, str(fee))
        books.apply(one, agent=agent, pid=b"p", round=b"r")
        books.mark(symbol, one.px, number)
        base, quote = assets_of(symbol)
        sign = 1 if side == "buy" else -1
        purses[base] += sign * one.qty
        purses[quote] -= sign * one.qty * one.px + one.fee
        worth = sum((purses[a] * books.marks.get(a, D(0)) for a in ("BTC", "BTC@bybit")), D(0))
        assert {asset: books.cash(asset) for asset in purses} == purses
        assert books.equity() == purses["USDT"] + purses["USDT@bybit"] + worth
        assert books.equity() == books.opening + books.realised + books.unrealised()
        assert sum(books.results().values(), D(0)) == books.equity() - D(20_000)
    again = ledger()
    again.restore(books.snapshot())
    assert again.snapshot() == books.snapshot()
    assert again.equity() == books.equity()


def state(*parts: tuple[str, str, str]) -> StateView:
    """Give an account that holds (symbol, quantity, mark) for one agent, 1,000 in each of two purses."""
    positions = tuple(
        Position(symbol=s, qty=D(q), avg_px=D(m), realised=D(1), unrealised=D(2), mark=D(m))
        for s, q, m in parts
    )
    holdings = tuple(
        Holding(agent="a", symbol=s, qty=D(q), avg_px=D(m), opened=n, round=b"", pid=b"")
        for n, (s, q, m) in enumerate(parts, 5)
    )
    cash = (
        Cash(asset="USDT", total=D(1000), reserved=D(1)),
        Cash(asset="USDT@bybit", total=D(1000), reserved=D(2)),
    )
    return replace(
        make_state(), cash=cash, positions=positions, holdings=holdings, reservations=(), orders=(),
        equity=D(3000), blocked=(AWAY,),
    )  # fmt: skip


def test_agents_are_told_sums() -> None:
    told = pooled(state((AWAY, "3", "100"), (HOME, "1", "104")), {s: listed(s) for s in (HOME, AWAY)})
    assert told.cash == (Cash(asset="USDT", total=D(2000), reserved=D(3)),)
    (position,), (holding,) = told.positions, told.holdings
    assert (position.symbol, position.qty, position.mark, position.realised) == (HOME, D(4), D(101), D(2))
    assert (holding.symbol, holding.qty, holding.avg_px, holding.opened) == (HOME, D(4), D(101), 5)
    assert told.blocked == (HOME,)


@pytest.mark.parametrize("split", [(("BTC/USDT", "4", "100"),), ((HOME, "1", "100"), (AWAY, "3", "100"))])
def test_limits_see_a_coin_once_however_it_is_divided(split: tuple[tuple[str, str, str], ...]) -> None:
    view = FirmView(state(*split))
    found = exposure(view, Prices(view, {}))
    assert found.by_asset == {"BTC": D(400)}
    assert found.gross == found.net == D(400)
    assert view.money == D(1997)
