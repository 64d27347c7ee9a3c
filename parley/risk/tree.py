"""Limits that lie over each other: platform over tenant over account over bot over symbol, the tightest wins.

Problem: an order belongs to several wholes at once, each with limits of its own, and whoever is refused wants
to know by whom. Here every limit of every node on an order's path is worked out as the quantity it leaves
room for; the least of them is the answer, and it carries its node's name.

Not here: what a node uses at the moment (the account's view, `rules`), who may change a limit (a new run's
settings, which its journal holds).

Invariant: pure and total. What cannot be judged leaves no room; a node that says nothing about something
leaves all of it; adding a node or tightening a limit never lets more through."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from parley.instruments import coin_of
from parley.money import exact_product
from parley.view import FirmView

from .correlation import moving_with
from .exposure import Prices, all_usable, gridlike, usable
from .loads import BotUse, Load, of_bot, of_symbol
from .nodes import LEVELS, NodeLimits, concerns, level_of

ZERO: Final = Decimal(0)
LEAST: Final = Decimal("1e-12")  # of money: prices of inverse pairs leave dust with dozens of digits
ONE: Final = Decimal(1)
HOUR_NS: Final = 3_600_000_000_000
BPS: Final = Decimal(10_000)
LESS: Final = Decimal("0.999999")
UNKNOWN: Final = Decimal("NaN")
# a first position is all there is: its share of the whole says something only beyond this share of equity
CONCENTRATION_FROM: Final = Decimal("0.25")


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """An order: ``px`` its worst price and ``mid`` in the account's money, ``depth`` in its base asset.

    ``goes_short``: it sells what need not be held. ``unit`` is what one of its quote is worth in the
    account's money, in which own orders' prices are not. ``beside`` is what parts of it for
    other exchanges have, in base. ``apart`` are assets known not to move with it,
    ``held_since`` when its agent began to hold what it adds to.
    """

    symbol: str
    side: str
    qty: Decimal
    px: Decimal
    mid: Decimal
    depth: Decimal
    now: int
    reduce_only: bool = False
    goes_short: bool = False
    unit: Decimal = ONE
    apart: frozenset[str] = frozenset()
    held_since: int | None = None
    beside: Decimal = ZERO


class Node(msgspec.Struct, frozen=True):
    """One level of an order's path: what it allows, and what it uses now. ``name`` such as ``bot:grid``."""

    name: str
    limits: NodeLimits
    load: Load


class Tightest(msgspec.Struct, frozen=True):
    """The limit that leaves least: its node, the value with the whole order, its cap, the room in base."""

    node: str
    limit: str
    value: str
    cap: str
    room: Decimal


def tightest(path: Sequence[Node], ask: Ask) -> Tightest | None:
    """Return what leaves least room for an order, None when no node on its path says anything.

    The order passes when the room is at least its quantity. Of two that leave the same the upper is named.
    """
    found = [each for node in sorted(path, key=_depth) for each in _of_node(node, ask)]
    return min(found, key=lambda each: each.room, default=None)


def refusal(path: Sequence[Node], ask: Ask) -> Tightest | None:
    """Return what keeps an order from passing, None when it may pass."""
    least = tightest(path, ask)
    # a quantity that is none, zero or less is more than any room
    return least if least is not None and not (gridlike(ask.qty) and least.room >= ask.qty) else None


def path_of(
    tree: Mapping[str, NodeLimits],
    load: Load,
    view: FirmView,
    prices: Prices,
    agent: str,
    symbol: str,
    bot: BotUse,
) -> list[Node]:
    """Return the nodes of a tree that an agent's order of a symbol passes, with what each uses.

    ``bot`` is what the agent itself came to.
    """
    path = []
    for name, limits in tree.items():
        if not concerns(name, agent, symbol):
            continue
        level = level_of(name)
        its = of_bot(load, view, prices, agent, bot) if level == "bot" else load
        path.append(Node(name, limits, of_symbol(load, symbol) if level == "symbol" else its))
    return path


def _depth(node: Node) -> int:
    return LEVELS.index(level_of(node.name))


def _of_node(node: Node, ask: Ask) -> Iterator[Tightest]:
    if not _usable(node, ask):
        yield Tightest(node.name, "not_finite", "unusable", "finite", ZERO)
        return
    for limit, value, cap, room in _always(node, ask) if ask.reduce_only else _opening(node, ask):
        yield Tightest(node.name, limit, f"{value:f}", f"{cap:f}", max(ZERO, room))


def _usable(node: Node, ask: Ask) -> bool:
    load = node.load
    amounts = [load.equity, load.peak, load.day_open, load.net, *load.by_asset.values()]
    prices = (ask.qty, ask.px, ask.mid, ask.unit)
    known = ask.side in ("buy", "sell") and all(gridlike(each) for each in prices)
    if ask.reduce_only:
        return known  # what is worth how much is asked of openings alone
    return known and all_usable((*amounts, ask.depth)) and load.equity > ZERO and load.is_priced


def _crosses(ask: Ask, px: Decimal) -> bool:
    return ask.px >= px * ask.unit if ask.side == "buy" else ask.px <= px * ask.unit


Found = tuple[str, Decimal, Decimal, Decimal]


def _hard(limit: str, value: Decimal, cap: Decimal, ask: Ask, *, broken: bool) -> Found:
    # what no smaller order would mend
    return limit, value, cap, ZERO if broken else ask.qty


