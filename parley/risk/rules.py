"""The pre-trade rules: each a pure, total function of a case that gives a breach or nothing.

Rules P01, P05-P15, P17 and P18 of enterprise 2.2 that mean something on a spot
account; deployment approvals, jurisdictions, wash cool-down and blackouts wait for
the profile that needs them. Data that is missing is a breach, never a pass.

`ALWAYS` is asked of every order. `OPENING` is skipped for reduce-only orders, and
holds only rules that could keep an account from getting flat; known account, grid,
collar, duplicate, self-match, fresh data and reservation are never skipped.

Invariant: a rule reads nothing but its case.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from parley.execution.protective import STOP_LIMIT
from parley.instruments import Instrument, assets_of, coin_of, plain
from parley.messages import Breach, Intent, Verdict

from .breaches import at_most, breach
from .case import BPS, ZERO, Case, Recent
from .contract_rules import liquidation, one_way
from .exposure import open_trades
from .holding_rules import correlated, position_age
from .limits import MINUTE_NS
from .states import FLATTENING, HALTED, REDUCING, STATES
from .stop_rules import out_of_reach, protective
from .tree_rule import limit_tree

Rule = Callable[[Case], Breach | None]


# always


def known_account(case: Case) -> Breach | None:
    """P01: the view exists and is of the account the order is for."""
    if case.state is None:
        return breach("unknown_account", "no_view", case.intent.account)
    known = case.state.account == case.intent.account and case.state.quote != ""
    return None if known else breach("unknown_account", case.state.account, case.intent.account)


def known_instrument(case: Case) -> Breach | None:
    """The instrument is the order's own, at the order's venue."""
    i = case.facts.instrument
    if i is None or i.symbol != case.intent.symbol or i.venue != case.intent.venue:
        return breach(
            "unknown_instrument", "none" if i is None else f"{i.symbol}@{i.venue}", case.intent.symbol
        )
    named = assets_of(i.symbol) == (i.base, i.quote)
    return None if named else breach("unknown_instrument", i.base, i.symbol)


def sound_numbers(case: Case) -> Breach | None:
    """No number is NaN, infinite, negative where forbidden, or of an absurd size."""
    return None if case.numbers_ok else breach("not_finite", "unusable", "finite")


def known_words(case: Case) -> Breach | None:
    """Side, style and time in force are known and fit together; the order says who decided it."""
    i = case.intent
    if i.side not in ("buy", "sell") or i.style not in ("market", "limit", "post_only", STOP_LIMIT):
        return breach("unknown_enum", f"{i.side} {i.style}", "known")
    if (i.style == STOP_LIMIT) != (i.trigger is not None):
        return breach("unknown_enum", f"{i.style} trigger {i.trigger}", "known")
    if i.tif not in ("GTC", "IOC", "FOK") or (i.style == "market") != (i.px is None):
        return breach("unknown_enum", f"{i.style} {i.tif} {i.px}", "known")
    if i.style in ("post_only", STOP_LIMIT) and i.tif != "GTC":
        return breach("unknown_enum", f"{i.style} {i.tif}", "GTC")
    if not i.iid or not i.cid or not i.pid:
        return breach("unknown_origin", "no_id", "id")
    # mandates are not modelled yet, so nothing may trade under one
    return breach("unknown_mandate", i.mandate_id.hex(), "none") if i.mandate_id else None


def trading_state(case: Case) -> Breach | None:
    """P01: ACTIVE trades, REDUCING and FLATTENING only reduce, HALTED and what is unknown do nothing."""
    if case.facts.trading == "ACTIVE" and case.state is not None and case.state.trading == "ACTIVE":
        return None
    states = {case.facts.trading, case.state.trading if case.state is not None else ""}
    if not states <= set(STATES) or HALTED in states:
        return breach("trading_state", "/".join(sorted(states)), "ACTIVE")
    if case.intent.reduce_only:
        return None
    return breach("trading_state", REDUCING if REDUCING in states else FLATTENING, "reduce_only")


def limits_version(case: Case) -> Breach | None:
    """The view was made under the limits that are applied."""
    have = case.state.limits_version if case.state is not None else None
    return None if have == case.limits.version else breach("limits_version", have, case.limits.version)


def gateway(case: Case) -> Breach | None:
    """The gateway has a fresh heartbeat."""
    return None if case.facts.gateway_alive is True else breach("gateway_silent", "silent", "alive")


def fresh_data(case: Case) -> Breach | None:
    """P18: the market data are young enough by the venue's clock, and not from the future."""
    if case.is_blind_exit:
        return None  # who waits for prices to leave a sinking market never leaves it
    age, most = case.facts.data_age_ms, case.limits.max_data_age_ms
    # a clock slightly ahead of ours gives a small negative age; NaN fails both comparisons
    if age is None or not -most <= age <= most:
        return breach("stale_data", "unknown" if age is None else age, most)
    if case.is_book_old:
        return breach("stale_data", "book", case.limits.max_book_age_ms)
    ahead = case.facts.book is not None and case.facts.book.t > case.facts.now + most * 1e6
    return breach("stale_data", "future", case.facts.now) if ahead else None


