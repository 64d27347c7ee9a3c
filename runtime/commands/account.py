"""`parley orders` and `parley positions`: what the desk has on the venue and in its books.

Not here: how the state came about (`rounds`, `explain`), what lies where (`runtime.by_exchange`). Invariant:
both tell what the journal holds, also while a desk is running; nothing is asked of the venue.
"""

from decimal import Decimal
from pathlib import Path

import msgspec
from rich.table import Table
from rich.text import Text

from orchestrator.orders import Order, OrderState
from parley.errors import UserError, nearest
from parley.ids import show_round
from parley.messages import Alarm, StateView, decode, decode_envelope
from runtime.books import ORDER_KINDS, OrderBook
from runtime.by_exchange import Lies, lies_where
from runtime.history import config_of, entries, kinds, newest_journal, open_journal
from runtime.output import console, money, number, price, print_json, short, table, when
from runtime.settings import Settings


class OrderLine(msgspec.Struct, kw_only=True):
    """One order; ``t`` market ns of its decision or of the state it was sent in."""

    cid: str
    venue_id: str
    t: int
    round: str
    agent: str
    leg: int
    child: int
    symbol: str
    side: str
    style: str
    tif: str
    qty: Decimal
    px: Decimal | None
    filled: Decimal
    avg_px: Decimal | None
    state: str
    cause: str
    alarm: str = ""
    trigger: Decimal | None = None


def list_orders(
    settings: Settings, path: Path | None, *, symbol: str | None, state: str | None, limit: int, as_json: bool
) -> int:
    """Print the newest orders that fit; returns the exit code.

    Raises
    ------
    UserError
        When there is no such journal, pair or state.
    """
    reader = open_journal(path or newest_journal(settings.home))
    run = config_of(reader)
    pairs = sorted({*run.desk.symbols, *run.instruments})
    states = [each.name.lower() for each in OrderState]
    if symbol is not None and symbol not in pairs:
        raise UserError(f"there is no pair {symbol!r}: {nearest(symbol, pairs)}")
    if state is not None and state.lower() not in states:
        raise UserError(f"there is no state {state!r}: {nearest(state, states)}")
    book = OrderBook()
    for entry in entries(reader, ORDER_KINDS):
        book.take(entry.message)
    lines = [
        _line(order, book.alarm(order))
        for order in reversed(book.all())
        if symbol in (None, order.intent.symbol) and (state is None or state.upper() == order.state.name)
    ]
    if as_json:
        print_json({"journal": str(reader.path), "found": len(lines), "orders": lines[:limit]})
        return 0
    if not lines:
        console().print(_none(len(book.all()), symbol, state))
        return 0
    shown = table(
        "time (UTC)",
        "symbol",
        "side",
        "style",
        "quantity",
        "price",
        "filled",
        "at",
        "state",
        "agent",
        "round",
    )
    for line in lines[:limit]:
        shown.add_row(
            when(line.t), line.symbol, line.side, _style(line), number(line.qty), number(line.px) or "market",
            number(line.filled), price(line.avg_px, run.instruments.get(line.symbol)),
            line.state + (f" ({line.cause})" if line.cause else ""), line.agent, short(line.round),
        )  # fmt: skip
    console().print(shown)
    for line in lines[:limit]:
        if line.alarm:
            console().print(Text(f"ALARM {line.cid}, {line.symbol}: {line.alarm}", style="bold red"))
    console().print(f"{min(limit, len(lines))} of {len(lines)} orders", style="dim")
    return 0


def _none(all_: int, symbol: str | None, state: str | None) -> str:
    if not all_:
        return "no orders yet"
    like = " ".join(word for word in (state, "on " + symbol if symbol else "") if word)
    return f"none of {all_} orders is {like}"


def _line(order: Order, alarm: Alarm | None) -> OrderLine:
    i = order.intent
    return OrderLine(
        cid=i.cid, venue_id=order.venue_id, t=order.t, round=show_round(i.round), agent=order.agent,
        leg=i.leg,
        child=i.child, symbol=i.symbol, side=i.side, style=i.style, tif=i.tif, qty=i.qty, px=i.px,
        filled=order.filled, avg_px=order.quote / order.filled if order.filled else None,
        state=order.state.name.lower(), cause=order.cause, alarm=alarm.detail if alarm else "",
        trigger=i.trigger,
    )  # fmt: skip


def _style(line: OrderLine) -> str:
    return line.style if line.trigger is None else f"stop at the venue, once {number(line.trigger)} traded"


def show_positions(settings: Settings, path: Path | None, *, as_json: bool) -> int:
    """Print the account as of the journal's last state; returns the exit code.

    Raises
    ------
    UserError
        When there is no such journal, or it holds no state yet.
    """
    reader = open_journal(path or newest_journal(settings.home))
    newest: bytes | None = None
    seq = 0
    for record in reader.records(kinds=kinds("StateView")):
        newest, seq = record.body, record.seq
    state = decode(decode_envelope(newest).body) if newest is not None else None
    if not isinstance(state, StateView):
        raise UserError(f"{str(reader.path)!r} holds no state of the account yet")
    run = config_of(reader)
    where = lies_where(reader, run, seq)
    if as_json:
        print_json({"journal": str(reader.path), "state": state} | ({"where": where} if where else {}))
        return 0
    out = console()
    out.print(
        f"{when(state.t)} UTC   {state.trading}   equity {money(state.equity)} {state.quote}"
        f"   realised {money(state.realised)}   fees {money(state.fees)}"
    )
    grids = run.instruments
    positions = table("position", "quantity", "entry", "mark", "unrealised", "realised")
    for p in state.positions:
        grid = grids.get(p.symbol)
        positions.add_row(
            p.symbol, number(p.qty), price(p.avg_px, grid), price(p.mark, grid), money(p.unrealised),
            money(p.realised),
        )  # fmt: skip
    out.print(positions if state.positions else "no positions")
    held = table("held by", "symbol", "quantity", "entry", "stop", "take", "since", "round")
    for h in state.holdings:
        grid = grids.get(h.symbol)
        held.add_row(
            h.agent, h.symbol, number(h.qty), price(h.avg_px, grid), price(h.stop, grid),
            price(h.take, grid), when(h.opened),
            short(show_round(h.round)) if h.round else "",
        )  # fmt: skip
    if state.holdings:
        out.print(held)
    cash = table("balance", "total", "reserved")
    for c in state.cash:
        cash.add_row(c.asset, number(c.total), number(c.reserved))
    out.print(cash)
    if where:
        out.print(_where(where, state.quote))
    return 0


def _where(balances: list[Lies], quote: str) -> Table:
    made = table("coin", "exchange", "amount", f"worth {quote}", title="where it lies")
    for each in balances:
        made.add_row(each.coin, each.exchange, number(each.amount), money(each.worth) or "unknown")
    return made
