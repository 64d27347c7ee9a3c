"""Whether an account may be traded with real money, and whether its money moved as its orders say.

Problem: what is harmless on paper costs money live: a key that can withdraw, a clock that is off so that
requests are refused or accepted late, an account that does not hold what the desk believes to have. All of
it is asked of the venue before anything is sent; what cannot be found out counts against it. And at the end
the venue's own balances are held against the fills, since here no truth log says who is right.

A desk manages ``capital`` of the account and what its own orders made of it. The rest of the account is
somebody else's: it is neither counted nor touched.

Not here: what a venue promises (`venues.capabilities`), what a user must say (`runtime.commands.live`).

Invariant: nothing here sends an order, and an account qualifies only if every question was answered.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import UserError
from parley.instruments import ZERO, is_contract
from parley.messages import Balance
from runtime.gateway_lock import GatewayLock
from runtime.lastlook_contracts import Contracts
from runtime.unit import UnitConfig, private_folder
from venues.port import Denied, Venue, VenueError

log = logging.getLogger(__name__)

BOOKS: Final = "account.json"  # beside the gateway's journal
# What the venue says of its last fills may come after its balances.
_SETTLES_S: Final = 3.0
_LOOKS_S: Final = 0.25
_CLOCK_LOOKS: Final = 3
# What a venue tells of contracts is rounded: each profit that is taken, and the price a position was entered
# at. A payment for holding one is some 1e-4 of its value.
_ROUNDED: Final = Decimal("0.0001")
_ROUNDED_SHARE: Final = Decimal("0.000001")
# What one run may not change from start to start.
_SAME: Final = ("account", "venue", "address", "quote", "capital")


class RealMoney(UnitConfig, frozen=True, kw_only=True):
    """What a gateway has to make sure of: the desk's ``capital`` of the account, in ``quote``."""

    quote: str
    capital: Decimal
    max_clock_offset_ms: float


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """How the account changed since the desk's first start, by asset, without zeros.

    ``own``: what its fills brought. ``other``: what else moved, or is not known to have been a fill.
    ``unconfirmed``: client ids of orders of which the venue has not said that they are gone.
    """

    own: dict[str, Decimal]
    other: dict[str, Decimal]
    unconfirmed: tuple[str, ...] = ()


class NotKnown(UserError):
    """Nothing speaks against an account but what could not be found out, or the venue may tell late.

    ``is_late``: it holds less than it should, which a balance shows too when it is older than the last fill.
    """

    def __init__(self, text: str, *, is_late: bool) -> None:
        super().__init__(text)
        self.is_late = is_late


class _Unknown(str):
    """A reason that only says what is not known."""

    __slots__ = ()


class _Late(_Unknown):
    """A reason that goes by itself where it is only late."""

    __slots__ = ()


def key_lock(key: str) -> GatewayLock:
    """Return the lock of a key: two desks would take each other's fills for somebody else's."""
    return GatewayLock(private_folder() / f"key-{key}", "this key, and one account has one desk")


