"""The last look: may this order leave the house? Pure, with counters and limits of its own.

Problem: desk and gate may be wrong, restarted or doubled. The gateway therefore checks every intent once
more against limits from its own file, which no desk can raise, and against what it itself has sent. With real
money an order that opens costs no more than was counted even if every price that the desk names is a lie: its
limit bounds it, and for contracts the venue's own mark (`lastlook_marks`).

Not here: durability and sending (`gateway`); anything a strategy could ask for.

Invariant: `refusal` changes nothing and is total: what it cannot judge (no limit for the quote asset, no
reference price, a number that is none) it refuses. Counters are folds over what was sent and what came back,
kept by asset because a cycle's legs net there and nowhere else, and only ever err towards more exposure: an
order of unknown fate counts in full, and what it would bring never makes up for what another would take.
"""

from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from parley.execution.protective import STOP_LIMIT, is_reached
from parley.instruments import AT, ZERO, Instrument, assets_of, is_contract, plain
from parley.messages import CancelIntent, Fill, FundingPaid, Intent, OrderEvent
from runtime.lastlook_contracts import Contracts, Resting, only_reduces, too_much
from runtime.lastlook_marks import bps_beyond, off_mark
from venues.capabilities import Capabilities, wrong_cid

_SECOND_NS: Final = 1_000_000_000
_DIGITS: Final = 12
_BEYOND: Final = 30  # digits no amount of any asset has, and far from where decimal arithmetic raises
_UNKNOWN: Final = Decimal("NaN")  # a sum it is part of is unknown as well, and refused for good
_INFINITE: Final = Decimal("Infinity")
_ENDED: Final = frozenset({"closed", "canceled", "expired", "rejected"})
STYLES: Final = frozenset({"market", "limit", "post_only", STOP_LIMIT})
TIFS: Final = frozenset({"GTC", "IOC", "FOK"})

