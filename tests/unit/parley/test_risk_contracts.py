"""Linear perpetuals before risk and gate: margin instead of cash, shorts, and what is not known refused."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from parley.instruments import Instrument, Tier, assets_of, symbol_of
from parley.messages import Cash, Intent, Reservation, StateView
from parley.risk import GateFacts, Limits, Refused, check
from parley.risk.assess import Assessment, assess
from parley.risk.margin import collateral, maintenance
from parley.view import FirmView
from tests.kit.builders import T0, make_instrument, make_leg, make_proposal
from tests.kit.risk_cases import (
    exit_facts,
    make_account,
    make_exit,
    make_facts,
    make_holding,
    make_intent,
    make_position,
    make_reservation,
    wide_book,
)

D = Decimal
PERP, ASSET = "BTC/USDT:USDT", "BTC:USDT"
TIERS = (Tier(D(50_000), D("0.004"), D(0)), Tier(D(600_000), D("0.005"), D(50)))
# a tenth of the value is tied up; risk lets the account owe up to five times its equity
LEVERED = Limits(
    max_leverage=D(5), max_gross=D(5), max_net=D(5), max_position=D(5), max_order_notional=D(5),
    max_correlated=D(5), max_book_share=D(1),
)  # fmt: skip


def perp(**over: object) -> Instrument:
    return make_instrument(PERP, **({"margin": "0.1", "tiers": TIERS} | over))


def reserved(qty: str = "0.1", side: str = "sell", px: str = "60000", **over: object) -> Reservation:
    amount = D(qty) * D(px) * D("0.1")
    return make_reservation(
        symbol=PERP, side=side, asset="USDT", amount=amount, qty_left=D(qty), **over
    )  # fmt: skip


def short(qty: str = "0.1", **over: object) -> Intent:
    fields: dict[str, object] = {"symbol": PERP, "side": "sell", "qty": D(qty), "px": D("59990")}
    return make_intent(**(fields | over))


def facts(state: StateView | None = None, **over: object) -> GateFacts:
    fields: dict[str, object] = {
        "instrument": perp(), "book": wide_book(PERP), "reservation": reserved(), "contracts": {ASSET: TIERS},
    }  # fmt: skip
    return make_facts(state, **(fields | over))


def codes(intent: Intent, given: GateFacts, limits: Limits = LEVERED) -> list[str]:
    answer = check(intent, given, limits)
    return [each.limit for each in answer.breaches] if isinstance(answer, Refused) else []


def test_a_contract_is_named_after_what_it_settles_in_and_never_taken_for_the_coin() -> None:
    for symbol, assets in (
        ("BTC/USDT", ("BTC", "USDT")),
        (PERP, (ASSET, "USDT")),
        ("BTC/USDT:USDT-261225", ("BTC:USDT-261225", "USDT")),
    ):
        assert assets_of(symbol) == assets
        assert symbol_of(*assets) == symbol


def test_a_short_is_opened_on_margin_and_what_nobody_has_is_not_sold_on_a_spot_pair() -> None:
    assert codes(short(), facts()) == []
    spot = make_intent(side="sell", px=D("59990"))
    assert "wrong_reservation" in codes(spot, make_facts(reservation=make_reservation(side="sell")))


def test_margin_and_fee_have_to_be_free() -> None:
    # 0.1 at 59,990 with a tenth of margin and 0.1 % fee: 599.90 + 5.999
    enough, lacks = ((Cash(asset="USDT", total=D(n), reserved=D(0)),) for n in ("605.9", "605.8"))
    generous = Limits(
        **{f: getattr(LEVERED, f) for f in LEVERED.__struct_fields__} | {"min_uninvested": D(0)}
    )

    assert codes(short(), facts(make_account(cash=enough)), generous) == []
    assert codes(short(), facts(make_account(cash=lacks)), generous) == ["funds"]


def test_exposure_of_a_short_counts_like_that_of_a_long() -> None:
    held = make_account(
        positions=(make_position(PERP, "-8.4"),), holdings=(make_holding(symbol=PERP, qty="-8.4"),)
    )  # fmt: skip
    # 8.4 are 504,000 short, five times the equity of 100,000: no more of it
    assert {"max_position", "max_gross", "max_net"} <= set(codes(short(), facts(held)))
    assert not {"max_net"} & set(
        codes(short(side="buy", px=D("60010")), facts(held, reservation=reserved(side="buy", px="60010")))
    )


def test_what_one_agent_opens_never_closes_what_another_holds_or_opens() -> None:
    long = make_account(positions=(make_position(PERP, "0.3"),), holdings=(make_holding(symbol=PERP),))
    assert codes(short(), facts(long)) == ["opposite_position"]
    assert codes(make_intent(), make_facts(make_account(positions=(make_position(qty="0.01"),)))) == []
    opening = reserved(side="buy", rid=b"o" * 16, pid=b"o" * 16)
    assert codes(short(), facts(make_account(reservations=(opening,)))) == ["opposite_position"]
    leaving = make_reservation(
        symbol=PERP, side="buy", asset=ASSET, amount=D("0.1"), rid=b"o" * 16, pid=b"o" * 16
    )  # fmt: skip
    shorted = make_account(positions=(make_position(PERP, "-0.3"),), reservations=(leaving,))
    assert codes(short(), facts(shorted)) == []


@pytest.mark.parametrize("tiers", [(), (Tier(D(5_000), D("0.004"), D(0)),)])
def test_a_contract_whose_maintenance_margin_is_not_known_is_not_opened(tiers: tuple[Tier, ...]) -> None:
    assert codes(short(), facts(contracts={ASSET: tiers}, instrument=perp(tiers=tiers))) == [
        "max_maintenance"
    ]


def test_maintenance_margin_is_a_small_part_of_equity() -> None:
    # of other contracts too: 2 % of 2,400,000 are 48 % of the equity, 2 % of 6,000 more are above a half
    other = ("ETH/USDT:USDT", "ETH:USDT")
    state = make_account(positions=(make_position(other[0], "40", "60000"),))
    flat = (Tier(D(10**8), D("0.02"), D(0)),)
    wide = replace(
        LEVERED, max_leverage=D(100), max_gross=D(20), max_net=D(20), max_position=D(20),
        max_maintenance=D("0.4811"),
    )  # fmt: skip
    given = facts(state, contracts={ASSET: flat, other[1]: flat})
    assert "max_maintenance" in codes(short(), given, wide)
    less = facts(state, contracts={ASSET: (Tier(D(10**8), D("0.01"), D(0)),), other[1]: flat})
    assert "max_maintenance" not in codes(short(), less, wide)


def test_a_short_is_left_by_buying_and_needs_no_money() -> None:
    state = make_account(
        positions=(make_position(PERP, "-0.2"),), holdings=(make_holding(symbol=PERP, qty="-0.2"),),
        cash=(Cash(asset="USDT", total=D(-5), reserved=D(0)),),
    )  # fmt: skip
    back = make_exit(symbol=PERP, side="buy")
    own = make_reservation(symbol=PERP, side="buy", asset=ASSET, amount=D("0.1"))
    given = exit_facts(state, instrument=perp(), book=wide_book(PERP), reservation=own)

    assert codes(back, given) == []
    more = make_reservation(symbol=PERP, side="buy", asset=ASSET, amount=D("0.3"), qty_left=D("0.3"))
    turned = exit_facts(state, instrument=perp(), book=wide_book(PERP), reservation=more)
    assert codes(make_exit(symbol=PERP, side="buy", qty=D("0.3")), turned) == ["reduce_only"]


def asked(
    qty: str, state: StateView | None = None, limits: Limits = LEVERED, side: str = "sell"
) -> Assessment:
    proposal = make_proposal(symbol=PERP, legs=(make_leg(symbol=PERP, side=side, qty=qty),))
    view = FirmView(make_account())
    return assess(proposal, 1.0, view, limits, {PERP: perp()}, {PERP: 60_000.0}, {}, T0)


def test_risk_cuts_a_short_to_its_limits_like_a_long() -> None:
    assert asked("1").ok
    cut = asked("9")
    assert cut.ok
    # five times 100,000 less 2 % headroom, at 60,000
    assert cut.max_qty == D("8.16666")
    assert cut.max_qty == asked("9", side="buy").max_qty
    assert not asked("0.1", limits=Limits(max_order_notional=D("0.0001"))).ok


def test_risk_refuses_what_would_close_another_agents_position() -> None:
    state = make_account(positions=(make_position(PERP, "0.3"),))
    proposal = make_proposal(symbol=PERP, legs=(make_leg(symbol=PERP, side="sell", qty="0.1"),))
    found = assess(proposal, 1.0, FirmView(state), LEVERED, {PERP: perp()}, {PERP: 60_000.0}, {}, T0)
    assert (found.ok, found.codes) == (False, ("opposite_position",))


def test_collateral_is_the_wallet_less_losses_and_margin() -> None:
    instruments = {PERP: perp()}
    # short 0.2 at 60,000: the wallet of 10,000 and its proceeds; marked 1,000 higher it has lost 200
    lost = make_position(PERP, "-0.2", "61000")
    lost = replace(lost, unrealised=D(-200))
    assert collateral(D(22_000), (lost,), instruments) == D(10_000) - 200 - D(1220)
    won = type(lost)(
        **{f: getattr(lost, f) for f in lost.__struct_fields__} | {"unrealised": D(200), "mark": D(59_000)}
    )
    assert collateral(D(22_000), (won,), instruments) == D(10_000) - D(1180)
    spot = make_position("BTC/USDT", "3")
    assert collateral(D(22_000), (spot,), {"BTC/USDT": make_instrument()}) == D(22_000)


def test_maintenance_margin_follows_the_tiers_without_a_jump() -> None:
    assert maintenance(D(50_000), TIERS) == D(200)
    assert maintenance(D("50000.01"), TIERS) == D("200.00005")
    assert maintenance(D(600_001), TIERS) is None
