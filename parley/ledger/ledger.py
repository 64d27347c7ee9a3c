"""The account's money: fills in, cash, positions, sub-ledgers and PnL out.

Positions are per asset and valued in the account's quote currency, because a fill on
a cross (ETH/BTC) moves two assets: the one given is disposed of, the one received
taken in, both at the notional times the mark of the pair's quote. Fees and funding
are charged in their own asset at its mark. An asset without a mark counts nothing and
belongs to the opening balance; its first mark adds it to the opening equity.

What goes out is taken from the acting agent's sub-ledger, then from the opening
balance, and what is still missing is posted to `UNASSIGNED`. A contract may be owed:
it comes from and goes to the acting agent's sub-ledger alone, which is then short.

The same currency at several exchanges (``USDT`` and ``USDT@bybit``) is the quote in several purses: all of
it is cash, at par, and each purse has a balance of its own (ADR 43).

For a linear perpetual this is the venue's own account, written otherwise: the wallet is
the cash plus what the positions cost, and wallet plus unrealised is cash plus value (ADR 38).

Not here: reservations, stops, limits; who decided (`orchestrator.attribution`).

Invariant: equity = opening + realised + unrealised, and the sub-ledgers of an asset
sum to its position; both exactly, checked after every transaction.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal, DecimalException
from hashlib import blake2s
from typing import NamedTuple

from parley.errors import StateError
from parley.instruments import Instrument, plain, symbol_of
from parley.messages import Crossed, Fill, Holding, Position
from parley.money import (
    ZERO,
    average,
    exact,
    exact_difference,
    exact_product,
    exact_sum,
    inverse,
    on_grid,
    price,
    ratio,
    share,
    tidy,
)

from .image import Image, pack, unpack
from .postings import (
    CASH,
    EQUITY,
    EXTERNAL,
    FEES,
    FUNDING,
    GAIN,
    INCOME,
    OPENING,
    TRADE,
    UNASSIGNED,
    Move,
    Posting,
    Transaction,
    balanced,
)
from .seen import content_of, content_of_crossing, key_of, key_of_crossing
from .subledgers import By, SubLedgers

_NOBODY = frozenset({"", EXTERNAL, OPENING, UNASSIGNED})  # no agents, who alone can agree on anything


class Still(NamedTuple):
    """A position without its value."""

    asset: str
    symbol: str
    qty: Decimal
    avg_px: Decimal
    gained: Decimal
    cost: Decimal


class Ledger:
    """One account in one quote currency; attributes are for reading.

    Attributes
    ----------
    opening, realised, fees : Decimal
        In quote. ``realised`` is net of fees and funding, ``fees`` is what was paid in all.
    marks : dict of str to Decimal
        Last price of each asset but the quote, in quote.
    last : Transaction or None
        The newest transaction; None before the first.
    """

    def __init__(self, account: str, quote: str, instruments: Mapping[str, Instrument]) -> None:
        self.account = account
        self.quote = quote
        self.opening = self.realised = self.fees = ZERO
        self.marks: dict[str, Decimal] = {}
        self.last: Transaction | None = None
        self._instruments = dict(instruments)
        # Below a lot nothing can be sold: a holding that small counts as closed.
        self._purses = frozenset({quote, *(i.quote for i in instruments.values() if plain(i.quote) == quote)})
        dust = {i.base: i.lot for i in instruments.values() if i.quote in self._purses}
        self._owed = frozenset(i.base for i in instruments.values() if i.is_contract)
        self._subs = SubLedgers(quote, dust, self._owed)
        self._cash: dict[str, Decimal] = {}
        self._cost: dict[str, Decimal] = {}
        self._earned: dict[str, Decimal] = {}  # realised by sub-ledger
        self._gained: dict[str, Decimal] = {}  # realised by asset; fees and funding at the asset traded
        self._seen: dict[str, bytes] = {}
        self._legs: list[Posting] = []
        self._moves: list[Move] = []
        # what only a transaction changes, as of `_told`: balances, and positions without their values
        self._told: Transaction | None = None
        self._balances: tuple[tuple[str, Decimal], ...] = ()
        self._still: tuple[Still, ...] = ()

    @property
    def postings(self) -> tuple[Posting, ...]:
        """The legs of the newest transaction."""
        return self.last.postings if self.last else ()

    def open(self, balances: Sequence[tuple[str, Decimal]], t: int) -> None:
        """Start from the venue's balances, once; other assets than the quote cost what their first mark says.

        Raises
        ------
        StateError
            When anything was booked before, or on a negative balance of what is no contract.
        """
        if self.last is not None:
            raise StateError(f"ledger of {self.account!r} is open already")
        by = By(OPENING, t)
        with exact():
            for asset, amount in balances:
                if not amount.is_finite() or (amount < 0 and asset not in self._owed):
                    raise StateError(f"opening balance of {asset} must be >= 0, was {amount}")
                if amount:
                    self._flow(EQUITY, asset, amount, self._worth(asset, amount), by)
            self._commit("open", "", "", by)

    def apply(self, fill: Fill, *, agent: str, pid: bytes, round: bytes) -> bool:
        """Book an execution; False when (venue, account, symbol, trade_id) is booked already.

        The symbol belongs to the key because venues number trades per symbol (Binance's ``t``).

        Parameters
        ----------
        agent, pid, round
            Whose decision it executes; `EXTERNAL` and empty ids when nobody's.

        Raises
        ------
        StateError
            On the same trade with other content, another account's fill, an unknown symbol, numbers no
            fill can have, a cross of which neither side has a mark, or a broken invariant.
        """
        instrument = self._instruments.get(fill.symbol)
        if instrument is None or fill.account != self.account:
            raise StateError(f"no {fill.symbol} in account {self.account!r}: {fill}")
        finite = fill.qty.is_finite() and fill.px.is_finite() and fill.fee.is_finite()
        if not finite or fill.qty <= 0 or fill.px <= 0 or fill.side not in ("buy", "sell"):
            raise StateError(f"not a possible fill: {fill}")
        if not self._fresh(key_of(fill), content_of(fill)):
            return False
        with exact():
            try:
                self._trade(fill, instrument, By(agent, fill.t, pid, round))
            except DecimalException as err:
                raise StateError(f"cannot be counted exactly: {fill}") from err
        return True

    def cross(self, crossed: Crossed) -> bool:
        """Move a quantity from one sub-ledger to another at a price; False when it is booked already.

        The giver realises what it gained, the taker's lot opens at the price; position, cash and equity of
        the account stay what they are.

        Raises
        ------
        StateError
            When the giver does not hold that much, on what is owed, has no mark or is not paid in the
            account's own currency, and on numbers or names nothing can have.
        """
        instrument, c = self._instruments.get(crossed.symbol), crossed
        if instrument is None or instrument.is_contract or instrument.quote not in self._purses:
            raise StateError(f"nothing that can be crossed: {c}")
        base, is_finite = instrument.base, c.qty.is_finite() and c.px.is_finite()
        if not is_finite or c.qty <= 0 or c.px <= 0 or c.seller == c.buyer or {c.seller, c.buyer} & _NOBODY:
            raise StateError(f"not a possible crossing: {c}")
        if key_of_crossing(c) not in self._seen:
            held = self._subs.holding(c.seller, base)
            if held is None or held.qty < c.qty or base not in self.marks:
                raise StateError(f"{c.seller!r} has not got that much to give: {c}")
        if not self._fresh(key_of_crossing(c), content_of_crossing(c)):
            return False
        with exact():
            for owner, amount in ((c.seller, -c.qty), (c.buyer, c.qty)):
                self._flow(TRADE, base, amount, tidy(c.qty * c.px), By(owner, c.t, c.pid, c.round))
            self._commit("crossed", c.round.hex(), c.symbol, By(c.buyer, c.t, c.pid, c.round))
        return True

    def knows(self, fill: Fill) -> bool:
        """Whether this trade is booked already."""
        return key_of(fill) in self._seen

    def knows_funding(self, ref: str) -> bool:
        """Whether the payment of this number is booked already."""
        return f"funding|{ref}" in self._seen

    def funding(self, symbol: str, amount: Decimal, asset: str, t: int, ref: str) -> bool:
        """Book a funding payment (positive: received), shared over the holders of the symbol's base.

        Of a contract who is long pays what who is short receives, so parts may differ in sign.

        False when ``ref`` is booked already; StateError when it was booked with other content.
        """
        instrument = self._instruments.get(symbol)
        if instrument is None or not amount.is_finite():
            raise StateError(f"not a possible funding: {symbol} {amount} {asset}")
        if not self._fresh(f"funding|{ref}", f"{symbol}|{tidy(amount)}|{asset}"):
            return False
        with exact():
            holders = self._subs.quantities(instrument.base) or [(UNASSIGNED, Decimal(1))]
            net = sum((qty for _, qty in holders), ZERO)
            if not (instrument.is_contract and net):
                holders = [(owner, abs(qty)) for owner, qty in holders]
                net = sum((qty for _, qty in holders), ZERO)
            left = amount
            for n, (owner, qty) in enumerate(holders, 1):
                part = left if n == len(holders) else share(amount, qty, net)
                left -= part
                if part:
                    self._charge(FUNDING, asset, part, By(owner, t), instrument)
            self._commit("funding", ref, symbol, By("", t))
        return True

    def mark(self, symbol: str, px: Decimal, t: int) -> None:
        """Value an asset at the price of its pair with the quote; a pair of two other assets values none.

        Raises
        ------
        StateError
            On an unknown symbol or a price that is not positive.
        """
        instrument = self._instruments.get(symbol)
        if instrument is None or not (px.is_finite() and px > 0):
            raise StateError(f"cannot mark {symbol} at {px}")
        if instrument.quote in self._purses:
            asset, px = instrument.base, tidy(price(px))
        elif instrument.base in self._purses:
            asset, px = instrument.quote, inverse(px)
        else:
            return
        if asset in self.marks:
            self.marks[asset] = px
            return
        with exact():
            self._first_mark(asset, px)
            if self._legs:
                self._commit("mark", "", symbol, By(OPENING, t))

    def equity(self) -> Decimal:
        """Value all there is at the marks, in quote."""
        cash = self._cash
        total = self._money()
        for asset, mark in self.marks.items():
            amount = cash.get(asset)
            if amount:
                total = exact_sum(total, exact_product(amount, mark))
        return tidy(total)

    def unrealised(self, owner: str = "") -> Decimal:
        """Value of what is held over its cost, in quote; of one sub-ledger when named."""
        with exact():
            if owner:
                return tidy(self._subs.unrealised(owner, self.marks))
            total = ZERO
            for asset, mark in self.marks.items():
                total += self._cash.get(asset, ZERO) * mark - self._cost.get(asset, ZERO)
            return tidy(total)

    def realised_of(self, owner: str) -> Decimal:
        """Realised PnL of a sub-ledger in quote, net of the fees and funding of its agent."""
        return tidy(self._earned.get(owner, ZERO))

    def results(self) -> dict[str, Decimal]:
        """Realised and unrealised PnL by sub-ledger, in quote: together what equity is above the opening."""
        with exact():
            results = dict(self._earned)
            for owner, gain in self._subs.gains(self.marks):
                results[owner] = results.get(owner, ZERO) + gain
        return results

    def cash(self, asset: str) -> Decimal:
        """Balance of any asset, the quote or a base, as the venue should hold it."""
        return tidy(self._cash.get(asset, ZERO))

    def assets(self) -> tuple[str, ...]:
        """Assets with a balance, sorted."""
        return tuple(asset for asset, _ in self.balances())

    def balances(self) -> tuple[tuple[str, Decimal], ...]:
        """Assets with a balance and what it is, sorted."""
        self._tell()
        return self._balances

    def positions(self) -> tuple[Position, ...]:
        """Everything held but the quote, sorted; ``realised`` includes the fees of the asset's trades."""
        self._tell()
        return tuple([self._position(still) for still in self._still])

    def holdings(self) -> tuple[Holding, ...]:
        """All sub-ledgers, sorted by asset and agent; ``stop`` and ``take`` are for the desk to fill in."""
        return self._subs.holdings()

    def holding(self, agent: str, asset: str) -> Holding | None:
        """What one agent holds of an asset, dust below the lot size included."""
        return self._subs.holding(agent, asset)

    def snapshot(self) -> bytes:
        """Encode the whole state but the instruments; equal states give equal bytes."""
        return pack(
            Image(
                account=self.account,
                quote=self.quote,
                money=(tidy(self.opening), tidy(self.realised), tidy(self.fees)),
                marks=_pairs(self.marks),
                cash=_pairs(self._cash),
                cost=_pairs(self._cost),
                lots=tuple(self._subs.images()),
                earned=_pairs(self._earned),
                gained=_pairs(self._gained),
                seen=tuple(self._seen.items()),
                last=self.last,
            )
        )

    def restore(self, blob: bytes) -> None:
        """Take up the state of a snapshot in place of the present one.

        Raises
        ------
        StateError
            When it is damaged, of another account, or breaks an invariant.
        """
        image = unpack(blob)
        if (image.account, image.quote) != (self.account, self.quote):
            raise StateError(f"snapshot of {image.account!r} in {image.quote}, not of {self.account!r}")
        self.opening, self.realised, self.fees = image.money
        self.marks, self._cash, self._cost = dict(image.marks), dict(image.cash), dict(image.cost)
        self._earned, self._gained = dict(image.earned), dict(image.gained)
        self._seen, self.last = dict(image.seen), image.last
        self._subs.load(image.lots)
        self._told, self._balances, self._still = None, (), ()
        with exact():
            self._verify({*self._cash, *self._subs.held()})

    def _trade(self, fill: Fill, instrument: Instrument, by: By) -> None:
        self._mark_from(fill, instrument)
        notional = fill.qty * fill.px
        base, quote = (instrument.base, fill.qty), (instrument.quote, notional)
        worth = fill.qty if instrument.base in self._purses else self._worth(instrument.quote, notional)
        given, taken = (quote, base) if fill.side == "buy" else (base, quote)
        self._flow(TRADE, given[0], -given[1], worth, by)
        self._flow(TRADE, taken[0], taken[1], worth, by)
        if fill.fee:
            self.fees -= self._charge(FEES, fill.fee_asset, -fill.fee, by, instrument)
        self._commit("fill", fill.trade_id, fill.symbol, by)

    def _charge(self, account: str, asset: str, amount: Decimal, by: By, instrument: Instrument) -> Decimal:
        """Move a fee or a funding amount (signed) at its mark; give its worth, signed alike."""
        worth = self._worth(asset, abs(amount))
        self._flow(account, asset, amount, worth, by)
        signed = worth if amount > 0 else -worth
        traded = instrument.quote if instrument.base in self._purses else instrument.base
        self._gained[traded] = self._gained.get(traded, ZERO) + signed
        return signed

    def _worth(self, asset: str, amount: Decimal) -> Decimal:
        return tidy(amount if asset in self._purses else on_grid(amount * self.marks.get(asset, ZERO)))

    def _mark_from(self, fill: Fill, instrument: Instrument) -> None:
        """Give what a fill moves its first mark, when it has none, from the fill itself."""
        base, quote = instrument.base, instrument.quote
        if quote in self._purses:
            self._first_mark(base, tidy(price(fill.px)))
        elif base in self._purses:
            self._first_mark(quote, inverse(fill.px))
        elif quote in self.marks:
            if base not in self.marks:
                self._first_mark(base, tidy(price(fill.px * self.marks[quote])))
        elif base in self.marks:
            self._first_mark(quote, ratio(self.marks[base], fill.px))
        else:
            raise StateError(f"mark {base} or {quote} in {self.quote} before a fill on {fill.symbol}")

    def _first_mark(self, asset: str, px: Decimal) -> None:
        if asset in self.marks:
            return
        self.marks[asset] = px
        for owner, change in self._subs.rebase(asset, px):
            self._post(CASH, owner, asset, ZERO, change)
            self._post(EQUITY, owner, asset, ZERO, -change)

    def _flow(self, contra: str, asset: str, amount: Decimal, worth: Decimal, by: By) -> None:
        """Move an amount between the account and a contra account, through the sub-ledgers it belongs to."""
        signed = worth if amount > 0 else -worth
        self._post(contra, by.agent, asset, -amount, -signed)
        if asset in self._purses:
            self._post(CASH, "", asset, amount, signed)
            return
        for part in self._subs.move(asset, amount, worth, by, valued=asset in self.marks):
            self._post(CASH, part.owner, asset, part.amount, part.cost)
            if part.gain:
                self._post(GAIN, part.owner, asset, ZERO, -part.gain)
                self._gained[asset] = self._gained.get(asset, ZERO) + part.gain
            self._moves.append(Move(part.owner, asset, part.amount, part.worth))

    def _post(self, account: str, owner: str, asset: str, amount: Decimal, value: Decimal) -> None:
        self._legs.append(Posting(account, owner, asset, amount, value))
        if account == CASH:
            self._cash[asset] = self._cash.get(asset, ZERO) + amount
            if asset not in self._purses:
                self._cost[asset] = self._cost.get(asset, ZERO) + value
        elif account in INCOME:
            self.realised -= value
            self._earned[owner] = self._earned.get(owner, ZERO) - value
        elif account == EQUITY:
            self.opening -= value

    def _commit(self, kind: str, ref: str, symbol: str, by: By) -> None:
        legs, moves = tuple(self._legs), tuple(self._moves)
        self._legs, self._moves = [], []
        self.last = Transaction(kind, ref, symbol, by.t, by.agent, by.pid, by.round, legs, moves)
        if not balanced(legs):
            raise StateError(f"legs do not sum to zero: {self.last}")
        self._verify({leg.asset for leg in legs})

    def _verify(self, assets: set[str]) -> None:
        """Compare the account with its sub-ledgers, and the two sides of the balance sheet."""
        for asset in sorted(assets - self._purses):
            if self._subs.sums(asset) != (self._cash.get(asset, ZERO), self._cost.get(asset, ZERO)):
                raise StateError(f"sub-ledgers of {asset} do not sum to its position")
        at_cost = sum(self._cost.values(), self._money())
        if at_cost != self.opening + self.realised:
            raise StateError(f"{at_cost} at cost, but {self.opening} opened and {self.realised} earned")

    def _money(self) -> Decimal:
        """All cash, over all purses."""
        total = self._cash.get(self.quote, ZERO)
        if len(self._purses) > 1:
            for purse in sorted(self._purses - {self.quote}):
                total = exact_sum(total, self._cash.get(purse, ZERO))
        return total

    def _fresh(self, key: str, content: str) -> bool:
        digest = blake2s(content.encode(), digest_size=16).digest()
        known = self._seen.setdefault(key, digest)
        if known != digest:
            raise StateError(f"{key} came again with other content: {content}")
        return known is digest

    def _tell(self) -> None:
        """Work out anew what is told of the account, when something was booked since."""
        if self._told is self.last:
            return
        self._told = self.last
        self._balances = tuple(sorted([(asset, tidy(n)) for asset, n in self._cash.items() if n]))
        still = []
        for asset in self._subs.held():
            qty, cost = self._cash.get(asset, ZERO), self._cost.get(asset, ZERO)
            gained = tidy(self._gained.get(asset, ZERO))
            still.append(
                Still(asset, symbol_of(asset, self.quote), tidy(qty), average(cost, qty), gained, cost)
            )
        self._still = tuple(still)

    def _position(self, still: Still) -> Position:
        mark = self.marks.get(still.asset, ZERO)
        return Position(
            symbol=still.symbol,
            qty=still.qty,
            avg_px=still.avg_px,
            realised=still.gained,
            unrealised=tidy(exact_difference(exact_product(still.qty, mark), still.cost)),
            mark=mark,
        )


def _pairs(amounts: Mapping[str, Decimal]) -> tuple[tuple[str, Decimal], ...]:
    return tuple((name, tidy(amount)) for name, amount in sorted(amounts.items()))