DUPLICATE: Final = "duplicate_cid"
HALTED: Final = "halted"


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The gateway's own caps; amounts by quote asset, in that asset, as decimal texts.

    ``max_notional`` of one order, ``max_position`` of what may be held or owed of one asset with all open
    orders filled, at one exchange and of its coin at all of them, ``max_orders_per_s`` in any second,
    ``collar_bps`` how far a limit price may be beyond ``ref_px``, that of a stop beyond its trigger.

    An order's base asset is measured in its quote asset at the order's price, its quote asset in itself.
    ``cash`` names the assets the account pays with: what is left of them is money and no position.
    ``capital`` by quote asset is what of the account is the desk's, with real money: all its buys together
    spend no more, with their fees, and it sells nothing that it did not buy. Contracts, which it may owe,
    together need no more margin (`lastlook_contracts`). What opens then names the worst price it may trade
    at; of a contract it is no further beyond the venue's mark than ``collar_bps`` and ``mark_bps``, which is
    what the market may have moved since the venue said that.
    """

    max_notional: dict[str, Decimal]
    max_position: dict[str, Decimal]
    cash: tuple[str, ...] = ()
    capital: dict[str, Decimal] = {}
    max_orders_per_s: int = 20
    collar_bps: int = 200
    mark_bps: int = 300


class _Open(msgspec.Struct, kw_only=True):
    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    left: Decimal
    intent: Intent
    end: Decimal | None = None  # what it had filled when it ended, once that is known


class Counters:
    """What this gateway sent and what became of it.

    ``positions`` by asset are sums of its own fills, and of what was paid for holding contracts: what the
    account held before is nobody's risk here. ``contracts`` are what of it is held or owed of contracts,
    ``traded`` by symbol the price of its last fill.
    """

    def __init__(self) -> None:
        self.contracts = Contracts()
        self.epoch = 0
        self.cids: set[str] = set()
        self.iids: set[bytes] = set()
        self.positions: dict[str, Decimal] = {}
        self.traded: dict[str, Decimal] = {}
        self._open: dict[bytes, _Open] = {}
        self._coming: dict[str, Decimal] = {}
        self._going: dict[str, Decimal] = {}
        self._sent_ns: deque[int] = deque()
        self._trades: set[tuple[str, str]] = set()
        self._payments: set[str] = set()

    def heard(self, epoch: int) -> None:
        """Note the epoch a desk speaks under."""
        self.epoch = max(self.epoch, epoch)

    def sent(self, intent: Intent, now_mono: int) -> None:
        """Count an order that is about to be sent."""
        self.cids.add(intent.cid)
        self.iids.add(intent.iid)
        self.heard(intent.epoch)
        self._sent_ns.append(now_mono)
        while self._sent_ns and self._sent_ns[0] <= now_mono - _SECOND_NS:
            self._sent_ns.popleft()
        order = _Open(
            symbol=intent.symbol,
            side=intent.side,
            price=price_of(intent),
            qty=intent.qty,
            left=intent.qty,
            intent=intent,
        )
        self._open[intent.iid] = order
        self._add_working(order, order.qty)

    def dead(self, iid: bytes) -> None:
        """Free what an order still could have filled, because it cannot exist any more."""
        if (order := self._open.pop(iid, None)) is not None:
            self._add_working(order, -order.left)

    def filled(self, fill: Fill) -> bool:
        """Move a fill from working to position; False when this trade was counted before."""
        key = (fill.symbol, fill.trade_id)
        if key in self._trades:
            return False
        self._trades.add(key)
        base, quote = assets_of(fill.symbol)
        qty, px = _sound(fill.qty), _sound(fill.px)
        signed = qty if fill.side == "buy" else -qty
        self.traded[fill.symbol] = px
        _add(self.positions, base, signed)
        _add(self.positions, quote, -signed * px)
        if is_contract(base):
            self.contracts.filled(base, signed, px)
        if fill.fee_asset:
            _add(self.positions, fill.fee_asset, -_sound(fill.fee))
        if (order := self._open.get(fill.iid)) is not None and qty.is_finite():
            used = min(qty, order.left)
            order.left -= used
            self._add_working(order, -used)
            self._free_if_over(fill.iid, order)
        return True

    def paid(self, payment: FundingPaid) -> None:
        """Count what the venue paid or took for holding a contract, once by its number."""
        if not payment.prior and payment.ref not in self._payments:
            self._payments.add(payment.ref)
            _add(self.positions, payment.asset, _sound(payment.amount))

    def moved(self, event: OrderEvent) -> None:
        """Follow an order's state; one that ended with all its fills counted can fill no more."""
        order = self._open.get(event.iid)
        if order is not None and event.status in _ENDED and event.cum_qty.is_finite():
            order.end = event.cum_qty
            self._free_if_over(event.iid, order)

    def is_working(self, iid: bytes) -> bool:
        """Whether an order may still trade, as far as is known."""
        return iid in self._open

    def working(self) -> list[Intent]:
        """All orders that may still trade, as far as is known, the oldest first."""
        return [order.intent for order in self._open.values()]

    def resting(self) -> list[Resting]:
        """What orders of contracts may still fill."""
        named = [(assets_of(each.symbol)[0], each) for each in self._open.values()]
        return [
            Resting(asset, each.side, each.left, each.price) for asset, each in named if is_contract(asset)
        ]

    def fees(self, quote: str, instruments: Mapping[str, Instrument]) -> Decimal:
        """What buys of a quote's spot pairs may still have to pay in fees; unknown where a fee is."""
        fees = ZERO
        for each in self._open.values():
            base, pays = assets_of(each.symbol)
            if each.side == "buy" and pays == quote and not is_contract(base):
                fees += each.left * each.price * fee_of(instruments.get(each.symbol))
        return fees

    def in_last_second(self, now_mono: int) -> int:
        """Number of orders sent within the second before `now_mono`."""
        return sum(1 for each in self._sent_ns if each > now_mono - _SECOND_NS)

    def worst(self, asset: str, side: str) -> Decimal:
        """Position if all open orders filled that move it to one side ("buy": up), and none of the others."""
        held = self.positions.get(asset, ZERO)
        return held + self._coming.get(asset, ZERO) if side == "buy" else held - self._going.get(asset, ZERO)

    def worst_of_coin(self, asset: str, side: str) -> Decimal:
        """As `worst`, of an asset's coin at all exchanges together."""
        coin = plain(asset)
        away = coin + AT
        known = (each for sums in (self.positions, self._coming, self._going) for each in sums)
        lies = {each for each in known if each == coin or each.startswith(away)}
        return sum((self.worst(each, side) for each in sorted(lies)), ZERO)

    def _free_if_over(self, iid: bytes, order: _Open) -> None:
        # The end may be heard before the last fill: it frees an order when both are known.
        if order.end is not None and order.end <= order.qty - order.left:
            self.dead(iid)

    def _add_working(self, order: _Open, qty: Decimal) -> None:
        base, quote = assets_of(order.symbol)
        coming, going = (base, quote) if order.side == "buy" else (quote, base)
        paid = qty * order.price
        _add(self._coming, coming, qty if coming == base else paid)
        _add(self._going, going, qty if going == base else paid)


