"""Which accounts may be traded with real money, and what moved in them that was no fill.

The venue is a small stand-in that says whatever a test wants; real ones are asked in
tests/contract/test_key_rights.py.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal as D
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from parley.errors import UserError
from parley.messages import Balance
from runtime import real_money
from runtime.lastlook_contracts import Contracts
from runtime.real_money import Audit, Books, RealMoney, managed, qualify
from tests.kit.builders import T0
from venues.capabilities import CAPABILITIES
from venues.port import KeyRights, Venue, VenueError

WANTED = RealMoney(quote="USDT", capital=D(500), max_clock_offset_ms=100)
HARMLESS = KeyRights(trades=True, withdraws=False)


class Exchange:
    """Answers as it is told to; an error among the answers is raised."""

    def __init__(
        self,
        rights: KeyRights | VenueError = HARMLESS,
        clock_ms: tuple[float | VenueError, ...] = (3.0,),
        balances: tuple[dict[str, str] | VenueError, ...] = ({},),
        wrong: tuple[str, ...] | VenueError = (),
        venue: str = "binance",
    ) -> None:
        self._rights = rights
        self._wrong = wrong
        self.capabilities = CAPABILITIES[venue]
        self._clock_ms = list(clock_ms)
        self._balances = list(balances)
        self.looks = 0

    async def key_rights(self) -> KeyRights:
        if isinstance(self._rights, VenueError):
            raise self._rights
        return self._rights

    async def unfit(self) -> tuple[str, ...]:
        if isinstance(self._wrong, VenueError):
            raise self._wrong
        return self._wrong

    async def clock_offset_ms(self) -> float:
        said = self._clock_ms.pop(0) if len(self._clock_ms) > 1 else self._clock_ms[0]
        if isinstance(said, VenueError):
            raise said
        return said

    async def balances(self) -> tuple[tuple[str, D], ...]:
        self.looks += 1
        said = self._balances.pop(0) if len(self._balances) > 1 else self._balances[0]
        if isinstance(said, VenueError):
            raise said
        return tuple((asset, D(amount)) for asset, amount in said.items())


async def nothing() -> None:
    """What a spot venue did by itself."""


def holding(**assets: str) -> Balance:
    held = tuple((asset, D(amount)) for asset, amount in assets.items())
    return Balance(account="main", venue="binance", assets=held, t=T0)


def amounts(**texts: str) -> dict[str, D]:
    return {asset: D(text) for asset, text in texts.items()}


def ask(
    exchange: Exchange, held: Balance, positions: dict[str, D] | None = None, *, is_settled: bool = True
) -> Balance:
    asked = qualify(cast(Venue, exchange), WANTED, held, positions or {}, is_settled=is_settled)
    return asyncio.run(asked)


def refused(
    exchange: Exchange, held: Balance, positions: dict[str, D] | None = None, *, is_settled: bool = True
) -> list[str]:
    """Return the reasons of a refusal, whose one line names account and venue."""
    with pytest.raises(UserError) as error:
        ask(exchange, held, positions, is_settled=is_settled)
    head, _, reasons = str(error.value).partition(" may not be traded with real money: ")
    assert head == "the account 'main' at 'binance'"
    assert "\n" not in reasons
    return reasons.split("; ")


def test_the_desks_part_of_an_account_in_order_is_its_capital() -> None:
    found = ask(Exchange(), holding(USDT="1500", BTC="2"))

    assert found == holding(USDT="500")


def test_the_desks_part_is_the_capital_and_what_its_fills_brought_and_took() -> None:
    # a fee in an asset the account never held and the exchange owes nothing of: 0 is enough
    positions = amounts(BTC="0.01", USDT="-400", BNB="-0.002", ETH="0")

    found = ask(Exchange(), holding(USDT="100", BTC="0.01"), positions)

    assert dict(found.assets) == amounts(USDT="100", BTC="0.01", BNB="-0.002")
    assert managed(WANTED, positions) == dict(found.assets)


@pytest.mark.parametrize(
    ("exchange", "reason"),
    [
        (
            Exchange(rights=KeyRights(trades=False, withdraws=False)),
            "the API key may not trade on the spot market",
        ),
        (
            Exchange(rights=KeyRights(trades=True, withdraws=True)),
            "the API key may withdraw: make one that may not",
        ),
        (
            Exchange(rights=VenueError("rights of the key: timed out")),
            "it is not known what the API key may do (rights of the key: timed out)",
        ),
        (
            Exchange(clock_ms=(250.0,)),
            "this machine's clock differs from the venue's by -250 ms, at most 100",
        ),
        (
            Exchange(clock_ms=(-101.0,)),
            "this machine's clock differs from the venue's by +101 ms, at most 100",
        ),
        (Exchange(clock_ms=(VenueError("time: no"),)), "the venue's clock is not known (time: no)"),
        (Exchange(clock_ms=(3.0, 3.0, VenueError("time: no"))), "the venue's clock is not known (time: no)"),
    ],
)
def test_what_speaks_against_key_or_clock_refuses_alone(exchange: Exchange, reason: str) -> None:
    assert refused(exchange, holding(USDT="500")) == [reason]


def test_one_quick_answer_among_slow_ones_is_enough_for_the_clock() -> None:
    assert ask(Exchange(clock_ms=(900.0, -400.0, 100.0)), holding(USDT="500")) == holding(USDT="500")


def test_every_asset_that_is_short_is_named() -> None:
    positions = amounts(BTC="0.5", USDT="-100")

    assert refused(Exchange(), holding(USDT="399.99", ETH="9"), positions) == [
        "the account holds 0 BTC, the desk needs 0.5",
        "the account holds 399.99 USDT, the desk needs 400",
    ]


def test_all_reasons_are_named_at_once() -> None:
    exchange = Exchange(rights=KeyRights(trades=False, withdraws=True), clock_ms=(5000.0,))

    assert refused(exchange, holding()) == [
        "the API key may not trade on the spot market",
        "the API key may withdraw: make one that may not",
        "this machine's clock differs from the venue's by -5000 ms, at most 100",
        "the account holds 0 USDT, the desk needs 500",
    ]


def test_nothing_found_out_is_refused() -> None:
    exchange = Exchange(rights=VenueError("no answer"), clock_ms=(VenueError("no answer"),))

    assert refused(exchange, holding(USDT="500")) == [
        "it is not known what the API key may do (no answer)", "the venue's clock is not known (no answer)",
    ]  # fmt: skip


def test_with_fills_not_heard_of_the_holdings_say_nothing_but_the_rest_still_does() -> None:
    positions = amounts(BTC="0.5", USDT="-100")

    found = ask(Exchange(), holding(USDT="1"), positions, is_settled=False)
    assert dict(found.assets) == amounts(BTC="0.5", USDT="400")
    bad = Exchange(rights=KeyRights(trades=True, withdraws=True))
    assert refused(bad, holding(USDT="1"), positions, is_settled=False) == [
        "the API key may withdraw: make one that may not"
    ]


# ------------------------------------------------------------------ contracts

CONTRACT = "BTC:USDT"
CLOSE_IT = "close the rest, or trade other contracts"


def futures(**over: Any) -> Exchange:
    return Exchange(venue="binanceusdm", **over)


def test_all_that_speaks_against_an_account_of_contracts_is_named_at_once() -> None:
    wrong = ("account mode: expected one-way positions, was dualSidePosition True",)
    exchange = futures(rights=KeyRights(trades=False, withdraws=True, fees_elsewhere=True), wrong=wrong)

    assert refused(exchange, holding(**{CONTRACT: "0.5"})) == [
        "the API key may not trade contracts",
        "the API key may withdraw: make one that may not",
        "fees are paid in BNB, which the desk cannot value: switch that off in the account",
        *wrong,
        f"the account's position in {CONTRACT} is 0.5, this desk's own is 0: {CLOSE_IT}",
        "the account holds 0 USDT, the desk needs 500",
    ]


def test_modes_nobody_tells_refuse() -> None:
    told = refused(futures(wrong=VenueError("position mode: timed out")), holding(USDT="500"))
    assert told == ["it is not known how the account is set (position mode: timed out)"]


def test_a_desk_that_owes_a_contract_goes_on_with_it_and_rounding_is_no_lack() -> None:
    positions = {CONTRACT: D("-0.2"), "USDT": D("10000")}
    held = holding(**{CONTRACT: "-0.20", "USDT": "10499.99995"})

    ask_ = qualify(cast(Venue, futures()), WANTED, held, positions, is_settled=True, rounded=D("0.0001"))
    assert dict(asyncio.run(ask_).assets) == {CONTRACT: D("-0.2"), "USDT": D(10500)}
    assert refused(futures(), held, positions) == ["the account holds 10499.99995 USDT, the desk needs 10500"]
    less = holding(**{CONTRACT: "-0.19", "USDT": "10500"})
    assert [each[:46] for each in refused(futures(), less, positions)] == [
        "the account's position in BTC:USDT is -0.19, t"
    ]


def test_money_of_others_may_leave_while_the_desk_owes_a_contract(tmp_path: Path) -> None:
    found = Books(tmp_path / real_money.BOOKS, WANTED, holding(USDT="1500"), {}, "")
    positions = {CONTRACT: D("-0.2"), "USDT": D("10000")}

    found.refuse_what_is_gone({CONTRACT: D("-0.2"), "USDT": D("11000")}, positions)  # 500 of them
    with pytest.raises(UserError, match=r"^0\.2 BTC:USDT went out of the account since"):
        found.refuse_what_is_gone({"USDT": D(1500)}, {CONTRACT: D("0.2"), "USDT": D("0")})


@pytest.mark.parametrize(("usdt", "told"), [("1500.00009", {}), ("1500.0003", {"USDT": "0.0003"})])
def test_what_a_venue_rounds_is_nothing_that_moved(tmp_path: Path, usdt: str, told: dict[str, str]) -> None:
    contracts = Contracts()
    contracts.filled(CONTRACT, D("0.001"), D(100_000))
    rounded = real_money.rounding(contracts)
    assert rounded == D("0.0002")
    found = Books(
        tmp_path / real_money.BOOKS, WANTED, holding(USDT="1500"), {}, "", lambda: rounded
    )  # fmt: skip

    assert found.other(amounts(USDT=usdt), {}) == amounts(**told)
    assert found.other({CONTRACT: D("0.00001"), "USDT": D(1500)}, {}) == {CONTRACT: D("0.00001")}
    assert real_money.rounding(Contracts()) == 0


# ---------------------------------------------------------------------- books


def books(
    folder: Path,
    held: Balance | None = None,
    positions: dict[str, D] | None = None,
    wanted: RealMoney = WANTED,
    address: str = "http://here",
) -> tuple[Books, Path]:
    path = folder / real_money.BOOKS
    held = held if held is not None else holding(USDT="1500", BTC="2")
    return Books(path, wanted, held, positions or {}, address), path


def test_what_is_not_the_desks_is_written_once_and_read_again(tmp_path: Path) -> None:
    first, path = books(tmp_path)
    written = path.read_bytes()
    # the desk bought, and somebody took 100 USDT out while it was down
    later, _ = books(tmp_path, holding(USDT="1000", BTC="2.01"), amounts(BTC="0.01", USDT="-400"))

    assert path.read_bytes() == written
    assert sorted(each.name for each in tmp_path.iterdir()) == [real_money.BOOKS]
    assert first.other(amounts(USDT="1500", BTC="2"), {}) == {}
    assert later.other(amounts(USDT="1000", BTC="2.01"), amounts(BTC="0.01", USDT="-400")) == amounts(
        USDT="-100"
    )


def test_fills_are_the_desks_and_whatever_else_moves_is_not(tmp_path: Path) -> None:
    found, _ = books(tmp_path)
    bought = amounts(BTC="0.01", USDT="-400", BNB="-0.002")

    assert found.other(amounts(USDT="1100", BTC="2.01", BNB="-0.002"), bought) == {}
    # a deposit, and a fill of 0.01 BTC for 400 USDT nobody heard of
    assert found.other(amounts(USDT="1850", BTC="2.01"), {}) == amounts(BTC="0.01", USDT="350")
    assert found.other(amounts(USDT="1500"), {}) == amounts(BTC="-2")


def test_capital_alone_leaves_nothing_foreign(tmp_path: Path) -> None:
    found, path = books(tmp_path, holding(USDT="500"))

    assert b'"foreign":{}' in path.read_bytes()
    assert books(tmp_path, holding(USDT="9"))[0].other(amounts(USDT="500"), {}) == {}
    assert found.other(amounts(USDT="500.01"), {}) == amounts(USDT="0.01")


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({"address": ""}, "address was http://here, is "),
        ({"wanted": replace(WANTED, capital=D(501))}, "capital was 500, is 501"),
        ({"wanted": replace(WANTED, quote="USDC")}, "quote was USDT, is USDC"),
        ({"held": replace(holding(USDT="1500", BTC="2"), venue="bybit")}, "venue was binance, is bybit"),
        ({"held": replace(holding(USDT="1500", BTC="2"), account="b")}, "account was main, is b"),
        (
            {"address": "http://there", "wanted": replace(WANTED, capital=D(1))},
            "address was http://here, is http://there; capital was 500, is 1",
        ),
    ],
)
def test_other_money_than_it_was_begun_with_is_refused(
    tmp_path: Path, over: dict[str, Any], told: str
) -> None:
    _, path = books(tmp_path)
    written = path.read_bytes()

    with pytest.raises(UserError) as error:
        books(tmp_path, **over)
    assert str(error.value) == (
        f"this run was begun with other money ({told}): go on with that, or start a new run"
    )
    assert path.read_bytes() == written


def test_another_bound_for_the_clock_is_no_other_money(tmp_path: Path) -> None:
    books(tmp_path)

    assert books(tmp_path, wanted=replace(WANTED, max_clock_offset_ms=5.0))[0].other({}, {}) != {}


@pytest.mark.parametrize("said", [b"", b'{"account":"main",', b'{"USDT":"1000"}', b"[1]"])
def test_books_nobody_can_read_are_a_clear_refusal(tmp_path: Path, said: bytes) -> None:
    path = tmp_path / real_money.BOOKS
    path.write_bytes(said)

    with pytest.raises(
        UserError, match=r"account\.json' says whose money the run trades, and cannot be read: "
    ):
        books(tmp_path)
    assert path.read_bytes() == said, "what was there is evidence"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_money, "_SETTLES_S", 0.1)
    monkeypatch.setattr(real_money, "_LOOKS_S", 0.01)


def audit(found: Books, exchange: Exchange, positions: dict[str, D]) -> Audit:
    return asyncio.run(found.audit(cast(Venue, exchange), positions, nothing))


@pytest.mark.usefixtures("quick")
def test_an_audit_of_an_account_in_order_looks_once(tmp_path: Path) -> None:
    found, _ = books(tmp_path)
    exchange = Exchange(balances=({"USDT": "1100", "BTC": "2.01"},))
    positions = amounts(BTC="0.01", USDT="-400", ETH="0")

    assert audit(found, exchange, positions) == Audit(own=amounts(BTC="0.01", USDT="-400"), other={})
    assert exchange.looks == 1


def test_an_audit_waits_until_the_fill_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = books(tmp_path)
    positions: dict[str, D] = {}
    monkeypatch.setattr(real_money, "_LOOKS_S", 0.0)

    class Late(Exchange):
        async def balances(self) -> tuple[tuple[str, D], ...]:
            held = await super().balances()
            if self.looks == 3:
                positions.update(amounts(BTC="0.01", USDT="-400"))
            return held

    exchange = Late(balances=({"USDT": "1100", "BTC": "2.01"},))

    assert audit(found, exchange, positions) == Audit(own=amounts(BTC="0.01", USDT="-400"), other={})
    assert exchange.looks == 3


def test_an_audit_waits_until_the_venue_shows_what_was_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = books(tmp_path)
    monkeypatch.setattr(real_money, "_LOOKS_S", 0.0)
    exchange = Exchange(balances=({"USDT": "1500", "BTC": "2"}, {"USDT": "1100", "BTC": "2.01"}))

    assert audit(found, exchange, amounts(BTC="0.01", USDT="-400")).other == {}
    assert exchange.looks == 2


@pytest.mark.usefixtures("quick")
def test_an_audit_says_what_never_came_to_agree(tmp_path: Path) -> None:
    found, _ = books(tmp_path)
    exchange = Exchange(balances=({"USDT": "1100", "BTC": "2.01"},))

    assert audit(found, exchange, {}) == Audit(own={}, other=amounts(BTC="0.01", USDT="-400"))
    assert exchange.looks > 1


@pytest.mark.usefixtures("quick")
def test_an_audit_of_balances_nobody_tells_fails(tmp_path: Path) -> None:
    found, _ = books(tmp_path)

    with pytest.raises(VenueError, match="gone"):
        audit(found, Exchange(balances=(VenueError("gone"),)), {})