def sound_book(case: Case) -> Breach | None:
    """P18: a book of the symbol, sorted and uncrossed, on both sides."""
    return (
        None
        if case.book_ok and case.mid is not None
        else breach("bad_book", "missing_or_crossed", "two_sided")
    )


def grid(case: Case) -> Breach | None:
    """Price on the tick, quantity on the lot, within the venue's sizes at the worst price."""
    i, intent = case.facts.instrument, case.intent
    if i is None or not case.grid_ok:
        return breach("off_grid", f"{intent.qty}@{intent.px}", "tick_lot")
    # the minimum is checked where the venue would check it: at the limit, or at the mid
    px = intent.px if intent.px is not None else case.mid
    code = i.tradable(intent.qty, px if px is not None else ZERO)
    return breach(code, f"{intent.qty}@{px}", f"{i.min_qty}/{i.min_notional}/{i.max_qty}") if code else None


def collar(case: Case) -> Breach | None:
    """P07: not more aggressive than the collar from the mid, nor absurdly far on the passive side."""
    gap = case.gap_bps
    if gap is None:
        return breach("collar", "unknown", case.limits.collar_bps)
    over = gap if case.buys else -gap
    return at_most("collar", over, case.limits.collar_bps) or at_most(
        "collar_away", -over, case.limits.max_away_bps
    )


def cumulative_collar(case: Case) -> Breach | None:
    """P07: the worst price has not run away from the mid at the decision, that of a stop from its trigger."""
    trigger, px = case.intent.trigger, case.worst_px
    ref = case.intent.ref_px if trigger is None else trigger
    if ref is None or px is None or not case.numbers_ok:
        return breach("cumulative_collar", "unknown", case.limits.cumulative_collar_bps)
    return at_most("cumulative_collar", abs(px - ref) / ref * BPS, case.limits.cumulative_collar_bps)


def duplicate(case: Case) -> Breach | None:
    """P12: no equal order within the window, and this intent is not alive already."""
    counters, intent = case.facts.counters, case.intent
    if case.is_without_market and case.state is not None:
        # a refused exit is tried again, alike, and without a market at the same market time
        known = any(o.iid == intent.iid or o.cid == intent.cid for o in case.state.orders)
        return breach("duplicate", intent.cid, "alive") if known else None
    if counters is None or case.state is None:
        return breach("duplicate", "unknown", "counters")
    for o in case.state.orders:
        if o.iid == intent.iid or o.cid == intent.cid:
            return breach("duplicate", intent.cid, "alive")
    since = case.facts.now - case.limits.duplicate_window_ms * 1_000_000
    order = (intent.symbol, intent.side, intent.qty, intent.px)
    for r in counters.recent if case.numbers_ok else ():
        if r.t >= since and (_of_pair(r, intent), r.side, r.qty, r.px) == order:
            return breach("duplicate", f"{intent.qty}@{intent.px}", f"{case.limits.duplicate_window_ms}ms")
    return None


def _of_pair(r: Recent, intent: Intent) -> str:
    # the same at another exchange is a repetition, unless it is another part of one decision
    is_part = r.pid == intent.pid or plain(r.symbol) != plain(intent.symbol)
    return r.symbol if is_part else intent.symbol


def self_match(case: Case) -> Breach | None:
    """P15, cancel-newest: would not trade with an own resting order.

    A stop that waits is in no book; what it would meet when it wakes up is asked by `out_of_reach`.
    """
    if not case.limits.self_match_prevention or case.intent.trigger is not None:
        return None
    if case.state is None or case.worst_px is None or not case.numbers_ok:
        return breach("self_match", "unknown", "none")
    for o in case.state.orders:
        if o.symbol != case.intent.symbol or o.side == case.intent.side or o.px is None:
            continue
        if o.trigger is not None:
            continue
        if (case.worst_px >= o.px) if case.buys else (case.worst_px <= o.px):
            return breach("self_match", case.worst_px, o.px)
    return None