def _add(sums: dict[str, Decimal], asset: str, amount: Decimal) -> None:
    sums[asset] = sums.get(asset, ZERO) + amount


def _sound(amount: Decimal) -> Decimal:
    return amount if amount.is_finite() and amount.adjusted() < _BEYOND else _UNKNOWN


def price_of(intent: Intent) -> Decimal:
    """Return what a unit is counted at: never below the limit price nor below the reference price."""
    if intent.ref_px is None:
        return _UNKNOWN if intent.px is None else intent.px
    return intent.ref_px if intent.px is None else max(intent.px, intent.ref_px)


def refusal(
    intent: Intent,
    counters: Counters,
    limits: Limits,
    instruments: Mapping[str, Instrument],
    *,
    row: Capabilities,
    now_mono: int,
    halted: str = "",
) -> tuple[str, str] | None:
    """Return (code, detail) when the order must not be sent, None when it may.

    ``row`` says what the venue takes; ``now_mono`` is monotonic ns, as in ``send_by``; ``halted`` says what
    stops it, empty when nothing does.
    """
    # First of all, because it is the one refusal that says nothing of the order that was sent under this id.
    if intent.cid in counters.cids or intent.iid in counters.iids:
        return DUPLICATE, f"{intent.cid!r} or its intent was sent before"
    if halted:
        return HALTED, halted
    return (
        _stale(intent, counters, now_mono)
        or _unusable_id(intent, row)
        or _malformed(intent, instruments)
        or _unholdable(intent, row)
        or _too_much(intent, counters, limits, instruments, row, now_mono)
    )


def reduces(intent: Intent, counters: Counters, held: Decimal, *, is_counted: bool = False) -> bool:
    """Whether an order can only bring a position nearer to zero; what cannot be judged does not.

    ``held`` is what the account had of the base asset besides this gateway's own fills. Whatever else works
    on the same side is taken as filled; ``is_counted`` says that the order itself is among it.
    """
    if not intent.reduce_only or not intent.qty.is_finite() or not held.is_finite():
        return False
    base, _ = assets_of(intent.symbol)
    worst = counters.worst(base, intent.side)
    if not worst.is_finite():
        return False
    more = ZERO if is_counted else intent.qty
    return worst + held >= more if intent.side == "sell" else worst + more <= ZERO


def cancel_refusal(intent: CancelIntent, counters: Counters, *, now_mono: int) -> tuple[str, str] | None:
    """Return (code, detail) when a cancel must not be sent; a halt never stops a cancel."""
    if intent.epoch < counters.epoch:
        return "stale_epoch", f"epoch {intent.epoch}, highest seen {counters.epoch}"
    if now_mono >= intent.send_by:
        return "too_late", f"{now_mono - intent.send_by} ns past send_by"
    if intent.cid not in counters.cids:
        return "unknown_cid", f"nothing was sent as {intent.cid!r}"
    return None


def _stale(intent: Intent, counters: Counters, now_mono: int) -> tuple[str, str] | None:
    if intent.epoch < counters.epoch:
        return "stale_epoch", f"epoch {intent.epoch}, highest seen {counters.epoch}"
    if now_mono >= intent.send_by:
        return "too_late", f"{now_mono - intent.send_by} ns past send_by"
    return None


def _unusable_id(intent: Intent, row: Capabilities) -> tuple[str, str] | None:
    wrong = wrong_cid(row, intent.cid)
    return ("client_id", wrong) if wrong else None


