"""The risk agent: a verdict on everything, and breakers exactly where the rows put them."""

from decimal import Decimal

import msgspec
import pytest

from agents.risk import RiskAgent, lookback_fall, make
from parley.agent import AgentEnv, AgentSpec, Context
from parley.errors import ConfigError
from parley.messages import (
    Breaker,
    Halt,
    MarketBatch,
    Message,
    Print,
    Proposal,
    Review,
    Stale,
    StateView,
    Unknown,
    VenueReject,
    Verdict,
)  # fmt: skip
from parley.view import FirmView
from tests.kit.builders import MINUTE, T0, make_bar, make_book, make_instrument, make_leg, make_proposal
from tests.kit.risk_cases import holding_account, make_account, make_position

D = Decimal
HOUR = 60 * MINUTE
SYMBOLS = ("BTC/USDT", "ETH/USDT")
ENV = AgentEnv(
    tenant="local", account="main", quote="USDT", symbols=SYMBOLS,
    instruments={s: make_instrument(s) for s in (*SYMBOLS, "ETH/BTC")}, tf_ns=MINUTE,
)  # fmt: skip


def agent(**params: object) -> RiskAgent:
    return make(AgentSpec(id="risk", role="risk", factory="agents.risk:make", params=params), ENV)


def context(state: StateView | None = None, now: int = T0) -> Context:
    view = FirmView(state if state is not None else make_account())
    return Context(now=now, view=view, seq=1, seed=1, agent="risk")


def batch(now: int = T0, price: float = 60_000.0, low: float = 0.0, high: float = 0.0) -> MarketBatch:
    bar = make_bar(open=price, low=low or price, high=high or price, close=price)
    return MarketBatch(step=1, t=now, bars=(bar,))


def review(proposal: Proposal | None = None, version: int = 1, stage: str = "risk") -> Review:
    p = proposal if proposal is not None else make_proposal()
    return Review(round=b"r", pid=p.pid, stage=stage, proposal=p, size=1.0, state_version=version, t=T0)


def verdict(risk: RiskAgent, proposal: Proposal | None = None, ctx: Context | None = None) -> Verdict:
    (answer,) = risk.handle(review(proposal), ctx or context())
    assert isinstance(answer, Verdict)
    return answer


def warmed(**params: object) -> RiskAgent:
    risk = agent(**params)
    risk.handle(batch(), context())
    return risk


SELL = make_proposal(legs=(make_leg(side="sell", reduce_only=True),))


def test_sound_proposal_gets_a_verdict_for_this_state() -> None:
    answer = verdict(warmed())

    assert (answer.ok, answer.max_qty, answer.breached) == (True, D("0.1"), ())
    assert (answer.state_version, answer.valid_until) == (1, T0 + 10_000_000_000)


def test_large_proposal_is_resized_and_says_by_what() -> None:
    answer = verdict(warmed(), make_proposal(legs=(make_leg(qty="0.5"),)))

    assert answer.ok
    assert answer.max_qty == D("0.32666")
    assert [b.limit for b in answer.breached] == ["max_order_notional", "max_position"]
    assert answer.breached[0].cap == "0.20"


def test_proposal_without_a_price_or_from_another_state_is_not_approved() -> None:
    assert [b.limit for b in verdict(agent()).breached] == ["no_price"]
    assert warmed().handle(review(version=7), context()) == (Stale(agent="risk", have=1),)


def test_reviews_of_other_stages_are_not_answered() -> None:
    assert warmed().handle(review(stage="capital"), context()) == ()


def test_coupled_proposal_gets_a_verdict() -> None:
    risk = warmed()
    cross = make_leg(symbol="ETH/BTC", qty="1")
    answer = verdict(risk, make_proposal(coupled=True, legs=(make_leg(), cross)))

    assert not answer.ok
    assert answer.breached


@pytest.mark.parametrize(
    ("state", "name", "action", "pause"),
    [
        (make_account(day_open=105_300), "daily_loss", "pause", HOUR),
        (make_account(peak=100_000), None, "", 0),
    ],
)
def test_breaker_of_the_day(state: StateView, name: str | None, action: str, pause: int) -> None:
    found = agent().handle(batch(), context(state))

    assert [(b.name, b.action, b.until) for b in found if isinstance(b, Breaker)] == (
        [(name, action, T0 + pause)] if name else []
    )


def test_exactly_five_percent_does_not_trip_and_a_trip_comes_once_an_hour() -> None:
    risk = agent()
    assert risk.handle(batch(), context(make_account(equity=95_000, day_open=100_000))) == []
    worse = make_account(equity=94_999, day_open=100_000)

    assert _names(risk.handle(batch(), context(worse))) == ["daily_loss"]
    assert _names(risk.handle(batch(), context(worse, T0 + HOUR - 1))) == []
    assert _names(risk.handle(batch(), context(worse, T0 + HOUR))) == ["daily_loss"]


