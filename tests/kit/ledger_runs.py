"""Random lives of an account: what the property tests of ledger and attribution feed.

Fills on quote pairs, crosses and a pair whose base is the account's quote, fees in
any asset (rebates too), marks, funding, and fills that arrive twice. Nothing here
computes what the ledger should say.
"""

from collections.abc import Iterator
from decimal import Decimal

from hypothesis import strategies as st

from parley.ledger import EXTERNAL, Ledger
from parley.messages import Fill

from .builders import make_fill, make_instrument

SYMBOLS = ("BTC/USDT", "ETH/USDT", "BNB/USDT", "ETH/BTC", "BNB/BTC", "USDT/TRY")
INSTRUMENTS = {symbol: make_instrument(symbol) for symbol in SYMBOLS}
ASSETS = ("USDT", "BTC", "ETH", "BNB", "TRY", "DOGE")  # DOGE has no pair, so it is never valued
AGENTS = ("strategy/a", "strategy/b", EXTERNAL)

Event = tuple[object, ...]  # ("fill", Fill, agent, pid, round) | ("mark", ...) | ("funding", ...)

_qty = st.decimals(min_value=Decimal("0.00001"), max_value=Decimal(50), places=5)
_px = st.decimals(min_value=Decimal("0.01"), max_value=Decimal(70_000), places=4)
_amount = st.decimals(min_value=Decimal(-2), max_value=Decimal(2), places=8)


@st.composite
def fills(draw: st.DrawFn, n: int) -> Fill:
    """The n-th fill of a life."""
    return make_fill(
        trade_id=f"t{n}",
        symbol=draw(st.sampled_from(SYMBOLS)),
        side=draw(st.sampled_from(("buy", "sell"))),
        qty=draw(_qty),
        px=draw(_px),
        fee=draw(st.one_of(st.just(Decimal(0)), _amount)),
        fee_asset=draw(st.sampled_from(ASSETS)),
        t=n,
    )


@st.composite
def events(draw: st.DrawFn) -> list[Event]:
    """A life of up to 25 events; known fills may come again later."""
    out: list[Event] = []
    past: list[Event] = []
    for n in range(draw(st.integers(1, 25))):
        kind = draw(st.sampled_from(("fill", "fill", "fill", "mark", "funding", "again")))
        if kind == "fill":
            pid = draw(st.sampled_from((b"1", b"2", b"3", b"4")))
            agent = draw(st.sampled_from(AGENTS))
            past.append(("fill", draw(fills(n)), agent, pid, b"round" + pid))
            out.append(past[-1])
        elif kind == "again" and past:
            out.append(draw(st.sampled_from(past)))
        elif kind == "funding":
            asset = draw(st.sampled_from(ASSETS))
            out.append(("funding", draw(st.sampled_from(SYMBOLS)), draw(_amount), asset, n, f"f{n}"))
        else:
            out.append(("mark", draw(st.sampled_from(SYMBOLS)), draw(_px), n))
    return out


balances = st.dictionaries(st.sampled_from(ASSETS), st.decimals(0, 20, places=6), max_size=6)


def new_ledger() -> Ledger:
    """An empty account in USDT."""
    return Ledger("main", "USDT", INSTRUMENTS)


def opened(opening: dict[str, Decimal]) -> Ledger:
    """An account with these balances and no marks."""
    ledger = new_ledger()
    ledger.open(sorted(opening.items()), 0)
    return ledger


def play(ledger: Ledger, life: list[Event]) -> Iterator[tuple[Event, bool]]:
    """Feed a life event by event; yield each with whether it was booked. Crosses without marks are out."""
    for event in life:
        match event:
            case ("fill", Fill() as fill, str(agent), bytes(pid), bytes(round_)):
                instrument = INSTRUMENTS[fill.symbol]
                known = {"USDT", *ledger.marks}
                if not known & {instrument.base, instrument.quote}:
                    continue
                yield event, ledger.apply(fill, agent=agent, pid=pid, round=round_)
            case ("mark", str(symbol), Decimal() as px, int(t)):
                before = ledger.last
                ledger.mark(symbol, px, t)
                yield event, ledger.last is not before
            case ("funding", str(symbol), Decimal() as amount, str(asset), int(t), str(ref)):
                yield event, ledger.funding(symbol, amount, asset, t, ref)
            case _:
                raise AssertionError(event)