def order_rate(case: Case) -> Breach | None:
    """P10: orders in the last second and ten; reductions have as much again for themselves."""
    counters = case.facts.counters
    if case.is_without_market and counters is not None:
        return None  # market time stands still without a market; the gateway counts by the wall clock
    if counters is None:
        return breach("order_rate", "unknown", case.limits.orders_per_s)
    factor = 2 if case.intent.reduce_only else 1
    if counters.orders_1s >= case.limits.orders_per_s * factor:
        return breach("order_rate", counters.orders_1s, case.limits.orders_per_s * factor)
    if counters.orders_10s >= case.limits.orders_per_10s * factor:
        return breach("order_rate_10s", counters.orders_10s, case.limits.orders_per_10s * factor)
    return None


def reservation(case: Case) -> Breach | None:
    """The order fits what is left of its reservation, beside the live orders of the same leg."""
    own, intent = case.own, case.intent
    if own is None:
        return (
            None
            if intent.reduce_only and not intent.reservation_id
            else breach("no_reservation", "none", "one")
        )
    if (own.rid, own.pid, own.symbol, own.side) != (
        intent.reservation_id, intent.pid, intent.symbol, intent.side,
    ):  # fmt: skip
        return breach("wrong_reservation", own.rid.hex(), intent.reservation_id.hex())
    i = case.facts.instrument
    if not case.numbers_ok or i is None or own.asset != _spent(case, i, intent.qty, ZERO)[0]:
        return breach("wrong_reservation", own.asset, "spent_asset")
    working = case.other_working
    if intent.qty + working > own.qty_left:
        return breach("reservation", intent.qty + working, own.qty_left)
    if own.asset == i.base:
        return at_most("reservation", intent.qty + working, own.amount)
    if case.worst_px is None:
        return breach("reservation", "unknown", own.amount)
    live = sum([_spent(case, i, o.qty - o.filled, o.px or case.worst_px)[1] for o in case.same_leg], ZERO)
    return at_most("reservation", _spent(case, i, intent.qty, case.worst_px)[1] + live, own.amount)


def funds(case: Case) -> Breach | None:
    """P17: what is spent, with its fee, is there beside what others have reserved."""
    i, intent = case.facts.instrument, case.intent
    if i is None or case.facts.view is None or not case.numbers_ok:
        return breach("funds", "unknown", "free")
    if i.is_contract and intent.reduce_only:
        return None  # it frees what the position ties up; that it does not turn it over is a rule of its own
    asset = _spent(case, i, intent.qty, ZERO)[0]
    cash = case.facts.view.cash(asset)
    if cash is None or case.worst_px is None:
        return breach("funds", "unknown", asset)
    spent = _spent(case, i, intent.qty, case.worst_px)[1]
    if asset == i.quote:
        spent += intent.qty * case.worst_px * max(i.taker_fee, i.maker_fee, ZERO)
    # the own reservation, where the view has it, is money set aside for this very leg
    free = cash.total - cash.reserved + (case.standing.amount if case.standing is not None else ZERO)
    taken = sum([_spent(case, i, o.qty - o.filled, o.px or case.worst_px)[1] for o in case.same_leg], ZERO)
    return at_most("funds", spent + taken, free)


def _spent(case: Case, i: Instrument, qty: Decimal, px: Decimal) -> tuple[str, Decimal]:
    return i.tied_up(case.intent.side, qty, px, reduces=case.intent.reduce_only)


def reduce_only(case: Case) -> Breach | None:
    """A reduction shrinks the position: opposite side (trap T1), and with all others not beyond zero."""
    if not case.intent.reduce_only:
        return None
    if not case.numbers_ok or case.state is None or case.held == 0:
        return breach("reduce_only", "no_position", "position")
    if case.intent.side != ("sell" if case.held > 0 else "buy"):
        return breach("reduce_only", case.intent.side, "wrong_exit_side")
    return at_most("reduce_only", case.intent.qty + case.other_working + case.leaving, abs(case.held))