def _names(found: object) -> list[str]:
    assert isinstance(found, list | tuple)
    return [b.name for b in found if isinstance(b, Breaker)]


def test_drawdown_pauses_a_day_and_is_measured_anew_after_it() -> None:
    risk = agent(limits={"breakers": {"stale_bars": 10_000}})  # a day passes without a candle
    risk.handle(batch(), context(make_account(100_000)))
    fallen = make_account(89_999, peak=100_000)

    (breaker,) = risk.handle(batch(), context(fallen))
    assert isinstance(breaker, Breaker)
    assert (breaker.name, breaker.action, breaker.until) == ("drawdown", "pause", T0 + 24 * HOUR)
    assert (breaker.value, breaker.cap) == ("0.100010", "0.10")
    assert not verdict(risk, ctx=context(fallen)).ok
    assert verdict(risk, ctx=context(fallen)).breached[0].limit == "breaker_drawdown"
    later = T0 + 24 * HOUR
    assert risk.handle(batch(later), context(fallen, later)) == []
    assert verdict(risk, ctx=context(fallen, later)).ok
    again = make_account(80_999, peak=100_000)
    assert _names(risk.handle(batch(later), context(again, later))) == ["drawdown"]


def test_reductions_pass_every_breaker() -> None:
    risk = agent()
    state = holding_account(peak=130_000, day_open=130_000, trading="REDUCING")
    risk.handle(batch(), context(state))

    assert verdict(risk, SELL, context(state)).ok
    assert not verdict(risk, ctx=context(state)).ok


def test_fall_of_more_than_a_fifth_flattens_once_until_a_person_resumes() -> None:
    risk = agent()
    ruin = make_account(79_999, peak=100_000)
    found = risk.handle(batch(), context(ruin))

    flatten = [b for b in found if isinstance(b, Breaker) and b.action == "flatten"]
    assert [b.name for b in flatten] == ["drawdown_stop"]
    assert flatten[0].until > T0 + 10_000 * 24 * HOUR
    assert risk.handle(batch(), context(ruin)) == []
    risk.handle(Halt(scope="firm", mode="RESUME", by="ann", why="looked"), context(make_account(79_999)))
    assert verdict(risk, ctx=context(make_account(79_999))).ok


def test_eleventh_api_error_within_a_minute_pauses_five() -> None:
    risk = agent()
    reject = VenueReject(iid=b"i", code="x", definitive=True)
    for n in range(10):
        assert risk.handle(reject, context(now=T0 + n)) == ()
    (breaker,) = risk.handle(Unknown(iid=b"i", cause="timeout"), context(now=T0 + 10))

    assert isinstance(breaker, Breaker)
    assert (breaker.name, breaker.until) == ("api_errors", T0 + 10 + 5 * MINUTE)


def test_old_errors_and_cancels_of_gone_orders_do_not_count() -> None:
    risk = agent()
    for n in range(30):
        assert risk.handle(Unknown(iid=b"i", cause="t"), context(now=T0 + n * 7_000_000_000)) == ()
    gone = VenueReject(iid=b"i", code="x", definitive=True, cancel=True)
    assert all(risk.handle(gone, context()) == () for _ in range(30))


@pytest.mark.parametrize(
    ("low", "high", "trips"),
    [
        (54_600.0, 60_000.0, False), (54_500.0, 60_000.0, True),
        (60_000.0, 66_001.0, True), (60_000.0, 65_999.0, False),
    ],
)  # fmt: skip
def test_spike_within_a_minute_cancels_pending_orders(low: float, high: float, trips: bool) -> None:
    risk = warmed()
    now = T0 + MINUTE
    found = risk.handle(batch(now, 60_000.0, low, high), context(now=now))

    assert _names(found) == (["price_spike"] if trips else [])
    for b in found:
        assert isinstance(b, Breaker)
        assert (b.action, b.symbol, b.until) == ("cancel", "BTC/USDT", now)


def test_spike_of_a_longer_candle_is_read_from_its_prints() -> None:
    def five(step: int, *prints: tuple[int, float]) -> MarketBatch:
        now = T0 + step * 5 * MINUTE
        bar = make_bar(tf_ns=5 * MINUTE, low=50_000.0, high=60_000.0)
        tape = tuple(
            Print(symbol="BTC/USDT", t=now - s * 1_000_000_000, px=px, qty=1.0, side=1) for s, px in prints
        )
        return MarketBatch(step=step, t=now, bars=(bar,), prints=tape)

    risk = agent()
    slow, fast = (
        five(1, (290, 60_000.0), (150, 55_000.0), (10, 50_000.0)),
        five(2, (290, 50_000.0), (250, 44_000.0)),
    )
    assert _names(risk.handle(slow, context(now=slow.t))) == []
    assert _names(risk.handle(fast, context(now=fast.t))) == ["price_spike"]


