"""A venue without a network: it takes every order and fills it whole at its own price.

Problem: the benchmark of a round measures from the event to the order handed to the venue client; a venue
behind a socket would be measured instead. Not here: a market, rejections, resting orders: whatever needs an
exchange uses the sandbox. Invariant: `send` answers `Acked` without suspending.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from parley.instruments import Instrument
from parley.messages import CancelIntent, Fill, FundingPaid, Intent
from venues.capabilities import Capabilities
from venues.limits import NoLimits
from venues.meter import Meter
from venues.port import Absent, Acked, KeyRights, OnFact, Resting, SendResult, VenueError

TAKER_FEE = Decimal("0.001")
# No order is ever in doubt here, so there is none to look up; what a process before this one sent is gone.
CAPABILITIES: Final = Capabilities(
    cid_len=36, cid_charset="a-zA-Z0-9_-", uniqueness="none", look_up=("open", "closed"), retention_h=0,
    fence="", cancel_by_cid=True, post_only=True, reduce_only=False, stops=False, amend=False,
)  # fmt: skip


class NullVenue:
    """Takes orders for `symbols`; `balances` is what it says the account owns."""

    def __init__(
        self, symbols: Sequence[str], balances: Sequence[tuple[str, Decimal]], name: str = "null"
    ) -> None:
        self._name = name
        self._symbols = tuple(symbols)
        self._balances = tuple(sorted(balances))
        self._taken = 0
        self.meter = Meter(NoLimits())

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    @property
    def fence_ns(self) -> int:
        return 0

    @property
    def lag_ns(self) -> int:
        return 0

    async def connect(self) -> dict[str, Instrument]:
        return {symbol: self._instrument(symbol) for symbol in self._symbols}

    def _instrument(self, symbol: str) -> Instrument:
        base, _, quote = symbol.partition("/")
        return Instrument(
            symbol=symbol, venue=self._name, base=base, quote=quote, tick=Decimal("0.01"),
            lot=Decimal("0.00001"), min_qty=Decimal("0.00001"), max_qty=Decimal(9_000_000),
            min_notional=Decimal(5), maker_fee=TAKER_FEE, taker_fee=TAKER_FEE,
        )  # fmt: skip

    async def balances(self) -> tuple[tuple[str, Decimal], ...]:
        return self._balances

    async def marks(self) -> Mapping[str, Decimal]:
        return {}

    async def clock_offset_ms(self) -> float:
        return 0.0

    async def unasked(self) -> Sequence[FundingPaid]:
        return ()

    async def key_rights(self) -> KeyRights:
        return KeyRights(trades=True, withdraws=False)

    async def unfit(self) -> Sequence[str]:
        return ()

    async def prepare(self) -> None:
        pass

    def know(self, cid: str, iid: bytes) -> None:
        pass

    async def send(self, intent: Intent) -> SendResult:
        now = time.time_ns()
        self._taken += 1
        venue_id = f"{self._name}-{self._taken}"
        px = intent.px or intent.ref_px or Decimal(1)
        base, _, quote = intent.symbol.partition("/")
        bought = intent.side == "buy"
        fill = Fill(
            trade_id=str(self._taken), venue=self._name, account=intent.account, iid=intent.iid,
            venue_id=venue_id, symbol=intent.symbol, side=intent.side, qty=intent.qty, px=px,
            fee=(intent.qty if bought else intent.qty * px) * TAKER_FEE, fee_asset=base if bought else quote,
            liquidity="taker", t=now,
        )  # fmt: skip
        return Acked(venue_id=venue_id, t_venue=now, fills=(fill,))

    async def cancel(self, intent: CancelIntent) -> SendResult:
        return Acked(venue_id="", t_venue=time.time_ns())

    async def look_up(self, intent: Intent) -> Acked | Absent:
        raise VenueError(f"{self._name} remembers no orders")

    async def resting(self, tag: str) -> Sequence[Resting]:
        return ()

    async def follow(self, on_fact: OnFact, on_ready: Callable[[], None]) -> None:
        on_ready()
        await asyncio.Event().wait()

    async def hears(self) -> bool:
        return True

    async def close(self) -> None:
        pass
