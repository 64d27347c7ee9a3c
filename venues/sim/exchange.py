"""An exchange in memory: orders in, the venue's facts out, matched against one candle at a time.

Problem: a backtest must not let an order profit from what was not known when it was sent. So time has two
halves here: `open` lets candles begin, of which only the opening price is public; orders arrive; `course`
then tells which resting orders the candles reached. Who knows a candle's course may `move` the price in it.

What takes liquidity fills at once and completely at the opening price, moved by half the spread; what rests
fills completely at its own price once a candle reaches it (`parley.kernels.touch`). Fees are charged in the
quote currency on both sides. An account can spend what it has, and no more.

Not here: what a candle is made of (`backtest.history`), queue positions, partial fills, latency.

Invariant: base and quote amounts of the account change by fills only, and never below zero; every order is
answered once, and ends in exactly one of filled, canceled, expired or rejected.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Final, NamedTuple

from parley.instruments import Instrument
from parley.kernels.touch import is_touched
from parley.messages import Ack, CancelIntent, Fill, Intent, Message, OrderEvent, VenueReject
from parley.money import decimal, exact_product, exact_sum

ZERO: Final = Decimal(0)
BPS: Final = Decimal(10_000)
FEE_STEP: Final = Decimal("1e-8")


class Candle(NamedTuple):
    """One candle of a symbol; ``t_open`` market ns, prices in quote, volume in base."""

    t_open: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(slots=True)
class _Resting:
    order: Intent
    venue_id: str
    px: Decimal


class SimExchange:
    """One account at one venue; see the module."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        account: str,
        assets: Mapping[str, Decimal],
        spread_bps: Decimal = ZERO,
    ) -> None:
        self._instruments = instruments
        self._account = account
        self._assets = dict(assets)
        self._half = spread_bps / 2 / BPS
        self._now = 0
        self._candles: dict[str, Candle] = {}
        self._prices: dict[str, float] = {}
        self._resting: dict[bytes, _Resting] = {}
        self._seen: set[bytes] = set()
        self._orders = 0
        self._trades: dict[str, int] = {}

    @property
    def assets(self) -> Mapping[str, Decimal]:
        """What the account holds, resting orders included."""
        return self._assets

    def open(self, now: int, candles: Mapping[str, Candle]) -> None:
        """Let candles begin at market time `now` (ns); a symbol without one does not trade until the next."""
        self._now = now
        self._candles = dict(candles)
        self._prices = {symbol: candle.open for symbol, candle in candles.items()}

    def opening(self, symbol: str) -> float | None:
        """The opening price of the candle that runs."""
        candle = self._candles.get(symbol)
        return None if candle is None else candle.open

    def move(self, symbol: str, price: float) -> None:
        """Let the price be somewhere else inside the candle that runs; what takes now takes there.

        Raises
        ------
        ValueError
            When the candle does not reach that price.
        """
        candle = self._candles.get(symbol)
        if candle is None or not is_touched(price, candle.low, candle.high):
            raise ValueError(f"{symbol} is not at {price!r} in the candle {candle!r}")
        self._prices[symbol] = price

    def place(self, order: Intent) -> list[Message]:
        """Take an order; returns the venue's facts in the order they happened."""
        if order.iid in self._seen:
            return [_no(order, "duplicate", order.cid)]
        self._seen.add(order.iid)
        candle, instrument = self._candles.get(order.symbol), self._instruments.get(order.symbol)
        if candle is None or instrument is None:
            return [_no(order, "no_market", order.symbol)]
        if order.trigger is not None:
            return [_no(order, "no_stops", "a backtest's venue holds no stops")]
        price = self._price(order.side, self._prices[order.symbol], instrument)
        if code := instrument.tradable(order.qty, order.px if order.px is not None else price):
            return [_no(order, code, f"{order.qty}@{order.px or price}")]
        crosses = order.px is None or (price <= order.px if order.side == "buy" else price >= order.px)
        if order.style == "post_only" and crosses:
            return [_no(order, "would_take", f"{order.px} at {price}")]
        takes = crosses
        if (takes or order.tif == "GTC") and not self._affords(order, price if takes else order.px, takes):
            return [_no(order, "insufficient_balance", f"{order.qty}@{order.px or price}")]
        self._orders += 1
        venue_id = str(self._orders)
        facts: list[Message] = [Ack(iid=order.iid, venue_id=venue_id, t_venue=self._now)]
        if takes:
            facts += self._fill(order, venue_id, price, "taker", self._now)
        elif order.tif == "GTC" and order.px is not None:
            self._resting[order.iid] = _Resting(order, venue_id, order.px)
        else:
            facts.append(self._event(order, venue_id, "expired", ZERO, ZERO, self._now))
        return facts

    def cancel(self, request: CancelIntent) -> list[Message]:
        """Cancel a resting order; one that does not rest is refused, definitively."""
        resting = self._resting.pop(request.iid, None)
        if resting is None:
            return [
                VenueReject(iid=request.iid, code="unknown_order", definitive=True, detail="", cancel=True)
            ]
        order = resting.order
        return [
            Ack(iid=order.iid, venue_id=resting.venue_id, t_venue=self._now, cancel=True),
            self._event(order, resting.venue_id, "canceled", ZERO, ZERO, self._now),
        ]

    def expire(self, pid: bytes) -> list[Message]:
        """End what rests of a proposal's orders."""
        facts: list[Message] = []
        for iid, resting in list(self._resting.items()):
            if pid and resting.order.pid == pid:
                del self._resting[iid]
                facts.append(self._event(resting.order, resting.venue_id, "expired", ZERO, ZERO, self._now))
        return facts

    def course(self) -> list[Message]:
        """Let the candles run: the facts of every resting order that they reached, oldest order first."""
        facts: list[Message] = []
        for iid, resting in list(self._resting.items()):
            order = resting.order
            candle = self._candles.get(order.symbol)
            if candle is None or not is_touched(float(resting.px), candle.low, candle.high):
                continue
            del self._resting[iid]
            if self._affords(order, resting.px, is_taker=False):
                facts += self._fill(order, resting.venue_id, resting.px, "maker", self._now)
            else:  # what it was to be paid with went elsewhere meanwhile
                facts.append(self._event(order, resting.venue_id, "canceled", ZERO, ZERO, self._now))
        return facts

    def _price(self, side: str, opening: float, instrument: Instrument) -> Decimal:
        price = decimal(opening)
        if not self._half:
            return price
        moved = price * (1 + self._half if side == "buy" else 1 - self._half)
        return instrument.crossing_price(moved, side)

    def _fee(self, order: Intent, quote: Decimal, is_taker: bool) -> Decimal:
        instrument = self._instruments[order.symbol]
        rate = instrument.taker_fee if is_taker else instrument.maker_fee
        return exact_product(quote, rate).quantize(FEE_STEP, ROUND_CEILING)

    def _affords(self, order: Intent, price: Decimal | None, is_taker: bool) -> bool:
        if price is None:
            return False
        instrument = self._instruments[order.symbol]
        if order.side == "sell":
            return self._assets.get(instrument.base, ZERO) >= order.qty
        quote = exact_product(order.qty, price)
        return self._assets.get(instrument.quote, ZERO) >= quote + self._fee(order, quote, is_taker)

    def _fill(self, order: Intent, venue_id: str, price: Decimal, liquidity: str, t: int) -> list[Message]:
        instrument = self._instruments[order.symbol]
        quote = exact_product(order.qty, price)
        fee = self._fee(order, quote, liquidity == "taker")
        buys = order.side == "buy"
        self._book(instrument.base, order.qty if buys else order.qty.copy_negate())
        self._book(instrument.quote, quote.copy_negate() if buys else quote)
        self._book(instrument.quote, fee.copy_negate())
        number = self._trades[order.symbol] = self._trades.get(order.symbol, 0) + 1
        fill = Fill(
            trade_id=str(number), venue=order.venue, account=self._account, iid=order.iid, venue_id=venue_id,
            symbol=order.symbol, side=order.side, qty=order.qty, px=price, fee=fee,
            fee_asset=instrument.quote, liquidity=liquidity, t=t,
        )  # fmt: skip
        return [fill, self._event(order, venue_id, "closed", order.qty, price, t)]

    def _book(self, asset: str, amount: Decimal) -> None:
        self._assets[asset] = exact_sum(self._assets.get(asset, ZERO), amount)

    def _event(
        self, order: Intent, venue_id: str, status: str, filled: Decimal, price: Decimal, t: int
    ) -> OrderEvent:
        return OrderEvent(
            iid=order.iid, venue_id=venue_id, symbol=order.symbol, status=status, cum_qty=filled,
            avg_px=price, t=t,
        )  # fmt: skip


def _no(order: Intent, code: str, detail: str) -> VenueReject:
    return VenueReject(iid=order.iid, code=code, definitive=True, detail=detail)