def _counted(limit: str, n: int | None, most: int, ask: Ask) -> Found:
    value = UNKNOWN if n is None else Decimal(n)
    return _hard(limit, value, Decimal(most), ask, broken=n is None or n >= most)


def _always(node: Node, ask: Ask) -> Iterator[Found]:
    limits, load = node.limits, node.load
    if limits.collar_bps is not None:
        over = (ask.px - ask.mid if ask.side == "buy" else ask.mid - ask.px) / ask.mid * BPS
        yield _hard("collar_bps", over, limits.collar_bps, ask, broken=over > limits.collar_bps)
    if limits.orders_per_s is not None:
        # exits have as much again for themselves, as at the gate
        most = limits.orders_per_s * (2 if ask.reduce_only else 1)
        yield _counted("orders_per_s", load.orders_1s, most, ask)
    if limits.duplicate_window_ms is not None:
        since = ask.now - limits.duplicate_window_ms * 1_000_000
        same = [
            each
            for each in load.recent
            if each.t >= since and (each.symbol, each.side, each.qty) == (ask.symbol, ask.side, ask.qty)
        ]
        yield _hard("duplicate", Decimal(len(same)), ZERO, ask, broken=bool(same))
    if limits.self_match:
        own = [each for each in load.resting if each.symbol == ask.symbol and each.side != ask.side]
        meets = [each for each in own if each.px is None or _crosses(ask, each.px)]
        yield _hard("self_match", Decimal(len(meets)), ZERO, ask, broken=bool(meets))


def _room(ask: Ask, most: Decimal, *, fits: bool) -> Decimal:
    # the division may round; whether the order fits was found without one
    return max(most, ask.qty) if fits else min(most, ask.qty * LESS)


def _opening(node: Node, ask: Ask) -> Iterator[Found]:
    yield from _always(node, ask)
    limits, load = node.limits, node.load
    notional = ask.qty * ask.px

    def share(limit: str, used: Decimal, cap: Decimal | None) -> Iterator[Found]:
        if cap is not None:
            fits = used + notional <= cap * load.equity
            most = (cap * load.equity - used) / ask.px
            yield limit, (used + notional) / load.equity, cap, _room(ask, most, fits=fits)

    yield from share("max_order_notional", ask.beside * ask.px, limits.max_order_notional)
    if ask.side == "buy" or ask.goes_short:
        # a sale of a spot pair adds no exposure: what is not held cannot be sold
        held = load.by_asset.get(coin_of(ask.symbol), ZERO)
        yield from share("max_position", held, limits.max_position)
        yield from share("max_gross", load.gross, limits.max_gross)
        yield from share("max_leverage", load.gross, limits.max_leverage)
        yield from share("max_net", load.net if ask.side == "buy" else -load.net, limits.max_net)
        yield from _concentrated(limits, load, ask, held, notional)
        if limits.max_correlated is not None:
            moving = moving_with(coin_of(ask.symbol), load.by_asset, ask.apart)
            yield from share("max_correlated", moving, limits.max_correlated)
    yield from _aged(limits, ask)
    if limits.max_book_share is not None:
        most = limits.max_book_share * max(ZERO, ask.depth)
        value = ask.qty / ask.depth if ask.depth > ZERO else BPS
        yield "max_book_share", value, limits.max_book_share, most
    if limits.max_daily_trades is not None:
        yield _counted("max_daily_trades", load.trades_today, limits.max_daily_trades, ask)
    for limit, down, top, cap_ in (
        ("max_daily_loss", load.lost, load.day_open, limits.max_daily_loss),
        ("max_drawdown", load.fallen, load.peak, limits.max_drawdown),
    ):
        if cap_ is not None:
            yield _fall(limit, down, top, cap_, ask)


def _aged(limits: NodeLimits, ask: Ask) -> Iterator[Found]:
    cap = limits.max_position_age_h
    if cap is not None and ask.held_since is not None:
        age = ask.now - ask.held_since
        broken = age > cap * HOUR_NS
        yield _hard("max_position_age_h", Decimal(age // HOUR_NS), Decimal(cap), ask, broken=broken)


def _fall(limit: str, down: Decimal | None, top: Decimal, cap: Decimal, ask: Ask) -> Found:
    # results are marked to market: what is not realised counts
    if down is not None and down.is_finite() and abs(down) < LEAST:
        down = ZERO
    if down is None or not usable(down):
        return _hard(limit, UNKNOWN, cap, ask, broken=True)
    if top <= ZERO:
        return _hard(limit, BPS, cap, ask, broken=True)
    return _hard(limit, down / top, cap, ask, broken=down > exact_product(cap, top))


def _concentrated(
    limits: NodeLimits, load: Load, ask: Ask, held: Decimal, notional: Decimal
) -> Iterator[Found]:
    cap, gross, least = limits.max_concentration, load.gross + notional, CONCENTRATION_FROM * load.equity
    if cap is None:
        return
    fits = gross <= least or held + notional <= cap * gross
    # the most x with (held + x) / (gross + x) at the cap, or that stays below where it is asked
    most = max((cap * load.gross - held) / (1 - cap) if cap < 1 else notional, least - load.gross, ZERO)
    yield "max_concentration", (held + notional) / gross, cap, _room(ask, most / ask.px, fits=fits)
