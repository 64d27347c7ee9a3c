"""What a gateway takes over of its desk's limits when a person changes them: a second table under its own.

Problem: a limit that is tightened must hold for what the desk decided a moment ago under the old one, and one
that is loosened must not let anything through before the desk's own record of it is durable. So the gateway
keeps, for each limit that was changed, the desk's last word and every value asked for since, and goes by the
tightest of them.

Not here: who may change what (`limit_switch`), the gateway's own caps, which no change exceeds (`lastlook`).

Invariant: a change that tightens counts from the moment it was asked for, one that loosens only from the
desk's word on; where gateway and desk differ, the tighter wins. What cannot be worked out lets nothing open.
Exits are none of this module's business: whoever asks has found that an order opens.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from parley.errors import ConfigError
from parley.instruments import ZERO, is_contract, plain, symbol_of
from parley.messages import Intent, LimitChange
from parley.risk.changes import LimitBook, changed_all, tightest, value_of
from parley.risk.limits import Limits as DeskLimits
from parley.risk.nodes import concerns, level_of
from runtime.lastlook import Counters, Limits, assets_of, price_of

CODE: Final = "limit"


class Followed:
    """The desk's table as this gateway goes by it."""

    def __init__(self, start: DeskLimits, own: Limits) -> None:
        self._start = start
        self._own = own
        self._confirmed: dict[str, str] = {}
        self._asked: list[LimitChange] = []
        self._pending: list[LimitChange] = []
        self._refused: set[int] = set()
        self._book = LimitBook(start, start)
        self._table: DeskLimits | None = start
        self._changed: frozenset[str] = frozenset()
        self._prices: dict[str, Decimal] = {}

    @property
    def book(self) -> LimitBook:
        """The table with every change there was, confirmed or not: what the next change is a change of."""
        return self._book

    @property
    def table(self) -> DeskLimits | None:
        """What openings go by here; None: it cannot be worked out."""
        return self._table

    @property
    def is_changed(self) -> bool:
        """Whether openings go by anything but what the run began with."""
        return self._table is None or bool(self._changed)

    @property
    def pending(self) -> tuple[LimitChange, ...]:
        """Changes the desk has not confirmed yet."""
        return tuple(self._pending)

    @property
    def history(self) -> tuple[LimitChange, ...]:
        """All changes of this run, the oldest first."""
        return tuple(self._asked)

    def ask(self, change: LimitChange) -> None:
        """Take a change that was found possible: what it tightens counts from now on."""
        self._book = self._book.after(change.n, change.key, change.new)
        self._asked.append(change)
        self._pending.append(change)
        self._work_out()

    def confirm(self, n: int, values: Mapping[str, str], *, refused: bool = False) -> None:
        """Hear the desk's word: it has the changes up to ``n``, and its table has these values, durably.

        ``refused``: it could not make the ``n``-th.
        """
        own: dict[str, str] = {each.key: each.new for each in self._asked if each.n <= n}
        for key in own.keys() & values.keys():
            self._confirmed[key] = tightest(key, [own[key], values[key]])
        self._pending = [each for each in self._pending if each.n > n or each.key not in values]
        if refused:
            self._refused.add(n)
            self._book = LimitBook(self._start, self._start)
            for each in self._asked:
                known = self._book
                self._book = (
                    known.passed(each.n) if each.n in self._refused
                    else known.after(each.n, each.key, each.new)
                )  # fmt: skip
        self._work_out()

    def _work_out(self) -> None:
        start, keys = self._start, {*self._confirmed, *(each.key for each in self._pending)}
        goes_by = {
            key: tightest(
                key,
                [self._confirmed.get(key) or value_of(start, key)]
                + [each.new for each in self._pending if each.key == key],
            )
            for key in sorted(keys)
        }
        self._changed = frozenset(key for key, value in goes_by.items() if value != value_of(start, key))
        try:
            self._table = changed_all(start, goes_by)
        except ConfigError:  # values that exclude each other, as long as one of them is not confirmed
            self._table = None

    def see(self, intent: Intent) -> None:
        """Remember the price an order was judged by."""
        if intent.ref_px is not None and intent.ref_px.is_finite() and intent.ref_px > 0:
            self._prices[intent.symbol] = intent.ref_px

    def caps(self, intent: Intent, own: Limits, has: Mapping[str, Decimal]) -> Limits:
        """Return the gateway's own limits, tightened for an order by what was changed.

        ``has`` is what the account has of each asset: the desk's shares are shares of its worth.
        """
        if self._table is None or not self._changed:
            return own
        quote = assets_of(intent.symbol)[1]
        worth = self._worth(quote, own, has)
        notional, position = (
            self._amount(intent.symbol, name, worth) for name in ("max_order_notional", "max_position")
        )
        collar = self._least(intent.symbol, "collar_bps")
        return replace(
            own,
            max_notional=_capped(own.max_notional, quote, notional),
            max_position=_capped(own.max_position, quote, position),
            collar_bps=own.collar_bps if collar is None else min(own.collar_bps, int(collar)),
            max_orders_per_s=self._rate(intent.symbol, own.max_orders_per_s),
        )

    def refusal(self, intent: Intent) -> tuple[str, str] | None:
        """Return (code, detail) when an order must not open, whatever its size."""
        table = self._table
        if table is None:
            return CODE, "changes that the desk has not confirmed exclude each other"
        named = {intent.symbol, plain(intent.symbol)}  # a pair is named for all exchanges, or for one
        if "blacklist" in self._changed and not named.isdisjoint(table.blacklist):
            return CODE, f"blacklist: {intent.symbol}"
        if "whitelist" in self._changed and table.whitelist and named.isdisjoint(table.whitelist):
            return CODE, f"whitelist: {intent.symbol}"
        return None

    def too_large(self, intent: Intent, counters: Counters, caps: Limits) -> tuple[str, str] | None:
        """Return (code, detail) when an order that is counted already has become too large."""
        base, quote = assets_of(intent.symbol)
        price = price_of(intent)
        notional, held = intent.qty * price, abs(counters.worst(base, intent.side)) * price
        everywhere = abs(counters.worst_of_coin(base, intent.side)) * price
        for name, value, most in (
            ("max_order_notional", notional, caps.max_notional), ("max_position", held, caps.max_position),
            ("max_position", everywhere, caps.max_position),
        ):  # fmt: skip
            if self._least(intent.symbol, name) is not None and not (
                value.is_finite() and value <= most.get(quote, ZERO)
            ):
                return CODE, f"{name}: {value} > {most.get(quote)}"
        return None

    # what the changed table says

    def _least(self, symbol: str, name: str) -> Decimal | None:
        """Return the least that changed limits of a name allow a symbol; None: none was changed."""
        table, found = self._table, []
        if table is None:
            return ZERO
        if name in self._changed:
            found.append(Decimal(getattr(table, name)))
        for node, said in table.tree.items():
            if level_of(node) == "bot" or not concerns(node, "", symbol):
                continue  # what a bot uses is not counted here
            if f"tree.{node}.{name}" in self._changed and getattr(said, name) is not None:
                found.append(Decimal(getattr(said, name)))
        return min(found, default=None)

    def _amount(self, symbol: str, name: str, worth: Decimal) -> Decimal | None:
        share = self._least(symbol, name)
        return None if share is None else share * worth

    def _rate(self, symbol: str, own: int) -> int:
        least = self._least(symbol, "orders_per_s")
        if least is None:
            return own
        # where the market runs faster than the clock the gateway's own number is as many times larger
        return max(1, min(own, int(own * least / self._start.orders_per_s)))

    def _worth(self, quote: str, own: Limits, has: Mapping[str, Decimal]) -> Decimal:
        """Return what the account is worth in a quote asset; what has no known price is worth nothing.

        The quote counts for itself at whatever exchange it lies.
        """
        if quote not in own.cash:
            return own.max_notional.get(quote, ZERO)
        total, owes = ZERO, any(map(is_contract, has))
        for asset, amount in has.items():
            is_quote = plain(asset) == plain(quote)
            price = Decimal(1) if is_quote else self._prices.get(symbol_of(asset, quote))
            if not amount.is_finite() or (is_contract(asset) and amount and price is None):
                return ZERO
            # what a contract cost is missing from the cash or lies in it, so both count with their signs
            total += (amount if owes else max(ZERO, amount)) * (price or ZERO)
        return max(ZERO, total)


def _capped(own: Mapping[str, Decimal], quote: str, most: Decimal | None) -> dict[str, Decimal]:
    return dict(own) if most is None or quote not in own else {**own, quote: min(own[quote], most)}