def _malformed(intent: Intent, instruments: Mapping[str, Instrument]) -> tuple[str, str] | None:
    if intent.symbol not in instruments:
        return "unknown_symbol", intent.symbol
    if intent.side not in ("buy", "sell"):
        return "unknown_side", intent.side
    if intent.style not in STYLES or (intent.style == "limit" and intent.tif not in TIFS):
        return "unknown_style", f"{intent.style} {intent.tif}"
    if (intent.style == "market") != (intent.px is None):
        return "price_and_style", f"{intent.style} with price {intent.px}"
    if (intent.style == STOP_LIMIT) != (intent.trigger is not None):
        return "price_and_style", f"{intent.style} with trigger {intent.trigger}"
    prices = (("px", intent.px), ("ref_px", intent.ref_px), ("trigger", intent.trigger))
    for name, value in (("qty", intent.qty), *prices):
        if value is not None and not (value.is_finite() and value > 0):
            return "not_positive", f"{name} {value}"
        # Beyond this no grid has a point, and decimal arithmetic would round or raise.
        if value is not None and not -_DIGITS <= value.adjusted() <= _DIGITS:
            return "out_of_range", f"{name} {value}"
    instrument = instruments[intent.symbol]
    if intent.venue != instrument.venue:
        return "wrong_venue", f"{intent.symbol} is traded at {instrument.venue!r}, not at {intent.venue!r}"
    # The counters go by the name alone, so that a restart needs nothing but the journal.
    if assets_of(intent.symbol) != (instrument.base, instrument.quote):
        return "unknown_assets", f"{intent.symbol} is {instrument.base} in {instrument.quote}"
    off = [px for px in (intent.px, intent.trigger) if px is not None and px % instrument.tick]
    if intent.qty % instrument.lot or off:
        return "off_grid", f"qty {intent.qty} lot {instrument.lot} px {intent.px} tick {instrument.tick}"
    return None


def _unholdable(intent: Intent, row: Capabilities) -> tuple[str, str] | None:
    """Say why an order cannot be a stop: its venue holds none, or it is no protective one."""
    if intent.trigger is None or intent.px is None:
        return None
    if not row.stops:
        return "no_stops", "the venue holds no stops for us"
    if not intent.reduce_only or intent.tif != "GTC":
        return "stop_opens", f"reduce_only {intent.reduce_only}, {intent.tif}"
    if not is_reached(intent.side, intent.trigger, intent.px):
        return "stop_side", f"limit {intent.px} before its trigger {intent.trigger}"
    # whoever wants to be rid of something at once says so; what is waited for lies beyond the market
    if intent.ref_px is not None and is_reached(intent.side, intent.trigger, intent.ref_px):
        return "stop_side", f"trigger {intent.trigger}, the market was at {intent.ref_px}"
    return None


def _too_much(
    intent: Intent, counters: Counters, limits: Limits, instruments: Mapping[str, Instrument],
    row: Capabilities, now_mono: int,
) -> tuple[str, str] | None:  # fmt: skip
    instrument = instruments[intent.symbol]
    if intent.ref_px is None:
        return "no_ref_px", "collar and position cannot be judged"
    if instrument.quote not in limits.max_notional or instrument.quote not in limits.max_position:
        return "no_limit", f"no limits for quote asset {instrument.quote}"
    price = price_of(intent)
    if limits.capital and not _only_leaves(intent, counters, instrument, row):
        mark = counters.contracts.marks.of(instrument.base, now_mono)
        if (no := _unfounded(intent, instrument, mark, limits)) is not None:
            return no
        price = price if mark is None else max(price, mark)
    notional = intent.qty * price
    # a short grows as its price rises: no cap may keep a desk from leaving it
    is_exit = reduces(intent, counters, ZERO)
    if notional > limits.max_notional[instrument.quote] and not is_exit:
        return "max_notional", f"{notional} > {limits.max_notional[instrument.quote]}"
    if counters.in_last_second(now_mono) >= limits.max_orders_per_s:
        return "rate", f"{limits.max_orders_per_s} orders in the last second"
    start = intent.ref_px if intent.trigger is None else intent.trigger
    if intent.px is not None and bps_beyond(intent.px, start, intent.side) > limits.collar_bps:
        name = "ref_px" if intent.trigger is None else "trigger"
        return "collar", f"px {intent.px} against {name} {start}, collar {limits.collar_bps} bps"
    return _beyond_capital(intent, price, counters, limits, instruments, now_mono) or _position(
        intent, price, counters, limits, instrument
    )


def _only_leaves(intent: Intent, counters: Counters, instrument: Instrument, row: Capabilities) -> bool:
    """Whether an order can only make a position smaller, or spends nothing that is not the desk's own."""
    if not instrument.is_contract:
        return intent.side == "sell" or reduces(intent, counters, ZERO)
    # where the venue itself knows of orders that only reduce it lets them do nothing else
    return (intent.reduce_only and row.reduce_only) or only_reduces(
        _as_resting(intent, instrument), counters.contracts, counters.resting()
    )