def test_batch_that_gathered_hours_is_judged_in_one_pass_and_each_minute_by_itself() -> None:
    """A desk that was away gets all candles at once, and of the prints the newest."""
    risk = agent()
    count = 2_000
    slow = tuple(
        make_bar(t_open=T0 + n * MINUTE, low=px, high=px, close=px)
        for n in range(count)
        for px in [50_000.0 * 1.0005**n]
    )
    end = T0 + count * MINUTE
    whole = MarketBatch(step=1, t=end, bars=slow)
    assert _names(risk.handle(whole, context(now=end))) == [], "each minute moved by a twentieth of a percent"

    longer = agent()
    tape = tuple(
        Print(symbol="BTC/USDT", t=end - 60_000_000 * n, px=50_000.0 + n % 7, qty=1.0, side=1)
        for n in range(3_000, 0, -1)
    )
    hours = tuple(make_bar(t_open=T0 + n * 5 * MINUTE, tf_ns=5 * MINUTE) for n in range(count))
    batch_of_hours = MarketBatch(step=1, t=end, bars=hours, prints=tape)
    assert _names(longer.handle(batch_of_hours, context(now=end))) == []
    assert len(msgspec.msgpack.decode(longer.snapshot())["window"]["BTC/USDT"]) <= 1_001


def test_losses_in_a_row_pause_an_hour() -> None:
    risk = agent(limits={"breakers": {"loss_streak": 3}})
    found: list[str] = []
    realised = 0
    for n in range(6):
        risk.handle(batch(), context(holding_account(realised=realised), T0 + n))
        realised -= 100 if n != 1 else -50
        found += _names(risk.handle(batch(), context(make_account(realised=realised), T0 + n)))

    # two losses, a win, then three losses
    assert found == ["loss_streak"]


def test_lookback_fall_is_relative_to_the_money_before_it() -> None:
    assert lookback_fall([D(100), D(-500), D(200), D(-700)], D(9_000)) == D(1000) / D(10_000)
    assert lookback_fall([], D(9_000)) == 0


def test_restored_agent_goes_on_identically() -> None:
    first = agent(warm_bars=3)
    price = 60_000.0
    for n in range(40):
        price *= 1.004 if n % 3 else 0.99
        first.handle(_pair(price, T0 + n * MINUTE), context(_wobbling(n), T0 + n * MINUTE))
        if n % 4 == 0:
            first.handle(Unknown(iid=b"i", cause="t"), context(now=T0 + n * MINUTE))
    second = agent(warm_bars=3)
    second.restore(first.snapshot())

    assert second.snapshot() == first.snapshot()
    for n in range(40, 80):
        price *= 0.93 if n % 9 == 0 else 1.01
        messages: list[Message] = [_pair(price, T0 + n * MINUTE), review(), Unknown(iid=b"i", cause="t")]
        for m in messages:
            ctx = context(_wobbling(n), T0 + n * MINUTE)
            assert list(second.handle(m, ctx)) == list(first.handle(m, ctx))
    assert second.snapshot() == first.snapshot()


def _pair(price: float, now: int) -> MarketBatch:
    bars = (make_bar(close=price, high=price, low=price), make_bar(symbol="ETH/USDT", close=price / 20))
    return MarketBatch(step=1, t=now, bars=bars, books=(make_book(),))


def _wobbling(n: int) -> StateView:
    equity = 100_000 - (n % 7) * 2_000
    if n % 2:
        return make_account(equity, peak=100_000, day_open=100_000, realised=-n)
    return holding_account(equity=equity, peak=100_000, realised=-n, positions=(make_position(),))


def test_unknown_or_impossible_settings_fail_early() -> None:
    with pytest.raises(ConfigError, match="did you mean 'limits'"):
        agent(limit={})
    with pytest.raises(ConfigError, match="max_gross"):
        agent(limits={"max_gross": -1})


def test_nonsense_from_the_market_and_the_account_does_not_raise() -> None:
    risk = agent()
    nan = float("nan")
    bars = (make_bar(close=nan, high=nan, low=nan), make_bar(symbol="ETH/USDT", close=-1.0, low=0.0))
    for tf in (MINUTE, 5 * MINUTE):
        odd = tuple(make_bar(tf_ns=tf, close=b.close, low=b.low, symbol=b.symbol) for b in bars)
        risk.handle(MarketBatch(step=1, t=T0, bars=odd), context(make_account(equity="NaN")))
    bad = make_proposal(legs=(make_leg(qty="sNaN"),), conf=nan)
    answer = verdict(risk, bad, context(make_account(equity="Infinity")))

    assert not answer.ok
    assert answer.max_qty == 0
