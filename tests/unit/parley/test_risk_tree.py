"""The limit tree: which node wins, that it says so, and that nothing passes which one of them forbids."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from parley.errors import ConfigError
from parley.risk import Approved, Counters, Refused, check, limits_of
from parley.risk.loads import BotUse, Load, Resting, Sent
from parley.risk.nodes import NodeLimits
from parley.risk.tree import Ask, Node, refusal, tightest
from tests.kit.builders import T0
from tests.kit.effort import examples
from tests.kit.risk_cases import exit_facts, make_account, make_exit, make_facts, make_intent

D = Decimal
SECOND = 1_000_000_000
LEVELS = ("platform", "tenant:local", "account", "bot:a", "symbol:BTC/USDT")


def load(**over: object) -> Load:
    plain = Load(
        equity=D(100_000), peak=D(100_000), day_open=D(100_000), lost=D(0), fallen=D(0)
    )  # fmt: skip
    return replace(plain, **over)


def ask(**over: object) -> Ask:
    """Buy 0.1 BTC at 60,000: 6 % of the account; the book shows 10."""
    plain = Ask(
        symbol="BTC/USDT", side="buy", qty=D("0.1"), px=D(60_000), mid=D(60_000), depth=D(10), now=T0
    )  # fmt: skip
    return replace(plain, **over)


def node(name: str = "account", use: Load | None = None, **limits: object) -> Node:
    return Node(name, NodeLimits(**limits), use or load())  # type: ignore[arg-type]


HELD = {"BTC": D(10_000), "ETH": D(20_000)}


@pytest.mark.parametrize(
    ("limit", "cap", "fits", "use"),
    [
        ("max_order_notional", D("0.06"), D("0.1"), load()),
        ("max_position", D("0.16"), D("0.1"), load(by_asset=HELD)),
        ("max_gross", D("0.36"), D("0.1"), load(by_asset=HELD)),
        ("max_leverage", D("0.36"), D("0.1"), load(by_asset=HELD)),
        ("max_net", D("0.26"), D("0.1"), load(net=D(20_000))),
        # (10,000 + 6,000) / (30,000 + 6,000) = 0.4444..; 0.5 leaves x = (15,000 - 10,000) / 0.5 = 10,000
        ("max_concentration", D("0.5"), D(10_000) / 60_000, load(by_asset=HELD)),
        ("max_book_share", D("0.01"), D("0.1"), load()),
    ],
)
def test_each_limit_leaves_exactly_its_room(limit: str, cap: Decimal, fits: Decimal, use: Load) -> None:
    over = fits * D("1.000001")
    assert refusal([node(use=use, **{limit: cap})], ask(qty=fits)) is None
    no = refusal([node(use=use, **{limit: cap})], ask(qty=over))
    assert no is not None
    assert (no.node, no.limit) == ("account", limit)


@pytest.mark.parametrize(
    ("limits", "passing", "failing"),
    [
        ({"collar_bps": D(100)}, ({}, {"px": D(60_600)}), ({}, {"px": D(60_601)})),
        (
            {"collar_bps": D(100)},
            ({}, {"side": "sell", "px": D(59_400)}), ({}, {"side": "sell", "px": D(59_399)}),
        ),
        ({"orders_per_s": 3}, ({"orders_1s": 2}, {}), ({"orders_1s": 3}, {})),
        (
            {"duplicate_window_ms": 2000},
            ({"recent": (Sent("BTC/USDT", "buy", D("0.1"), T0 - 2 * SECOND - 1),)}, {}),
            ({"recent": (Sent("BTC/USDT", "buy", D("0.1"), T0 - 2 * SECOND),)}, {}),
        ),
        (
            {"self_match": True},
            ({"resting": (Resting("BTC/USDT", "sell", D(60_001)), Resting("X/Y", "sell", None))}, {}),
            ({"resting": (Resting("BTC/USDT", "sell", D(60_000)),)}, {}),
        ),
        ({"max_daily_trades": 5}, ({"trades_today": 4}, {}), ({"trades_today": 5}, {})),
        (
            {"max_daily_loss": D("0.03")},
            ({"lost": D(3_000)}, {}), ({"lost": D("3000.000000000001")}, {}),
        ),
        (
            {"max_drawdown": D("0.10")},
            ({"fallen": D(11_000), "peak": D(110_000)}, {}), ({"fallen": D(11_001), "peak": D(110_000)}, {}),
        ),
        ({"max_daily_loss": D("0.03")}, ({"lost": D(-9_000)}, {}), ({"lost": None}, {})),
        ({"max_daily_loss": D("0.03")}, ({"lost": D("0E-32")}, {}), ({"lost": D("NaN")}, {})),
        ({"max_drawdown": D("0.03")}, ({"fallen": D("1E-31")}, {}), ({"fallen": D("3000.01")}, {})),
        ({"max_daily_loss": D("0.03")}, ({}, {}), ({"day_open": D(0)}, {})),
        ({"max_drawdown": D("0.03")}, ({}, {}), ({"fallen": D("NaN")}, {})),
        ({"max_daily_trades": 5}, ({}, {}), ({"trades_today": None}, {})),
        ({"orders_per_s": 3}, ({}, {}), ({"orders_1s": None}, {})),
    ],
)  # fmt: skip
def test_what_no_smaller_order_mends(
    limits: dict[str, object], passing: tuple[dict, dict], failing: tuple[dict, dict]
) -> None:
    assert refusal([node(use=load(**passing[0]), **limits)], ask(**passing[1])) is None
    no = refusal([node(use=load(**failing[0]), **limits)], ask(**failing[1]))
    assert no is not None
    assert no.room == 0


def test_tightest_node_wins_and_of_two_alike_the_upper_one() -> None:
    path = [
        node("symbol:BTC/USDT", max_position=D("0.04")),
        node("bot:a", max_gross=D("0.05")),
        node("platform", max_gross=D("0.90")),
        node("tenant:local", max_gross=D("0.30")),
    ]
    no = refusal(path, ask())
    assert no is not None
    assert (no.node, no.limit, no.value, no.cap) == ("symbol:BTC/USDT", "max_position", "0.06", "0.04")
    assert no.room == D(4_000) / 60_000

    alike = [node("bot:a", max_gross=D("0.05")), node("tenant:local", max_gross=D("0.05"))]
    assert tightest(alike, ask()).node == "tenant:local"  # type: ignore[union-attr]
    assert tightest([node()], ask()) is None


def test_exit_is_asked_only_what_is_always_asked() -> None:
    full = node(
        use=load(by_asset=HELD, trades_today=9), max_gross=D("0.01"), max_daily_trades=1, orders_per_s=3
    )
    assert refusal([full], ask(side="sell", reduce_only=True)) is None
    assert refusal([full], ask(side="sell")) is not None
    flood = node(use=load(orders_1s=6), orders_per_s=3)
    assert refusal([flood], ask(side="sell", reduce_only=True)).limit == "orders_per_s"  # type: ignore[union-attr]


BAD = [D("NaN"), D("sNaN"), D("Infinity"), D("-Infinity"), D("-1"), D(0), D("1E+400"), D("1E-400")]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("where", ["qty", "px", "mid"])
def test_bad_number_in_an_order_leaves_no_room_and_never_raises(bad: Decimal, where: str) -> None:
    no = refusal([node(max_gross=D(1))], ask(**{where: bad}))
    assert no is not None
    assert (no.limit, no.room) == ("not_finite", 0)


@pytest.mark.parametrize("bad", [*BAD[:4], D("1E+400")])
@pytest.mark.parametrize("where", ["equity", "peak", "day_open", "net"])
def test_bad_number_in_a_load_leaves_no_room_and_never_raises(bad: Decimal, where: str) -> None:
    assert refusal([node(use=load(**{where: bad}), max_gross=D(1))], ask()).room == 0  # type: ignore[union-attr]
    assert refusal([node(use=load(by_asset={"X": bad}), max_gross=D(1))], ask()) is not None
    assert refusal([node(use=load(is_priced=False), max_gross=D(1))], ask()) is not None


SHARES = st.integers(1, 100).map(lambda n: D(n) / 100)
WORTH = st.integers(0, 60_000).map(D)


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    use = load(
        equity=draw(st.integers(50_000, 150_000).map(D)),
        by_asset={"BTC": draw(WORTH), "ETH": draw(WORTH)}, net=draw(WORTH),
    )  # fmt: skip
    names = draw(
        st.sets(
            st.sampled_from(["max_order_notional", "max_position", "max_gross", "max_net", "max_leverage"])
        )
    )
    return node(draw(st.sampled_from(LEVELS)), use, **{name: draw(SHARES) for name in sorted(names)})


def holds(each: Node, order: Ask) -> bool:
    """Whether a node lets an order pass, in fractions, written down without the code under test."""
    worth = Fraction(order.qty) * Fraction(order.px)
    use, caps = each.load, each.limits
    equity, assets = Fraction(use.equity), {k: Fraction(v) for k, v in use.by_asset.items()}
    after = {
        "max_order_notional": worth,
        "max_position": assets["BTC"] + worth,
        "max_gross": sum(assets.values()) + worth,
        "max_leverage": sum(assets.values()) + worth,
        "max_net": Fraction(use.net) + worth,
    }
    return all(
        getattr(caps, name) is None or value <= Fraction(getattr(caps, name)) * equity
        for name, value in after.items()
    )


@given(st.lists(nodes(), max_size=5), st.integers(1, 200_000).map(lambda n: D(n) / 100_000), nodes())
@settings(max_examples=examples(100), deadline=None)
def test_passes_exactly_when_every_node_holds_and_more_nodes_never_loosen(
    path: list[Node], qty: Decimal, more: Node
) -> None:
    order = ask(qty=qty)
    no = refusal(path, order)
    assert (no is None) == all(holds(each, order) for each in path)
    if no is not None:
        assert refusal([*path, more], order) is not None
        named = [each for each in path if each.name == no.node]
        assert not all(holds(each, order) for each in named)
    least = tightest(path, order)
    if least is not None and least.room > D("0.00001"):
        assert all(holds(each, ask(qty=min(qty, least.room * D("0.999999")))) for each in path)


# at the gate


def test_gate_refuses_what_a_node_forbids_and_names_it() -> None:
    tree = {"tenant:local": {"max_gross": "0.5"}, "symbol:BTC/USDT": {"max_order_notional": "0.05"}}
    limits = limits_of({"tree": tree})
    no = check(make_intent(), make_facts(), limits)
    assert isinstance(no, Refused)
    # 0.1 BTC at 60,010
    assert (no.code, no.value, no.cap) == ("symbol:BTC/USDT max_order_notional", "0.06001", "0.05")
    other = limits_of({"tree": {"symbol:ETH/USDT": {"max_order_notional": "0.05"}}})
    assert isinstance(check(make_intent(), make_facts(), other), Approved)
    bot = {"bot:strategy/ema": {"max_gross": "0.05"}, "bot:strategy/other": {"max_gross": "0.01"}}
    no = check(make_intent(), make_facts(), limits_of({"tree": bot}))
    assert isinstance(no, Refused)
    assert no.code == "bot:strategy/ema max_gross"
    assert isinstance(check(make_exit(), exit_facts(), limits_of({"tree": bot})), Approved)


FINE = BotUse(lost=D(2_000), fallen=D(5_000), trades_today=3, orders_1s=1)
OWN = {"max_daily_loss": "0.02", "max_drawdown": "0.05", "max_daily_trades": 4, "orders_per_s": 2}


@pytest.mark.parametrize(
    ("use", "code"),
    [
        ({}, ""), ({"lost": D(-50_000), "fallen": D(0)}, ""),
        ({"lost": D("2000.01")}, "max_daily_loss"), ({"fallen": D("5000.01")}, "max_drawdown"),
        ({"trades_today": 4}, "max_daily_trades"), ({"orders_1s": 2}, "orders_per_s"),
        ({"lost": None}, "max_daily_loss"), ({"fallen": None}, "max_drawdown"),
        ({"trades_today": None}, "max_daily_trades"), ({"orders_1s": None}, "orders_per_s"),
    ],
)  # fmt: skip
def test_bot_is_judged_by_what_it_came_to_itself_and_not_by_the_account(
    use: dict[str, object], code: str
) -> None:
    limits = limits_of({"tree": {"bot:strategy/ema": OWN}, "max_daily_loss": "0.9"})
    # the account has lost a half, and traded and sent a great deal
    account = make_account(50_000, day_open=100_000, peak=100_000, trades_today=1_000)
    busy = Counters(orders_1s=9, orders_10s=9, trades_today=1_000)
    facts = make_facts(account, bot=replace(FINE, **use), counters=busy)
    answer = check(make_intent(qty=D("0.01")), facts, limits)
    found = [b.limit for b in answer.breaches] if isinstance(answer, Refused) else []
    assert [name for name in found if name.startswith("bot:")] == (
        [f"bot:strategy/ema {code}"] if code else []
    )


def test_without_word_of_a_bot_its_own_limits_refuse_and_its_exits_pass() -> None:
    for name, value in OWN.items():
        limits = limits_of({"tree": {"bot:strategy/ema": {name: value}}})
        assert isinstance(check(make_intent(), make_facts(), limits), Refused), name
        known = exit_facts(bot=BotUse(orders_1s=1))
        assert isinstance(check(make_exit(), known, limits), Approved), name
    other = limits_of({"tree": {"bot:strategy/ema": {"max_gross": "0.9"}, "bot:strategy/other": OWN}})
    assert isinstance(check(make_intent(), make_facts(), other), Approved)


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({"desk": {}}, "a node is"), ({"bot": {}}, "a node is"), ({"account": {"max_gros": 1}}, "max_gross"),
        ({"account": {"max_gross": "-1"}}, "max_gross must be above 0"),
        ({"account": {"orders_per_s": -1}}, "must not be negative"),
        ({"account": {"max_gross": "NaN"}}, "max_gross"),
    ],
)  # fmt: skip
def test_tree_that_cannot_be_is_refused_with_a_reason(tree: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        limits_of({"tree": tree})