def _unfounded(
    intent: Intent, instrument: Instrument, mark: Decimal | None, limits: Limits
) -> tuple[str, str] | None:
    """Say why nothing but its desk's word bounds what an order that opens costs."""
    if intent.px is None:
        return "unpriced", "with real money an order that opens names the worst price it may trade at"
    return off_mark(intent, mark, limits.collar_bps + limits.mark_bps) if instrument.is_contract else None


def _as_resting(intent: Intent, instrument: Instrument) -> Resting:
    return Resting(instrument.base, intent.side, intent.qty, price_of(intent))


def _beyond_capital(
    intent: Intent, price: Decimal, counters: Counters, limits: Limits, instruments: Mapping[str, Instrument],
    now_mono: int,
) -> tuple[str, str] | None:  # fmt: skip
    instrument = instruments[intent.symbol]
    if not limits.capital:
        return None
    if not instrument.is_contract:
        return _not_its_own(intent, counters, limits, instruments)
    quote = instrument.quote
    money = limits.capital.get(quote, ZERO) + counters.positions.get(quote, ZERO)
    mark = counters.contracts.marks.of(instrument.base, now_mono)
    # only what the venue holds to reducing gets here without a mark
    now = [each for each in (mark, intent.ref_px) if each is not None]
    order = Resting(instrument.base, intent.side, intent.qty, price)
    return too_much(
        order, now, counters.contracts, counters.resting(), instruments, money=money,
        max_position=limits.max_position[quote], now_mono=now_mono,
    )  # fmt: skip


def _not_its_own(
    intent: Intent, counters: Counters, limits: Limits, instruments: Mapping[str, Instrument]
) -> tuple[str, str] | None:
    instrument = instruments[intent.symbol]
    base, quote = instrument.base, instrument.quote
    if intent.side == "sell":
        code, asset, left = "not_its_own", base, counters.worst(base, "sell") - intent.qty
    else:
        has = limits.capital.get(quote, ZERO) + counters.worst(quote, "sell")
        cost = intent.qty * price_of(intent)
        # some venues take a buy's fee in what was bought; whether this one does nobody here knows
        fees = counters.fees(quote, instruments) + cost * fee_of(instrument)
        code, asset, left = "capital", quote, has - cost - fees
    # what is not known is refused
    return None if left.is_finite() and left >= 0 else (code, f"{asset} would be {left} of this desk's")


def fee_of(instrument: Instrument | None) -> Decimal:
    """Return the share of its value that an order costs at most, never less than nothing."""
    if instrument is None or not (instrument.taker_fee.is_finite() and instrument.maker_fee.is_finite()):
        return _UNKNOWN
    return max(instrument.taker_fee, instrument.maker_fee, ZERO)


def _position(
    intent: Intent, price: Decimal, counters: Counters, limits: Limits, instrument: Instrument
) -> tuple[str, str] | None:
    base, quote = instrument.base, instrument.quote
    cap = limits.max_position[quote]
    signed = intent.qty if intent.side == "buy" else -intent.qty
    held = _grown(counters, base, signed) * price
    if held > cap:
        return "max_position", f"{base} for {held} {quote} > {cap}"
    # No price measures cash in something else, and a cross' quote is measured in its own unit.
    owed = ZERO if quote in limits.cash else _grown(counters, quote, -signed * price)
    if owed > cap:
        return "max_position", f"{owed} {quote} > {cap}"
    return None


def _grown(counters: Counters, asset: str, change: Decimal) -> Decimal:
    """Return the size of an asset's worst position after a change, zero if the change makes it no larger.

    One that is larger is taken with its coin at all exchanges, where that is more.
    """
    side = "buy" if change > 0 else "sell"
    # What brings the position nearer to zero is never stopped by the size it has already.
    if not (here := _larger(counters.worst(asset, side), change)):
        return ZERO
    return max(here, _larger(counters.worst_of_coin(asset, side), change))


def _larger(before: Decimal, change: Decimal) -> Decimal:
    after = before + change
    if not after.is_finite():
        return _INFINITE
    return abs(after) if abs(after) > abs(before) else ZERO
