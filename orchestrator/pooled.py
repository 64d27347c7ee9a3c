"""The account as agents see it, where it lies at several exchanges: one position of a pair, one purse.

Problem: what is bought at one exchange can be sold only there and is paid only with what lies there, so
ledger and gate count each exchange by itself. Agents negotiate about pairs: how much of one is held and what
may be spent on it, wherever. Which exchange gets the order is the desk's own business (`routing`).

Not here: what is whose (`parley.ledger`), limits, which count a coin over all exchanges (`parley.risk`).

Invariant: sums over positions, holdings, cash and reservations stay what they are; of an account at one
exchange nothing changes.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from msgspec.structs import replace

from parley.instruments import AT, Instrument, coin_of, plain
from parley.ledger import Ledger
from parley.messages import Cash, Holding, Position, StateView
from parley.money import average, exact

ZERO = Decimal(0)


def is_pooled(names: Iterable[str]) -> bool:
    """Whether any symbol is of another exchange than the first one."""
    return any(AT in name for name in names)


def by_pair(symbols: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Return the symbols of each pair that several exchanges trade, that of the first one before all."""
    found: dict[str, list[str]] = {}
    for symbol in sorted(symbols, key=lambda each: (AT in each, each)):
        found.setdefault(plain(symbol), []).append(symbol)
    return {pair: tuple(each) for pair, each in found.items() if len(each) > 1}


def pooled(state: StateView, instruments: Mapping[str, Instrument]) -> StateView:
    """Tell the account by pairs and currencies, without exchanges."""
    return replace(
        state,
        cash=_cash(state.cash),
        positions=_positions(state.positions),
        holdings=pooled_holdings(state.holdings, instruments),
        reservations=tuple(
            [replace(r, symbol=plain(r.symbol), asset=plain(r.asset)) for r in state.reservations]
        ),
        orders=tuple([replace(o, symbol=plain(o.symbol)) for o in state.orders]),
        blocked=tuple(sorted({plain(symbol) for symbol in state.blocked})),
    )


def pooled_holdings(
    holdings: Iterable[Holding], instruments: Mapping[str, Instrument]
) -> tuple[Holding, ...]:
    """Put together what each agent holds of a pair; it is as old as the oldest part that is no dust."""
    found: dict[tuple[str, str], list[Holding]] = {}
    for holding in holdings:
        found.setdefault((plain(holding.symbol), holding.agent), []).append(holding)
    out = []
    with exact():
        for (symbol, _), parts in sorted(found.items()):
            if len(parts) == 1:
                out.append(replace(parts[0], symbol=symbol))
                continue
            qty = sum((part.qty for part in parts), ZERO)
            cost = sum((part.qty * part.avg_px for part in parts), ZERO)
            oldest = min(parts, key=lambda part: (is_dust(part, instruments), part.opened, part.symbol))
            out.append(replace(oldest, symbol=symbol, qty=qty, avg_px=average(cost, qty) if qty else ZERO))
    return tuple(out)


def is_dust(holding: Holding, instruments: Mapping[str, Instrument]) -> bool:
    """Whether a holding is less than can be ordered where it lies."""
    instrument = instruments.get(holding.symbol)
    return instrument is not None and abs(holding.qty) < instrument.lot


def parts_of(
    ledger: Ledger, agent: str, symbol: str, instruments: Mapping[str, Instrument]
) -> tuple[Holding, ...]:
    """Return what an agent holds of what a pair trades, at each exchange by itself; without dust."""
    coin = coin_of(symbol)
    own = (h for h in ledger.holdings() if h.agent == agent and coin_of(h.symbol) == coin)
    return tuple([h for h in own if not is_dust(h, instruments)])


def _cash(purses: Iterable[Cash]) -> tuple[Cash, ...]:
    found: dict[str, Cash] = {}
    with exact():
        for purse in purses:
            asset = plain(purse.asset)
            one = found.get(asset)
            found[asset] = Cash(
                asset=asset,
                total=purse.total + (one.total if one else ZERO),
                reserved=purse.reserved + (one.reserved if one else ZERO),
            )
    return tuple(found[asset] for asset in sorted(found))


def _positions(positions: Iterable[Position]) -> tuple[Position, ...]:
    found: dict[str, list[Position]] = {}
    for position in positions:
        found.setdefault(plain(position.symbol), []).append(position)
    return tuple([_position(symbol, parts) for symbol, parts in sorted(found.items())])


def _position(symbol: str, parts: list[Position]) -> Position:
    if len(parts) == 1:
        return replace(parts[0], symbol=symbol)
    with exact():
        qty = sum((part.qty for part in parts), ZERO)
        cost = sum((part.qty * part.avg_px for part in parts), ZERO)
        value = sum((part.qty * part.mark for part in parts), ZERO)
        return Position(
            symbol=symbol, qty=qty, avg_px=average(cost, qty) if qty else ZERO,
            realised=sum((part.realised for part in parts), ZERO),
            unrealised=sum((part.unrealised for part in parts), ZERO),
            mark=average(value, qty) if qty else parts[0].mark,
        )  # fmt: skip
