"""Triangular arbitrage on one venue: three trades that come back to where they started.

The cycles of a universe are found once; `Scanner` then recomputes only those a changed
book touches. An edge is what one unit of the start asset becomes after three taker trades,
fees and a slippage reserve, less one. `size` finds how much the books bear: it lays out
orders with limit prices at which the cycle still has its least edge even if every leg
fills at its limit, each leg selling no more than the one before delivered.

Not here: whether to trade (`agents.arbitrageur`), cycles over several venues.

Invariant: floats rank, Decimals order: quantities of a `Layout` are on the lot grid and
its result is computed from them; what stays over below a lot is worth what the rest of
the cycle would make of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import NamedTuple

from parley.depth import Levels, is_usable, side_levels
from parley.instruments import Instrument
from parley.messages import Book

from .costs import Costs

ZERO = Decimal(0)
ONE = Decimal(1)


class Cycle(NamedTuple):
    """Three trades from ``start`` back to it: symbols and sides in order. ``key`` names the cycle."""

    start: str
    symbols: tuple[str, str, str]
    sides: tuple[str, str, str]

    @property
    def key(self) -> str:
        return " ".join(f"{side}:{symbol}" for side, symbol in zip(self.sides, self.symbols, strict=True))


class Edge(NamedTuple):
    """A cycle and its net edge in bps at the best prices."""

    cycle: Cycle
    edge_bps: float


class LegOrder(NamedTuple):
    """One order of a laid-out cycle: base quantity on the lot grid and limit price on the tick."""

    symbol: str
    side: str
    qty: Decimal
    px: Decimal


class Layout(NamedTuple):
    """A cycle as orders: ``spent`` of the start asset becomes at least ``got``; both Decimals."""

    cycle: Cycle
    legs: tuple[LegOrder, ...]
    spent: Decimal
    got: Decimal

    @property
    def edge_bps(self) -> float:
        return float((self.got / self.spent - 1) * 10_000)


def directed_cycles(instruments: Iterable[Instrument], start: str = "") -> tuple[Cycle, ...]:
    """Find all cycles of three trades over three assets, each direction once, sorted.

    With ``start`` only those through that asset, beginning there; otherwise each begins at
    its alphabetically first asset. Of several pairs on the same two assets each counts.
    """
    steps: dict[str, list[tuple[str, str, str]]] = {}
    for i in sorted(instruments, key=lambda i: i.symbol):
        steps.setdefault(i.quote, []).append((i.base, i.symbol, "buy"))
        steps.setdefault(i.base, []).append((i.quote, i.symbol, "sell"))
    back: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for a, reachable in steps.items():
        for b, symbol, side in reachable:
            back.setdefault((a, b), []).append((symbol, side))
    found = []
    for a in [start] if start else sorted(steps):
        for b, first, first_side in steps.get(a, ()):
            for c, second, second_side in steps.get(b, ()):
                if c == a or (not start and (b < a or c < a)):
                    continue
                for third, third_side in back.get((c, a), ()):
                    found.append(Cycle(a, (first, second, third), (first_side, second_side, third_side)))
    return tuple(sorted(found))


class Scanner:
    """Keeps the net edge of every cycle current as books change; mutable."""

    def __init__(
        self, instruments: Mapping[str, Instrument], start: str = "", costs: Costs | None = None
    ) -> None:
        costs = costs or Costs()
        self.cycles = directed_cycles(instruments.values(), start)
        self._keep = {s: costs.keep(i) for s, i in instruments.items()}
        self._of_symbol: dict[str, list[int]] = {}
        for n, cycle in enumerate(self.cycles):
            for symbol in cycle.symbols:
                self._of_symbol.setdefault(symbol, []).append(n)
        self._rate: dict[tuple[str, str], float] = {}
        self._edge = [float("-inf")] * len(self.cycles)

    def update(self, books: Iterable[Book]) -> tuple[int, ...]:
        """Take changed books; give the numbers of the cycles that were recomputed, sorted."""
        touched: set[int] = set()
        for book in books:
            cycles = self._of_symbol.get(book.symbol)
            if cycles is None:
                continue
            keep = self._keep[book.symbol]
            usable = is_usable(book)
            buy = keep / book.asks[0][0] if usable else 0.0
            sell = keep * book.bids[0][0] if usable else 0.0
            if self._rate.get((book.symbol, "buy")) == buy and self._rate.get((book.symbol, "sell")) == sell:
                continue
            self._rate[book.symbol, "buy"], self._rate[book.symbol, "sell"] = buy, sell
            touched.update(cycles)
        order = tuple(sorted(touched))
        for n in order:
            self._edge[n] = self._compute(self.cycles[n])
        return order

    def _compute(self, cycle: Cycle) -> float:
        product = 1.0
        for symbol, side in zip(cycle.symbols, cycle.sides, strict=True):
            product *= self._rate.get((symbol, side), 0.0)
        return (product - 1) * 1e4 if product > 0 else float("-inf")

    def edges(self) -> tuple[Edge, ...]:
        """Give all cycles whose three books are usable, best first, ties by name."""
        known = [Edge(c, e) for c, e in zip(self.cycles, self._edge, strict=True) if isfinite(e)]
        return tuple(sorted(known, key=lambda e: (-e.edge_bps, e.cycle)))

    def edges_of(self, symbols: Sequence[str]) -> tuple[Edge, ...]:
        """Give the cycles that trade all of some symbols and have usable books, best first."""
        numbers = self._of_symbol.get(symbols[0], []) if symbols else []
        known = [
            Edge(self.cycles[n], self._edge[n])
            for n in numbers
            if isfinite(self._edge[n]) and all(s in self.cycles[n].symbols for s in symbols)
        ]
        return tuple(sorted(known, key=lambda e: (-e.edge_bps, e.cycle)))

    def best(self) -> Edge | None:
        """Give the best cycle, or None when no cycle has three usable books."""
        best = max(range(len(self._edge)), key=lambda n: (self._edge[n], -n), default=-1)
        if best < 0 or not isfinite(self._edge[best]):
            return None
        return Edge(self.cycles[best], self._edge[best])


def size(
    cycle: Cycle,
    books: Mapping[str, Book],
    instruments: Mapping[str, Instrument],
    *,
    budget: Decimal,
    min_edge_bps: float,
    costs: Costs,
) -> Layout | str:
    """Lay out a cycle as large as books and budget (start asset) bear, or say why not.

    Starting from the best levels, the thinnest leg reaches one level deeper as long as the
    limit prices together keep ``min_edge_bps``.

    Returns
    -------
    Layout | str
        Or ``no_book``, ``edge_gone``, ``below_min_qty``, ``below_min_notional``, ``above_max_qty``.
    """
    if not all(is_usable(books.get(s)) for s in cycle.symbols):
        return "no_book"
    pairs = [instruments[s] for s in cycle.symbols]
    sides = [side_levels(books[s], side) for s, side in zip(cycle.symbols, cycle.sides, strict=True)]
    at = [0, 0, 0]
    keeps = [costs.keep(i) for i in pairs]
    while True:
        px = [levels[n][0] for levels, n in zip(sides, at, strict=True)]
        capacity = _capacities(cycle, sides, at, px, keeps)
        thinnest = min(range(3), key=lambda k: (capacity[k], k))
        if capacity[thinnest] >= float(budget) or at[thinnest] + 1 >= len(sides[thinnest]):
            break
        deeper = list(px)
        deeper[thinnest] = sides[thinnest][at[thinnest] + 1][0]
        if not isfinite(deeper[thinnest]) or _edge_bps(cycle, deeper, keeps) < min_edge_bps:
            break
        at[thinnest] += 1
    if _edge_bps(cycle, px, keeps) < min_edge_bps:
        return "edge_gone"
    amount = min(budget, Decimal(repr(capacity[thinnest])))
    return _lay_out(cycle, pairs, px, amount, min_edge_bps, costs)


def _edge_bps(cycle: Cycle, px: list[float], keeps: list[float]) -> float:
    product = 1.0
    for side, p, keep in zip(cycle.sides, px, keeps, strict=True):
        product *= keep * (1 / p if side == "buy" else p)
    return (product - 1) * 1e4


def _capacities(
    cycle: Cycle, sides: list[Levels], at: list[int], px: list[float], keeps: list[float]
) -> list[float]:
    """Give per leg the amount of the start asset that its levels up to its limit can take."""
    worth = 1.0  # units of the asset in hand per unit of the start asset
    result = []
    for levels, n, p, keep, side in zip(sides, at, px, keeps, cycle.sides, strict=True):
        base = sum(q for _, q in levels[: n + 1] if isfinite(q) and q > 0)
        result.append(base * p / worth if side == "buy" else base / worth)
        worth *= keep * (1 / p if side == "buy" else p)
    return result


def _lay_out(
    cycle: Cycle, pairs: list[Instrument], px: list[float], amount: Decimal, min_edge_bps: float, costs: Costs
) -> Layout | str:
    limits = [i.crossing_price(p, side) for i, p, side in zip(pairs, px, cycle.sides, strict=True)]
    if min(limits) <= 0:
        return "no_book"
    keeps = [Decimal(repr(costs.keep_of_fee(i))) for i in pairs]
    # forward: what the amount buys on each grid
    quantities, have = [], amount
    for instrument, side, limit, keep in zip(pairs, cycle.sides, limits, keeps, strict=True):
        qty = instrument.qty(have / limit if side == "buy" else have)
        quantities.append(qty)
        have = (qty if side == "buy" else qty * limit) * keep
    # backward: no leg takes more than the next one, rounded to its own lot, can use
    for n in (1, 0):
        after = quantities[n + 1]
        need = (after * limits[n + 1] if cycle.sides[n + 1] == "buy" else after) / keeps[n]
        need = need if cycle.sides[n] == "buy" else need / limits[n]
        quantities[n] = min(quantities[n], _up_to_lot(need, pairs[n]))
    legs = []
    for instrument, side, qty, limit in zip(pairs, cycle.sides, quantities, limits, strict=True):
        code = instrument.tradable(qty, limit)
        if code:
            return code
        legs.append(LegOrder(instrument.symbol, side, qty, limit))
    spent = [x.qty * x.px if x.side == "buy" else x.qty for x in legs]
    got = [(x.qty if x.side == "buy" else x.qty * x.px) * keep for x, keep in zip(legs, keeps, strict=True)]
    worth = got[2] / spent[2]  # of one unit before the last leg
    rests = (got[1] - spent[2]) * worth + (got[0] - spent[1]) * got[1] / spent[1] * worth
    layout = Layout(cycle, tuple(legs), spent[0], got[2] + rests)
    return layout if layout.edge_bps >= min_edge_bps else "edge_gone"


def _up_to_lot(amount: Decimal, instrument: Instrument) -> Decimal:
    qty = instrument.qty(amount)
    return qty if qty >= amount else qty + instrument.lot


def implied_price(
    symbol: str, side: str, books: Mapping[str, Book], routes: Iterable[Cycle], keeps: Mapping[str, float]
) -> float:
    """Give the best price of trading a symbol through two other pairs, costs included; 0 when unknown.

    ``routes`` are cycles that contain the symbol on the opposite side: the other two legs of
    such a cycle together are the trade.
    """
    best = 0.0
    for cycle in routes:
        if symbol not in cycle.symbols:
            continue
        n = cycle.symbols.index(symbol)
        if cycle.sides[n] == side:
            continue
        product = 1.0
        for k in (n + 1, n + 2):
            other, taken = cycle.symbols[k % 3], cycle.sides[k % 3]
            book = books.get(other)
            if book is None or not is_usable(book):
                product = 0.0
                break
            px = side_levels(book, taken)[0][0]
            product *= keeps[other] * (1 / px if taken == "buy" else px)
        if product <= 0:
            continue
        # selling the symbol in the cycle leaves quote, which the rest turns into base: a purchase
        price = 1 / product if side == "buy" else product
        better = best == 0 or (price < best if side == "buy" else price > best)
        best = price if better else best
    return best