def managed(wanted: RealMoney, positions: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return by asset what the desk has: its capital, and what all its fills so far brought and took."""
    amounts = {asset: amount for asset, amount in positions.items() if amount}
    amounts[wanted.quote] = amounts.get(wanted.quote, ZERO) + wanted.capital
    return amounts


def part_of(balance: Balance, wanted: RealMoney, positions: Mapping[str, Decimal]) -> Balance:
    """Return the part of a balance that is the desk's."""
    return msgspec.structs.replace(balance, assets=tuple(sorted(managed(wanted, positions).items())))


def rounding(contracts: Contracts) -> Decimal:
    """Return by how much of the quote a venue's figures may differ from what fills and payments say."""
    if not contracts.held or not (value := contracts.value()).is_finite():
        return ZERO
    return _ROUNDED + _ROUNDED_SHARE * value


async def qualify(
    venue: Venue, wanted: RealMoney, balance: Balance, positions: Mapping[str, Decimal], *,
    is_settled: bool, rounded: Decimal = ZERO, reasons: Sequence[str] = (), by_clock: bool = True,
) -> Balance:  # fmt: skip
    """Return the part of ``balance`` that is the desk's, if the account may be traded with real money.

    Without ``is_settled`` there are orders of an earlier life whose fills are not heard of yet: then what
    the account holds says nothing. ``rounded``: as `rounding`. ``reasons`` are those against it that are
    known already. Not ``by_clock``: whoever serves looks at the clock every second, and opens nothing by a
    wrong one.

    Raises
    ------
    NotKnown
        When something could not be found out and nothing else speaks against it; names every reason.
    UserError
        When it may not; names every reason.
    """
    reasons = [
        *reasons,
        *await _of_the_key(venue),
        *await _of_the_account(venue),
        *(await _of_the_clock(venue, wanted.max_clock_offset_ms) if by_clock else ()),
    ]
    if is_settled:
        reasons += _of_what_it_holds(dict(balance.assets), managed(wanted, positions), rounded)
    if reasons:
        text = f"the account {balance.account!r} at {balance.venue!r} may not be traded with real money: "
        text += "; ".join(reasons)
        if not all(isinstance(each, _Unknown) for each in reasons):
            raise UserError(text)
        raise NotKnown(text, is_late=any(isinstance(each, _Late) for each in reasons))
    return part_of(balance, wanted, positions)


def _of_what_it_holds(held: Mapping[str, Decimal], own: Mapping[str, Decimal], rounded: Decimal) -> list[str]:
    wrong: list[str] = []
    for asset in sorted({*held, *own}):
        has, needs = (each.get(asset, ZERO).normalize() for each in (held, own))
        # a venue keeps one position of a contract for everybody: who closes one closes the other's
        if is_contract(asset) and has != needs:
            wrong.append(
                _Late(
                    f"the account's position in {asset} is {has:f}, this desk's own is {needs:f}: close the"
                    " rest, or trade other contracts"
                )
            )
        elif asset in own and not is_contract(asset) and has < needs - rounded:
            wrong.append(_Late(f"the account holds {has:f} {asset}, the desk needs {needs:f}"))
    return wrong


def _unless_denied(error: VenueError, why: str) -> str:
    return why if isinstance(error, Denied) else _Unknown(why)


async def _of_the_account(venue: Venue) -> list[str]:
    try:
        return [*await venue.unfit()]
    except VenueError as error:
        return [_unless_denied(error, f"it is not known how the account is set ({error})")]


async def _of_the_key(venue: Venue) -> list[str]:
    try:
        rights = await venue.key_rights()
    except VenueError as error:
        return [_unless_denied(error, f"it is not known what the API key may do ({error})")]
    wrong = []
    if not rights.trades:
        where = "contracts" if venue.capabilities.contracts else "on the spot market"
        wrong.append(f"the API key may not trade {where}")
    if rights.withdraws:
        wrong.append("the API key may withdraw: make one that may not")
    if rights.fees_elsewhere:
        wrong.append("fees are paid in BNB, which the desk cannot value: switch that off in the account")
    return wrong


async def _of_the_clock(venue: Venue, most_ms: float) -> list[str]:
    """Take the best of a few looks: a slow answer is no wrong clock."""
    offsets = []
    try:
        for _ in range(_CLOCK_LOOKS):
            offsets.append(await venue.clock_offset_ms())
    except VenueError as error:
        return [_unless_denied(error, f"the venue's clock is not known ({error})")]
    best = min(offsets, key=abs)
    if abs(best) > most_ms:
        return [f"this machine's clock differs from the venue's by {-best:+.0f} ms, at most {most_ms:g}"]
    return []


class Whose(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written down before the first order: whose money it is, and what of it is not the desk's."""

    account: str
    venue: str
    address: str
    quote: str
    capital: Decimal
    foreign: dict[str, Decimal]


class Books:
    """What of the account is not the desk's, held to from the desk's first start on.

    ``positions`` are the gateway's own counters: by asset, what all its fills brought. ``address`` is where
    the venue was reached. ``rounded``: as `rounding`, of now.

    Raises
    ------
    UserError
        When an earlier start of the desk was of another account, venue, address or capital.
    """

    def __init__(
        self, path: Path, wanted: RealMoney, balance: Balance, positions: Mapping[str, Decimal],
        address: str, rounded: Callable[[], Decimal] = lambda: ZERO,
    ) -> None:  # fmt: skip
        self._wanted = wanted
        self._rounded = rounded
        now = Whose(
            account=balance.account, venue=balance.venue, address=address, quote=wanted.quote,
            capital=wanted.capital, foreign=_less(dict(balance.assets), managed(wanted, positions)),
        )  # fmt: skip
        begun = _read(path) if path.exists() else now
        if other := [name for name in _SAME if getattr(begun, name) != getattr(now, name)]:
            told = "; ".join(f"{name} was {getattr(begun, name)}, is {getattr(now, name)}" for name in other)
            raise UserError(
                f"this run was begun with other money ({told}): go on with that, or start a new run"
            )
        if begun is now:
            _write(path, now)
        self._foreign = begun.foreign

    def other(self, held: Mapping[str, Decimal], positions: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Return by asset what moved since then and is no fill or payment that was heard of."""
        moved = _less(_less(held, managed(self._wanted, positions)), self._foreign)
        if abs(moved.get(self._wanted.quote, ZERO)) <= self._rounded():
            moved.pop(self._wanted.quote, None)
        return moved

    def refuse_what_is_gone(self, held: Mapping[str, Decimal], positions: Mapping[str, Decimal]) -> None:
        """Refuse to go on when what the desk bought was taken out of the account; else say what moved.

        Raises
        ------
        NotKnown
            When less is there of an asset than the desk and everybody else had: it would be sold once more.
        """
        moved = self.other(held, positions)
        # what a short was sold for is in the quote, and is nothing that could be sold once more
        pays = self._wanted.quote if any(map(is_contract, positions)) else ""
        gone = [
            asset
            for asset, amount in moved.items()
            if amount < 0 < positions.get(asset, ZERO) and asset != pays
        ]
        if gone:
            told = ", ".join(f"{-moved[asset]:f} {asset}" for asset in gone)
            raise NotKnown(
                f"{told} went out of the account since, and the desk believes to hold {', '.join(gone)}:"
                " put it back, or start a new run and leave the rest to its owner",
                is_late=True,
            )
        if moved:
            log.warning("account_moved %s", {asset: f"{amount:f}" for asset, amount in moved.items()})

    async def audit(
        self, venue: Venue, positions: Mapping[str, Decimal], refresh: Callable[[], Awaitable[None]]
    ) -> Audit:
        """Hold the venue's balances against the fills; ``positions`` may still grow meanwhile.

        ``refresh`` is called before each look: it counts what the venue paid or took by itself.

        Raises
        ------
        VenueError
            When the venue does not tell its balances.
        """
        deadline = asyncio.get_running_loop().time() + _SETTLES_S
        while True:
            await refresh()
            other = self.other(dict(await venue.balances()), positions)
            if not other or asyncio.get_running_loop().time() > deadline:
                return Audit(
                    own={asset: amount for asset, amount in positions.items() if amount}, other=other
                )
            await asyncio.sleep(_LOOKS_S)


def _read(path: Path) -> Whose:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Whose)
    except (OSError, msgspec.MsgspecError) as error:
        raise UserError(
            f"{str(path)!r} says whose money the run trades, and cannot be read: {error}"
        ) from error


def _write(path: Path, whose: Whose) -> None:
    """Write it whole or not at all: what a killed gateway left half would be believed for ever."""
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(msgspec.json.encode(whose))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _less(after: Mapping[str, Decimal], before: Mapping[str, Decimal]) -> dict[str, Decimal]:
    differences = {
        asset: after.get(asset, ZERO) - before.get(asset, ZERO) for asset in sorted({*after, *before})
    }
    return {asset: amount for asset, amount in differences.items() if amount}
