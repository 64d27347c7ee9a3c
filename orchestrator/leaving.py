"""The desk's own proposals to leave: one per position, when a person or a breaker says flatten.

Not here: when that is (`firm`), how it is negotiated (`negotiation`).
"""

from collections.abc import Collection
from decimal import Decimal

from parley.instruments import Instrument
from parley.messages import Holding, Leg, Proposal, Trigger
from parley.money import decimal

from .account import Account
from .market import Market
from .policy import DeskConfig
from .pooled import parts_of
from .table import DESK, Table

MAX_HOLDERS = 1024
BLIND_PAUSE_NS = 5_000_000_000  # between two tries to leave without a market


class Blind:
    """Paces the tries to leave while no market comes; counts them, because market time stands still."""

    def __init__(self) -> None:
        self._tries = 0
        self._last: int | None = None

    def due(self, now: int) -> int:
        """Give the number of the try that is due at a steady time, ns, 0 when none is."""
        if self._last is not None and now - self._last < BLIND_PAUSE_NS:
            return 0
        self._last = now
        self._tries += 1
        return self._tries


def to_leave(
    table: Table,
    account: Account,
    market: Market,
    of: Collection[str] | None = None,
    symbols: Collection[str] | None = None,
) -> list[tuple[int, Holding, Decimal]]:
    """Give what can be left now and is not being left yet, as (number, holding, quantity).

    ``of`` names the holders and ``symbols`` the symbols it is about; None is all.
    """
    found = []
    for n, holding in enumerate(account.holdings()):
        if (of is not None and holding.agent not in of) or (
            symbols is not None and holding.symbol not in symbols
        ):
            continue
        instrument = table.env.instruments.get(holding.symbol)
        mid = market.mids().get(holding.symbol)
        if account.is_pooled:  # what is enough for an order only together is enough nowhere
            parts = parts_of(account.ledger, holding.agent, holding.symbol, account.instruments)
            if not any(_fits(account.instruments[part.symbol], part, market) for part in parts):
                continue
            mid = next(m for part in parts if (m := market.mids().get(part.symbol)) is not None)
        if instrument is None or mid is None:
            continue
        qty = instrument.qty(abs(holding.qty))
        busy = any((x.agent, x.symbol) == (holding.agent, holding.symbol) for x in account.legs.all())
        if busy or instrument.tradable(qty, decimal(mid)):
            continue
        found.append((n, holding, qty))
    return found


def _fits(instrument: Instrument, part: Holding, market: Market) -> bool:
    mid = market.mids().get(part.symbol)
    return mid is not None and not instrument.tradable(instrument.qty(abs(part.qty)), decimal(mid))


def trigger_of(holding: Holding, n: int, why: str, md_seq: int, now: int, step: int) -> Trigger:
    """Name the round in which a holding is left; two batches may have the same time, hence ``step``."""
    return Trigger(
        source=why,
        symbol=holding.symbol,
        kind="cmd",
        payload_hash=b"",
        md_seq=md_seq,
        t=now,
        nth=step * MAX_HOLDERS + n,
    )


def exit_of(holding: Holding, qty: Decimal, config: DeskConfig, why: str = "flatten") -> Proposal:
    """Propose to leave a holding at once, on behalf of whoever holds it; its round names it."""
    return Proposal(
        pid=b"",
        agent=holding.agent,
        agent_version=DESK,
        symbol=holding.symbol,
        legs=(
            Leg(
                symbol=holding.symbol,
                side="sell" if holding.qty > 0 else "buy",
                qty=qty,
                tif="IOC",
                reduce_only=True,
            ),
        ),
        edge_bps=0.0,
        conf=1.0,
        horizon_ms=1000,
        stop=None,
        take=None,
        max_slippage_bps=300.0,
        ttl_ns=config.tf_ns,
        why=why,
        urgency="urgent",
    )
