"""What the nodes of the limit tree use: positions and all that works, at their worst, out of one account's
view.

Problem: proposals are judged side by side, each before the others have an effect. So what counts is what
would be held if everything that was let through came true: reservations in full, on the side that makes them
worse. The order that is judged is left out here, for whoever judges adds it.

Not here: the limits (`tree`). Platform, tenant and account are the same account as long as a firm has one;
what a bot uses is what its agent holds and has reserved, what it made of that, and the orders it sent.

Invariant: a view is read, never changed; an asset without a price makes the load unusable (`is_priced`), and
what nobody knows is None, never zero.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from parley.instruments import assets_of, coin_of, plain
from parley.messages import StateView
from parley.money import exact_difference
from parley.view import FirmView

from .exposure import Prices, exposure

ZERO = Decimal(0)


class Sent(msgspec.Struct, frozen=True):
    """An order that was sent at ``t``."""

    symbol: str
    side: str
    qty: Decimal
    t: int


class Resting(msgspec.Struct, frozen=True):
    """An own order that may rest in a book; ``px`` None takes any price."""

    symbol: str
    side: str
    px: Decimal | None


class BotUse(msgspec.Struct, frozen=True, kw_only=True):
    """What one agent's own decisions came to, in quote money; None is "not known" and refuses.

    ``lost`` since the start of the UTC day and ``fallen`` from its best are of the realised and unrealised
    result of its sub-ledger, below zero where it won; ``trades_today`` are executions of its orders.
    """

    lost: Decimal | None = None
    fallen: Decimal | None = None
    trades_today: int | None = None
    orders_1s: int | None = None


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """A node's use: worst-case values by asset (absolute) and their net, in the money of its equity.

    ``lost`` today and ``fallen`` from the best are the node's own; what they are shares of, ``day_open`` and
    ``peak``, is the account's.
    """

    equity: Decimal
    peak: Decimal
    day_open: Decimal
    lost: Decimal | None = None
    fallen: Decimal | None = None
    by_asset: Mapping[str, Decimal] = {}
    net: Decimal = ZERO
    trades_today: int | None = 0
    orders_1s: int | None = 0
    recent: tuple[Sent, ...] = ()
    resting: tuple[Resting, ...] = ()
    is_priced: bool = True

    @property
    def gross(self) -> Decimal:
        """The sum of all assets' worst-case values."""
        return sum(self.by_asset.values(), ZERO)


def without(view: FirmView, rid: bytes, pid: bytes) -> FirmView:
    """Give the view without what an order or its proposal has reserved."""
    state = view.state
    kept = tuple(r for r in state.reservations if not ((rid and r.rid == rid) or (pid and r.pid == pid)))
    if len(kept) == len(state.reservations):
        return view
    return FirmView(msgspec.structs.replace(state, reservations=kept))


def of_account(view: FirmView, prices: Prices, *, recent: tuple[Sent, ...] = (), orders_1s: int = 0) -> Load:
    """What the whole account uses."""
    found = exposure(view, prices)
    state = view.state
    return Load(
        equity=state.equity, peak=state.peak, day_open=state.day_open,
        lost=exact_difference(state.day_open, state.equity),
        fallen=exact_difference(state.peak, state.equity), by_asset=found.by_asset, net=found.net,
        trades_today=state.trades_today, orders_1s=orders_1s, recent=recent, resting=_resting(state),
        is_priced=not found.unpriced,
    )  # fmt: skip


def of_bot(load: Load, view: FirmView, prices: Prices, agent: str, bot: BotUse) -> Load:
    """What one agent uses of an account's load."""
    held: dict[str, Decimal] = {}
    coming: dict[str, Decimal] = {}
    going: dict[str, Decimal] = {}
    for h in view.state.holdings:
        if h.agent == agent:
            _add(held, h.symbol, h.qty)
    for r in view.state.reservations:
        if r.agent == agent:
            _add(coming if r.side == "buy" else going, r.symbol, r.qty_left)
    by_asset: dict[str, Decimal] = {}
    net, is_priced = ZERO, True
    for asset in sorted({*held, *coming, *going}):
        price = prices.of(asset)
        if price is None:
            is_priced = False
            continue
        most = held.get(asset, ZERO) + coming.get(asset, ZERO)
        least = held.get(asset, ZERO) - going.get(asset, ZERO)
        coin = plain(asset)
        by_asset[coin] = by_asset.get(coin, ZERO) + max(abs(most), abs(least)) * price
        net += most * price
    return msgspec.structs.replace(
        load, by_asset=by_asset, net=net, is_priced=is_priced, lost=bot.lost, fallen=bot.fallen,
        trades_today=bot.trades_today, orders_1s=bot.orders_1s,
    )  # fmt: skip


def of_symbol(load: Load, symbol: str) -> Load:
    """What an account uses of one symbol's base asset."""
    coin = coin_of(symbol)
    value = load.by_asset.get(coin, ZERO)
    return msgspec.structs.replace(load, by_asset={coin: value}, net=value)


def _resting(state: StateView) -> tuple[Resting, ...]:
    # a stop that waits is in no book; where it must not be met is a rule of its own (`stop_rules`)
    return tuple([Resting(o.symbol, o.side, o.px) for o in state.orders if o.trigger is None])


def _add(to: dict[str, Decimal], symbol: str, qty: Decimal) -> None:
    asset, _ = assets_of(symbol)
    to[asset] = to.get(asset, ZERO) + qty
