"""One order as a strategy's callback sees it, and how a view reads numbers from the kernel's tables.

Not here: the trade it belongs to (`trade_view`).

Invariant: values are Python's own floats, ints, strings and datetimes, None where freqtrade has None.
"""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any, Generic, NoReturn, TypeVar

from backtest.shown import Shown
from parley.kernels import exact
from parley.kernels.records import ORDER

T = TypeVar("T")
ORDER_FIELDS = {name: place for place, name in enumerate(ORDER.names or ())}
WIDTH = len(ORDER_FIELDS)
NEXT = ORDER_FIELDS["next"]


def moment(ms: float, zone: tzinfo = UTC) -> datetime:
    """A time as freqtrade passes it: in the candles' own time zone object, or made UTC by freqtrade."""
    return datetime.fromtimestamp(ms / 1000, zone)


class Field:
    """Reads one number of a record. No setter: what a strategy writes lands in the view and wins."""

    def __init__(self, places: dict[str, int], name: str, kind: str) -> None:
        self._place = places[name]
        self._kind = kind

    def __get__(self, view: Any, owner: Any) -> Any:
        if self._kind == "float":
            return view._floats[view._at + self._place]
        if self._kind == "float?":
            value = view._floats[view._at + self._place]
            return None if value != value else value
        if self._kind == "float0":
            # freqtrade starts these as the whole number 0.
            return view._floats[view._at + self._place] or 0
        if self._kind == "bool":
            return view._ints[view._at + self._place] != 0
        if self._kind == "date":
            ms = view._ints[view._at + self._place]
            return None if ms < 0 else moment(ms, view._tables.shown.zone)
        if self._kind == "utc":
            ms = view._ints[view._at + self._place]
            return None if ms < 0 else moment(ms)
        return view._ints[view._at + self._place]


class Derived(Generic[T]):
    """A property that does not refuse to be written: what a strategy writes lands in the view and wins."""

    def __init__(self, read: Callable[[Any], T]) -> None:
        self._read = read

    def __get__(self, view: Any, owner: Any) -> T:
        return self._read(view)


def _order(name: str, kind: str = "float") -> Any:
    return Field(ORDER_FIELDS, name, kind)


class Likeness:
    """Of an object of freqtrade's: one to `isinstance`, and what it has besides is refused, never missing."""

    _tables: Any

    @property
    def _kind(self) -> type | None:
        """freqtrade's class, where whoever binds the callbacks has told it."""
        raise NotImplementedError

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return self._kind or type(self)

    def __getattr__(self, name: str) -> Any:
        kind = None if name == "_tables" else self._kind
        if hasattr(kind, name):
            self._refuse(name)
        named = (kind or type(self)).__name__
        raise AttributeError(f"{named!r} object has no attribute {name!r}", name=name, obj=self)

    def __repr__(self) -> str:
        kind = self._kind
        # freqtrade's own text, of the values here.
        return str((kind or object).__repr__(self))  # type: ignore[call-arg]

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        # `copy` and `pickle` ask here: freqtrade's copies go on living by themselves, methods and all.
        self._refuse("copy")

    @property
    def __dict__(self) -> NoReturn:  # type: ignore[override]
        # `vars` asks here.
        self._refuse("__dict__")

    def _refuse(self, name: str) -> NoReturn:
        shown: Shown = self._tables.shown
        shown.refuse(f"a callback asks for {name} of {'an order' if type(self) is OrderView else 'a trade'}")


class OrderView(Likeness):
    """One order."""

    id = _order("id", "int")
    ft_trade_id = _order("trade_id", "int")
    ft_is_open = _order("is_open", "bool")
    order_date = _order("order_date", "date")
    order_update_date = _order("order_date", "date")  # a backtest never updates it
    order_date_utc = _order("order_date", "utc")
    order_filled_date = _order("filled_date", "date")
    order_filled_utc = _order("filled_date", "utc")
    price = _order("price")
    ft_price = _order("price")
    average = _order("price")
    safe_price = _order("price")
    safe_placement_price = _order("price")
    amount = _order("amount")
    safe_amount = _order("amount")
    filled = _order("filled", "float0")
    safe_filled = _order("filled", "float0")
    safe_amount_after_fee = _order("filled", "float0")
    remaining = _order("remaining", "float0")
    safe_remaining = _order("remaining", "float0")
    cost = _order("cost")
    safe_cost = _order("cost")
    funding_fee = _order("funding_fee", "float?")
    stop_price = None
    ft_fee_base = None
    safe_fee_base = 0.0
    ft_amount = None
    ft_cancel_reason = None

    def __init__(self, trade: Any, place: int) -> None:
        self.trade = trade
        self._tables = trade._tables
        self._floats = trade._tables.order_floats
        self._ints = trade._tables.order_ints
        self._at = place * WIDTH

    # Made anew at each look; in freqtrade it is one object of its trade, and a copied trade has its own.
    def __eq__(self, other: object) -> bool:
        return type(other) is OrderView and self.trade == other.trade and self._at == other._at

    def __hash__(self) -> int:
        return hash((self.trade, self._at))

    @property
    def _kind(self) -> type | None:
        kind: type | None = self._tables.shown.order_class
        return kind

    @property
    def _is_entry(self) -> bool:
        return bool(self._ints[self._at + ORDER_FIELDS["is_entry"]])

    @property
    def side(self) -> str:
        return self.trade.entry_side if self._is_entry else self.trade.exit_side

    ft_order_side = side

    @property
    def status(self) -> str:
        return "open" if self.ft_is_open else "closed"

    @property
    def order_type(self) -> str:
        settings = self._tables.settings
        return settings.entry_order_type if self._is_entry else settings.exit_order_type

    @property
    def order_id(self) -> str:
        return str(self.id)

    @property
    def ft_pair(self) -> str:
        return self.trade.pair

    symbol = ft_pair

    @property
    def ft_order_tag(self) -> str | None:
        tag = self._ints[self._at + ORDER_FIELDS["tag"]]
        row = self._ints[self._at + ORDER_FIELDS["tag_row"]]
        words = self._tables.words
        at = self.trade._pair_at
        return words.entry_tag(at, tag) if self._is_entry else words.reason(at, tag, row)

    @property
    def stake_amount(self) -> float:
        return exact.stake_of(self.amount, self.price, self.trade.leverage)

    @property
    def stake_amount_filled(self) -> float:
        return exact.stake_of(self.filled, self.price, self.trade.leverage)
