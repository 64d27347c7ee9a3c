"""Messages and instruments for tests: one plausible default each, every field open to a keyword.

Texts stand for amounts: ``make_fill(qty="0.5")``. A default may not be relied upon: a
test names what it is about.
"""

from decimal import Decimal
from typing import TypeVar

import msgspec

from parley.instruments import Instrument, assets_of
from parley.messages import (
    Bar,
    Book,
    Cash,
    Decision,
    Fill,
    Leg,
    Opinion,
    Proposal,
    StateView,
    Vote,
)

T = TypeVar("T", bound=msgspec.Struct)
T0 = 1_767_225_600_000_000_000  # 2026-01-01 00:00 UTC
MINUTE = 60_000_000_000

_FILL = Fill(
    trade_id="t1",
    venue="sandbox",
    account="main",
    iid=b"i" * 16,
    venue_id="v1",
    symbol="BTC/USDT",
    side="buy",
    qty=Decimal("0.1"),
    px=Decimal(60_000),
    fee=Decimal(0),
    fee_asset="USDT",
    liquidity="taker",
    t=T0,
)
_LEG = Leg(symbol="BTC/USDT", side="buy", qty=Decimal("0.1"))
_PROPOSAL = Proposal(
    pid=b"p" * 16,
    agent="strategy/ema",
    agent_version="1",
    symbol="BTC/USDT",
    legs=(_LEG,),
    edge_bps=20.0,
    conf=0.6,
    horizon_ms=3_600_000,
    stop=None,
    take=None,
    max_slippage_bps=10.0,
    ttl_ns=MINUTE,
    why="test",
)
_BAR = Bar(
    symbol="BTC/USDT",
    tf_ns=MINUTE,
    t_open=T0,
    open=60_000.0,
    high=60_100.0,
    low=59_900.0,
    close=60_050.0,
    volume=3.0,
)
_BOOK = Book(
    symbol="BTC/USDT",
    t=T0,
    seq=1,
    bids=((59_999.0, 1.0), (59_998.0, 2.0)),
    asks=((60_001.0, 1.0), (60_002.0, 2.0)),
)
_STATE = StateView(
    account="main",
    state_version=1,
    t=T0,
    quote="USDT",
    equity=Decimal(10_000),
    peak=Decimal(10_000),
    day_open=Decimal(10_000),
    trading="ACTIVE",
    cash=(Cash(asset="USDT", total=Decimal(10_000), reserved=Decimal(0)),),
)
_OPINION = Opinion(
    oid=b"o" * 16,
    agent="signal/trend",
    symbol="BTC/USDT",
    direction=0.8,
    conf=0.5,
    horizon_ms=3_600_000,
    valid_from=T0,
    valid_to=T0 + 5 * MINUTE,
    model_version="1",
    why="test",
)
_DECISION = Decision(
    round=b"r" * 16,
    symbol="BTC/USDT",
    pid=b"p" * 16,
    agent="strategy/ema",
    action="accept",
    qty=Decimal("0.1"),
    px=None,
    score=0.5,
    margin_of_win=0.1,
    weights_version=1,
    quorum=1.0,
    reasons=(),
)
_VOTE = Vote(pid=b"p" * 16, agent="signal/trend", score=0.8, conf=0.5)


def make_fill(**over: object) -> Fill:
    """A market buy of 0.1 BTC at 60,000 USDT without a fee."""
    return _replaced(_FILL, over)


def make_leg(**over: object) -> Leg:
    """A market buy of 0.1 BTC/USDT."""
    return _replaced(_LEG, over)


def make_proposal(**over: object) -> Proposal:
    """A proposal of one `make_leg`."""
    return _replaced(_PROPOSAL, over)


def make_bar(**over: object) -> Bar:
    """A one-minute candle of BTC/USDT."""
    return _replaced(_BAR, over)


def make_book(**over: object) -> Book:
    """A book of BTC/USDT two levels deep around 60,000."""
    return _replaced(_BOOK, over)


def make_state(**over: object) -> StateView:
    """An account of 10,000 USDT that holds nothing else."""
    return _replaced(_STATE, over)


def make_opinion(**over: object) -> Opinion:
    """A bullish opinion on BTC/USDT, valid for five minutes."""
    return _replaced(_OPINION, over)


def make_decision(**over: object) -> Decision:
    """The acceptance of `make_proposal`."""
    return _replaced(_DECISION, over)


def make_vote(**over: object) -> Vote:
    """A vote for `make_proposal`."""
    return _replaced(_VOTE, over)


def make_instrument(symbol: str = "BTC/USDT", **over: object) -> Instrument:
    """A pair with a tick of 0.01, a lot of 0.00001 and fees of 0.1 %."""
    base, quote = assets_of(symbol)
    plain = Instrument(
        symbol=symbol, venue="sandbox", base=base, quote=quote, tick=Decimal("0.01"), lot=Decimal("0.00001"),
        min_qty=Decimal("0.00001"), max_qty=Decimal(9_000), min_notional=Decimal(5),
        maker_fee=Decimal("0.001"), taker_fee=Decimal("0.001"),
    )  # fmt: skip
    return _replaced(plain, over)


def _replaced(plain: T, over: dict[str, object]) -> T:
    amounts = {f.name for f in msgspec.structs.fields(plain) if f.type in (Decimal, Decimal | None)}
    given = {k: Decimal(v) if k in amounts and isinstance(v, str | int) else v for k, v in over.items()}
    return msgspec.structs.replace(plain, **given)
