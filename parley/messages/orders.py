"""From a decided order to the venue's facts about it (negotiation 2.2 and 7).

`OrderRequest` and `CancelRequest` are what the execution agent asks of the desk;
only the desk, after the gate, makes an `Intent` or a `CancelIntent` of them.
Times ``*_ns`` are wall time, ``t`` market time.
"""

from decimal import Decimal
from typing import Final

from .wire import Wire


class OrderRequest(Wire, frozen=True, kw_only=True, tag=50):
    """Ask the desk for the next child of a decided leg. ``style`` market, limit or post_only."""

    agent: str
    round: bytes
    pid: bytes
    leg: int
    child: int
    qty: Decimal
    style: str
    px: Decimal | None
    tif: str
    why: str


class CancelRequest(Wire, frozen=True, kw_only=True, tag=51):
    """Ask the desk to cancel a working order."""

    agent: str
    iid: bytes
    why: str


class ScheduleDone(Wire, frozen=True, kw_only=True, tag=52):
    """The execution agent will send nothing more for a decided leg: the rest of its reservation is freed."""

    agent: str
    round: bytes
    pid: bytes
    leg: int
    why: str


class Intent(Wire, frozen=True, kw_only=True, tag=53):
    """An order that passed the gate; durable before it is sent. ``px`` None: market.

    ``send_by`` is monotonic ns: the gateway refuses to send later. ``style`` stop_limit: the venue holds it
    until a trade reaches ``trigger``, then it is a limit order at ``px``.
    """

    iid: bytes
    cid: str
    round: bytes
    pid: bytes
    leg: int
    child: int
    account: str
    venue: str
    symbol: str
    side: str
    qty: Decimal
    px: Decimal | None
    style: str
    tif: str
    reduce_only: bool
    send_by: int
    epoch: int
    reservation_id: bytes
    risk_hash: bytes
    attempt: int = 1
    mandate_id: bytes = b""
    ref_px: Decimal | None = None  # mid at the decision: collar and shortfall are measured from it
    agent: str = ""  # whose idea it was, and whose position it changes: kills of a bot go by it
    trigger: Decimal | None = None  # of a stop that the venue holds; None: it is no stop


class CancelIntent(Wire, frozen=True, kw_only=True, tag=54):
    """A cancel, durable like an `Intent`."""

    iid: bytes
    cid: str
    round: bytes
    account: str
    venue: str
    symbol: str
    send_by: int
    epoch: int
    n: int = 1


class Attempt(Wire, frozen=True, kw_only=True, tag=55):
    """The gateway's own durable record before it sends: accepted, unseen until now, fence known."""

    iid: bytes
    cid: str
    n: int
    t_send: int
    fence_until: int
    body_hash: bytes
    desk_head: bytes


class Ack(Wire, frozen=True, kw_only=True, tag=56):
    """The venue accepted an order (or a cancel)."""

    iid: bytes
    venue_id: str
    t_venue: int
    cancel: bool = False


LAST_LOOK: Final = "last_look:"
"""The code of a refusal that is the gateway's own, not its venue's, begins with it."""
UNGUARDED: Final = LAST_LOOK + "dead_man"
"""The code of a refusal of what may rest while the venue does not promise to cancel it if we fall silent."""
UNACCEPTED: Final = "not_accepted"
"""The code with which a gateway ends an order in doubt that its venue turned out not to have."""


class VenueReject(Wire, frozen=True, kw_only=True, tag=57):
    """The venue, or the gateway's last look, refused; ``definitive``: the order cannot exist."""

    iid: bytes
    code: str
    definitive: bool
    detail: str = ""
    cancel: bool = False


class Unknown(Wire, frozen=True, kw_only=True, tag=58):
    """Nobody knows whether the order exists; its worst case stays reserved."""

    iid: bytes
    cause: str
    cancel: bool = False


class OrderEvent(Wire, frozen=True, kw_only=True, tag=60):
    """The venue's state of an order: open, closed, canceled, expired, rejected. ``t`` is market time."""

    iid: bytes
    venue_id: str
    symbol: str
    status: str
    cum_qty: Decimal
    avg_px: Decimal
    t: int
    venue_seq: int = 0


class Fill(Wire, frozen=True, kw_only=True, tag=61):
    """One execution, keyed by (venue, account, trade_id). ``fee`` is in ``fee_asset``; ``t``: market time."""

    trade_id: str
    venue: str
    account: str
    iid: bytes
    venue_id: str
    symbol: str
    side: str
    qty: Decimal
    px: Decimal
    fee: Decimal
    fee_asset: str
    liquidity: str
    t: int


class Crossed(Wire, frozen=True, kw_only=True, tag=86):
    """In a round an agent gave another what that one bought: of no order, at no fee, unseen by the venue.

    ``px`` is the mid; ``saved`` about what it would have cost both outside, the spread and a taker's fee
    each, in quote. ``pid`` is the buyer's proposal, the one decided; ``seller_pid`` is that of the exit, of
    which this is the whole or a part. ``t``: market time.
    """

    round: bytes
    symbol: str
    seller: str
    buyer: str
    qty: Decimal
    px: Decimal
    saved: Decimal
    pid: bytes
    seller_pid: bytes
    t: int


MARKET: Final = "market"
"""The stream of a `Gap` that says that the hub is gone, and of the `Compared` that takes it back."""


class Gap(Wire, frozen=True, kw_only=True, tag=62):
    """Something of the account may be missing; ``stream`` says of what.

    ``user``: the private stream, between two of its positions. ``account``: the venue's balances are less
    than the fills say. ``late:<client id>``: an order appeared that was thought not to exist.
    ``forced:<symbol>``: the venue closed a position by itself. ``market``: the hub is gone behind the step
    ``from_seq``, and the books are of then.
    """

    stream: str
    from_seq: int
    to_seq: int


class Balance(Wire, frozen=True, kw_only=True, tag=63):
    """The venue's balances at start, from which the ledger opens."""

    account: str
    venue: str
    assets: tuple[tuple[str, Decimal], ...]
    t: int


class Void(Wire, frozen=True, kw_only=True, tag=64):
    """The commit of a round came back after its ``send_by``: nothing of it was sent."""

    round: bytes
    iids: tuple[bytes, ...]
    why: str


class Compared(Wire, frozen=True, kw_only=True, tag=66):
    """The venue's balances were held against all fills: of these streams nothing is missing any more.

    ``market``: every book was told anew.
    """

    streams: tuple[str, ...]
    t: int


class FundingPaid(Wire, frozen=True, kw_only=True, tag=83):
    """The venue's payment for holding a contract: ``amount`` of ``asset`` received, negative when paid.

    Also the fee of a liquidation. ``ref`` is the venue's number of it; ``t`` market time. ``prior``: it was
    paid before the account was opened here, and is part of its opening balance (of nothing where it names a
    trade that the venue made by itself).
    """

    account: str
    symbol: str
    amount: Decimal
    asset: str
    t: int
    ref: str
    prior: bool = False


class GateRefusal(Wire, frozen=True, kw_only=True, tag=65):
    """The gate refused an order: which rule, the value and its cap."""

    iid: bytes
    round: bytes
    code: str
    value: str
    cap: str
