"""The account as agents see it: the desk's `StateView`, sent whenever the state changes.

Agents hold no money state of their own: the host builds ``ctx.view`` from the
last `StateView`, in process too. ``state_version`` rises by one with every change.
"""

from decimal import Decimal

from .wire import Wire


class Position(Wire, frozen=True, kw_only=True):
    """A net position: ``qty`` base, ``avg_px`` entry price, PnL in quote money, ``mark`` the last mid."""

    symbol: str
    qty: Decimal
    avg_px: Decimal
    realised: Decimal
    unrealised: Decimal
    mark: Decimal


class Holding(Wire, frozen=True, kw_only=True):
    """What one proposing agent holds of a symbol: its sub-ledger; holdings sum to the position."""

    agent: str
    symbol: str
    qty: Decimal
    avg_px: Decimal
    opened: int
    round: bytes
    pid: bytes
    stop: Decimal | None = None
    take: Decimal | None = None


class Reservation(Wire, frozen=True, kw_only=True):
    """What a decision may still use at worst: ``amount`` of ``asset`` for the unfilled ``qty_left`` base."""

    rid: bytes
    round: bytes
    pid: bytes
    agent: str
    symbol: str
    side: str
    asset: str
    amount: Decimal
    qty_left: Decimal


class Cash(Wire, frozen=True, kw_only=True):
    """A balance of one asset; ``reserved`` is part of ``total``."""

    asset: str
    total: Decimal
    reserved: Decimal


class WorkingOrder(Wire, frozen=True, kw_only=True):
    """An order the desk believes alive; one with a ``trigger`` is a stop that guards ``agent``'s holding."""

    iid: bytes
    cid: str
    round: bytes
    pid: bytes
    agent: str
    leg: int
    child: int
    symbol: str
    side: str
    qty: Decimal
    filled: Decimal
    px: Decimal | None
    state: str
    t: int
    trigger: Decimal | None = None


class StateView(Wire, frozen=True, kw_only=True, tag=45):
    """The account at one version; amounts in ``quote`` where not said otherwise.

    ``equity`` marks everything at the last mid; ``peak`` is its running maximum,
    ``day_open`` its value at the start of the UTC day of ``t``. ``trading``:
    ACTIVE, REDUCING, FLATTENING or HALTED.
    """

    account: str
    state_version: int
    t: int
    quote: str
    equity: Decimal
    peak: Decimal
    day_open: Decimal
    trading: str
    cash: tuple[Cash, ...] = ()
    positions: tuple[Position, ...] = ()
    holdings: tuple[Holding, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    orders: tuple[WorkingOrder, ...] = ()
    trades_today: int = 0
    realised: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    limits_version: int = 0
    blocked: tuple[str, ...] = ()  # symbols with an UNKNOWN order: nothing may open there


class Stale(Wire, frozen=True, kw_only=True, tag=46):
    """An agent was asked for a state version it does not hold; counts as no answer."""

    agent: str
    have: int