def verdict(case: Case) -> Breach | None:
    """Risk's verdict is about this proposal and still good; an opening order cannot do without one.

    A first child needs a verdict on this very state, unexpired. A later child rests on
    the verdict of its decision for at most ``max_schedule_min``.
    """
    v, intent = case.facts.verdict, case.intent
    if v is None:
        return None if intent.reduce_only else breach("no_verdict", "none", "one")
    if v.pid != intent.pid or not v.ok or case.state is None or not case.numbers_ok:
        return breach("verdict", "refused" if v.pid == intent.pid else v.pid.hex(), intent.pid.hex())
    beside = case.facts.beside
    if (intent.leg == 0 or beside is not None) and intent.qty + (beside or ZERO) > v.max_qty:
        return breach("verdict_qty", intent.qty + (beside or ZERO), v.max_qty)
    if v.risk_epoch < case.facts.risk_epoch and not intent.reduce_only:
        return breach("verdict_epoch", v.risk_epoch, case.facts.risk_epoch)
    return _verdict_age(case, v)


def _verdict_age(case: Case, v: Verdict) -> Breach | None:
    have = case.state.state_version if case.state is not None else -1
    first = case.intent.child == 0
    if v.state_version > have or (first and v.state_version != have):
        return breach("verdict_version", v.state_version, have)
    until = v.valid_until + (0 if first else case.limits.max_schedule_min * MINUTE_NS)
    return None if case.facts.now < until else breach("verdict_expired", case.facts.now, until)


# opening only


def clock(case: Case) -> Breach | None:
    """P18: the gateway's offset to the venue's clock is known and small."""
    offset, most = case.facts.clock_offset_ms, case.limits.max_clock_offset_ms
    if offset is None or not -most <= offset <= most:
        return breach("clock_offset", "unknown" if offset is None else offset, most)
    return None


def listed(case: Case) -> Breach | None:
    """P05: the symbol may be traded, and no order on it is in an unknown state."""
    symbol, limits = case.intent.symbol, case.limits
    pair = plain(symbol)  # it is named for all exchanges, or for one of them
    is_let = not limits.whitelist or symbol in limits.whitelist or pair in limits.whitelist
    if symbol in limits.blacklist or pair in limits.blacklist or not is_let:
        return breach("symbol_list", symbol, "allowed")
    blocked = case.state is None or symbol in case.state.blocked or pair in case.state.blocked
    return breach("symbol_blocked", symbol, "known_orders") if blocked else None


def spread(case: Case) -> Breach | None:
    """P18: the spread is not wider than is sane."""
    most = case.limits.max_spread_bps
    if case.spread_bps is None:
        return breach("spread", "unknown", most)
    return breach("spread", case.spread_bps, most) if case.spread_bps > most else None


def slippage(case: Case) -> Breach | None:
    """The worst price of an order that takes liquidity is near the mid."""
    gap = case.gap_bps
    if gap is None:
        return breach("slippage", "unknown", case.limits.max_slippage_bps)
    return at_most("slippage", gap if case.buys else -gap, case.limits.max_slippage_bps)


def book_share(case: Case) -> Breach | None:
    """P09: the order is a small part of what the other side of the book shows."""
    if not case.book_ok or not case.numbers_ok or case.depth <= 0:
        return breach("book_share", "unknown", case.limits.max_book_share)
    share = float(case.intent.qty) / case.depth
    most = case.limits.max_book_share
    return breach("book_share", share, most) if share > most else None


def order_notional(case: Case) -> Breach | None:
    """P08: order value against equity, with the parts of it for other exchanges."""
    value, beside = case.notional, case.facts.beside
    if value is not None and beside:
        value = value * (case.intent.qty + beside) / case.intent.qty
    return at_most("max_order_notional", case.share(value), case.limits.max_order_notional)


def position_size(case: Case) -> Breach | None:
    """P13: worst-case value of the order's asset against equity."""
    value = case.exposure.by_asset.get(coin_of(case.intent.symbol)) if case.exposure is not None else None
    return at_most("max_position", case.share(value), case.limits.max_position)


def gross_exposure(case: Case) -> Breach | None:
    """P13, P06: worst-case gross value of all assets against equity; leverage is the same number."""
    known = case.exposure is not None and not case.exposure.unpriced
    share = case.share(case.exposure.gross) if known and case.exposure is not None else None
    return at_most("max_gross", share, case.limits.max_gross) or at_most(
        "max_leverage", share, case.limits.max_leverage
    )


