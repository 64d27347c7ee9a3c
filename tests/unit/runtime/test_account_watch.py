"""What balances say of fills nobody heard of: the account closes when something lacks, and opens again.

The exchange is a small stand-in; a real one is in tests/contract/test_account_compared.py.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal as D
from pathlib import Path
from typing import Any, cast

import pytest

from parley.messages import Balance, Compared, Gap
from runtime import account_watch
from runtime.account_watch import AccountWatch
from runtime.doubts import Doubts
from runtime.real_money import Books, RealMoney
from tests.kit.builders import T0
from venues.limits import NoLimits
from venues.meter import Meter
from venues.port import Venue, VenueError

WANTED = RealMoney(quote="USDT", capital=D(500), max_clock_offset_ms=100)
GAP = Gap(stream="user", from_seq=0, to_seq=-1)
LACKS = Gap(stream="account", from_seq=0, to_seq=-1)


class Account:
    """An exchange with one account, of which the desk has 500 of 1,500 USDT, and a watch over it."""

    def __init__(self, folder: Path) -> None:
        self.held = {"USDT": D(1500), "DOGE": D(9)}
        self.positions: dict[str, D] = {}
        self.paid: dict[str, D] = {}  # what the fills and payments come to, once somebody asks for payments
        self.reads: list[dict[str, D]] = []  # what the next readings show instead
        self.is_down = False
        self.is_heard = True
        self.in_doubt: list[str] = []
        self.t = 1000.0
        self.said: list[Gap | Compared] = []
        self.meter = Meter(NoLimits())
        opening = Balance(account="main", venue="x", assets=tuple(self.held.items()), t=T0)
        books = Books(folder / "account.json", WANTED, opening, {}, "")
        venue, doubts = cast(Venue, self), cast(Doubts, self)
        self.watch = AccountWatch(
            books, venue, self.positions, "USDT", doubts, self.said.append, self.refresh, lambda: self.t
        )

    async def refresh(self) -> None:
        self.positions |= self.paid

    async def hears(self) -> bool:
        return self.is_heard

    def told(self) -> list[str]:
        return self.in_doubt

    async def balances(self) -> Any:
        if self.is_down:
            raise VenueError("down")
        self.t += 1.0
        return tuple((self.reads.pop(0) if self.reads else self.held).items())

    def look(self) -> list[Gap | Compared]:
        """Let it look once; what it said."""
        before = len(self.said)
        asyncio.run(self.watch.look())
        return self.said[before:]

    def bought(self) -> None:
        self.held |= {"USDT": D(1400), "BTC": D("0.01")}

    def heard_of_it(self) -> None:
        self.positions |= {"USDT": D(-100), "BTC": D("0.01")}


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr(account_watch, "_LOOKS_S", 0.0)
    return Account(tmp_path)


def is_compared(said: list[Gap | Compared]) -> bool:
    return [each.streams for each in said if isinstance(each, Compared)] == [("account", "user")]


def test_first_look_of_a_life_says_that_nothing_lacks_and_the_next_ones_nothing(account: Account) -> None:
    assert is_compared(account.look())
    assert account.look() == []


def test_gap_ends_when_it_is_old_enough_for_the_stream_to_stand(account: Account) -> None:
    account.look()
    account.watch.heard(GAP)
    account.bought()
    account.heard_of_it()
    assert account.look() == []
    account.t += 40
    account.watch.heard(GAP)  # another try of the stream
    account.t += 40
    assert account.look() == []
    account.t += 10
    assert is_compared(account.look())
    assert account.look() == []


def test_fill_that_nobody_heard_of_closes_the_account_until_it_was(account: Account) -> None:
    account.look()
    account.bought()
    assert account.look() == [LACKS]
    assert account.look() == []
    account.heard_of_it()
    assert is_compared(account.look())


def test_fill_on_its_way_is_no_lack(account: Account) -> None:
    account.look()
    account.bought()
    account.heard_of_it()
    account.reads = [{"USDT": D(1380), "BTC": D("0.01")}, {"USDT": D(1400), "BTC": D(0)}]
    assert account.look() == []


def test_what_others_bring_or_do_with_what_is_theirs_is_their_affair(account: Account) -> None:
    account.look()
    account.held |= {"USDT": D(9999), "ETH": D(3)}
    del account.held["DOGE"]
    assert account.look() == []


def test_what_others_brought_hides_no_fill_that_nobody_heard_of(account: Account) -> None:
    account.look()
    account.held["USDT"] += D(1000)  # the owner's deposit
    for _ in range(2):
        assert account.look() == []
    account.watch.heard(GAP)
    account.t += 50
    account.held |= {"USDT": account.held["USDT"] - 100, "BTC": D("0.01")}  # a fill of ours, unheard
    assert account.look() == [LACKS]
    assert account.look() == []
    account.heard_of_it()
    assert [each for _ in range(2) for each in account.look() if isinstance(each, Compared)]


def test_what_moves_between_two_looks_ends_no_gap(account: Account) -> None:
    account.look()
    account.watch.heard(GAP)
    account.t += 50
    account.held |= {"USDT": account.held["USDT"] + 1000 - 100, "BTC": D("0.01")}  # both at once
    assert account.look() == []
    assert is_compared(account.look())


def test_what_others_take_of_the_desks_assets_closes_the_account(account: Account) -> None:
    account.bought()
    account.heard_of_it()
    assert is_compared(account.look())
    account.held["BTC"] = D("0.009")
    assert account.look() == [LACKS]
    account.held["BTC"] = D("0.008")
    assert account.look() == [LACKS]


@pytest.mark.parametrize("why", ["down", "in doubt"])
def test_what_is_not_known_ends_no_gap(account: Account, why: str) -> None:
    account.is_down = why == "down"
    account.in_doubt = ["an order"] if why == "in doubt" else []
    assert account.look() == []
    account.is_down, account.in_doubt = False, []
    assert is_compared(account.look())


def test_gap_stays_open_while_the_stream_does_not_stand_however_long_ago_it_was(account: Account) -> None:
    account.is_heard = False
    account.t += 400
    assert account.look() == []
    account.is_heard = True
    assert is_compared(account.look())


def test_gap_during_the_reading_leaves_it_open(account: Account) -> None:
    async def interrupted() -> Any:
        account.watch.heard(GAP)
        return tuple(account.held.items())

    account.balances = interrupted  # type: ignore[method-assign]
    assert account.look() == []


def test_a_payment_for_holding_that_was_not_asked_for_yet_is_no_lack(account: Account) -> None:
    account.look()
    account.positions |= {"BTC:USDT": D("-0.1"), "USDT": D(500)}
    account.held |= {"BTC:USDT": D("-0.1"), "USDT": D("1999.7")}
    account.paid = {"USDT": D("499.7")}

    assert account.look() == []


@pytest.mark.parametrize(("qty", "cash"), [("-0.2", "2500"), ("0", "1500")], ids=["sold more", "bought back"])
def test_what_somebody_else_does_with_the_desks_contract_closes_the_account(
    account: Account, qty: str, cash: str
) -> None:
    account.look()
    account.positions |= {"BTC:USDT": D("-0.1"), "USDT": D(500)}
    account.held |= {"BTC:USDT": D(qty), "USDT": D(cash)}

    assert account.look() == [LACKS]