def net_exposure(case: Case) -> Breach | None:
    """P13: worst-case net value of all assets against equity."""
    known = case.exposure is not None and not case.exposure.unpriced
    share = case.share(abs(case.exposure.net)) if known and case.exposure is not None else None
    return at_most("max_net", share, case.limits.max_net)


def uninvested(case: Case) -> Breach | None:
    """F256: after this order a share of equity stays in free quote money."""
    view, state, own = case.facts.view, case.state, case.own
    least = case.limits.min_uninvested
    if view is None or state is None or own is None or not case.numbers_ok or (free := view.money) is None:
        return breach("min_uninvested", "unknown", least)
    i = case.facts.instrument
    if plain(own.asset) != state.quote or not (case.buys or (i is not None and i.is_contract)):
        return None
    left = case.share(free - (ZERO if case.standing is not None else own.amount))
    if left is None:
        return breach("min_uninvested", "unknown", least)
    return breach("min_uninvested", left, least) if left < least else None


def day_loss(case: Case) -> Breach | None:
    """P14, F238: loss since the start of the UTC day."""
    known = case.state is not None and case.numbers_ok and case.state.day_open > ZERO
    return at_most("max_daily_loss", case.day_loss if known else None, case.limits.max_daily_loss)


def drawdown(case: Case) -> Breach | None:
    """P14, F241: fall from the true peak; nothing opens beyond the flatten threshold, ever."""
    known = case.state is not None and case.numbers_ok and case.state.peak > ZERO
    return at_most("max_drawdown", case.drawdown if known else None, case.limits.breakers.flatten_drawdown)


def activity(case: Case) -> Breach | None:
    """F237, P11: trades today, trades open, and repeated executions."""
    counters, limits = case.facts.counters, case.limits
    if counters is None or case.state is None:
        return breach("max_daily_trades", "unknown", limits.max_daily_trades)
    trades = max(counters.trades_today, case.state.trades_today)
    if trades >= limits.max_daily_trades:
        return breach("max_daily_trades", trades, limits.max_daily_trades)
    if case.facts.view is None or not case.numbers_ok or case.own is None:
        return breach("max_open_trades", "unknown", limits.max_open_trades)
    trade = (case.own.agent, plain(case.intent.symbol))
    others = open_trades(case.facts.view) - {trade}
    if len(others) >= limits.max_open_trades:
        return breach("max_open_trades", len(others) + 1, limits.max_open_trades)
    repeated = counters.repeats >= limits.max_repeats
    return breach("max_repeats", counters.repeats, limits.max_repeats) if repeated else None


ALWAYS: Final[tuple[Rule, ...]] = (
    sound_numbers, known_account, known_instrument, known_words, trading_state, limits_version, gateway,
    fresh_data, sound_book, grid, collar, cumulative_collar, duplicate, self_match, order_rate, reduce_only,
    protective, out_of_reach, reservation, funds, verdict, limit_tree,
)  # fmt: skip
OPENING: Final[tuple[Rule, ...]] = (
    clock, listed, spread, slippage, book_share, order_notional, position_size, gross_exposure, net_exposure,
    correlated, position_age, one_way, liquidation,
    uninvested, day_loss, drawdown, activity,
)  # fmt: skip


def evaluated(case: Case) -> tuple[tuple[str, str], ...]:
    """Give the numbers the rules looked at, as text, for the record and the hash."""
    e, counters = case.exposure, case.facts.counters
    numbers: tuple[tuple[str, object], ...] = (
        ("mid", case.mid), ("worst_px", case.worst_px), ("notional", case.notional), ("equity", case.equity),
        ("gross", e.gross if e else None), ("net", e.net if e else None), ("held", case.held),
        ("depth", case.depth), ("spread_bps", case.spread_bps), ("data_age_ms", case.facts.data_age_ms),
        ("clock_offset_ms", case.facts.clock_offset_ms),
        ("day_loss", case.day_loss), ("drawdown", case.drawdown),
        ("orders_1s", counters.orders_1s if counters else None), ("trading", case.facts.trading),
        ("state_version", case.state.state_version if case.state else None),
    )  # fmt: skip
    if case.intent.trigger is not None:
        numbers = (*numbers, ("trigger", case.intent.trigger))
    return tuple([(name, str(value)) for name, value in numbers])
