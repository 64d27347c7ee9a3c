"""The signal agent: opinions with every candle once warm, votes from them, abstentions with a reason."""

from itertools import pairwise
from math import isfinite, nan, sin

import pytest

from agents.signal import SignalAgent, make
from parley.errors import ConfigError
from parley.ids import opinion_id
from parley.messages import Ballot, MarketBatch, Opinion, Print, Vote
from tests.kit.builders import MINUTE, T0, make_bar, make_book, make_leg, make_proposal
from tests.kit.candles import bars_of, batch_of, book_at, context, env_of, spec_of

BTC = "BTC/USDT"


def agent_of(family: str = "technical", **params: object) -> SignalAgent:
    return SignalAgent(spec_of(f"signal/{family}", family=family, **params), env_of())


def opinions_on(agent: SignalAgent, closes: list[float]) -> list[Opinion]:
    found: list[Opinion] = []
    for n, bar in enumerate(bars_of(closes, wick=1.0)):
        now = bar.t_open + MINUTE
        found += agent.handle(batch_of(bar), context(now, seq=n))  # type: ignore[arg-type]
    return found


def ballot(side: str = "buy", **over: object) -> Ballot:
    bid = make_proposal(legs=(make_leg(side=side, **over),), **over)
    return Ballot(round=b"r", stage="vote", proposals=(bid,), votes=(), weights_version=1, t=T0)


def tape_batch(n: int, bid_qty: float, side: int) -> MarketBatch:
    book = make_book(bids=((99.5, bid_qty),), asks=((100.5, 1.0),))
    bar = make_bar(t_open=T0 + n * MINUTE, open=100.0, high=101.0, low=99.0, close=100.0)
    tape = (Print(symbol=BTC, t=T0, px=100.0, qty=1.0, side=side),)
    return MarketBatch(step=n, t=bar.t_open + MINUTE, bars=(bar,), books=(book,), prints=tape)


RISE = [1_000.0 + 2.0 * n + 5.0 * sin(n) for n in range(300)]
FALL = [3_000.0 - 2.0 * n + 5.0 * sin(n) for n in range(300)]


def test_long_rise_is_seen_as_one_and_a_fall_as_its_mirror() -> None:
    up, down = opinions_on(agent_of(), RISE)[-1], opinions_on(agent_of(), FALL)[-1]

    assert (up.regime, down.regime) == ("trend_up", "trend_down")
    assert up.direction > 0.3
    assert down.direction < -0.3


def test_nothing_is_said_while_warming_up_then_one_opinion_per_candle() -> None:
    found = opinions_on(agent_of(), RISE)

    assert 0 < len(found) < 60
    assert len({o.valid_from for o in found}) == len(found)
    last = found[-1]
    assert last.valid_from == T0 + 300 * MINUTE
    assert last.valid_to == last.valid_from + 3 * MINUTE
    assert last.oid == opinion_id("signal/technical", BTC, last.valid_from)


def test_direction_moves_smoothly_and_confidence_claims_little() -> None:
    found = opinions_on(agent_of(), RISE + FALL)

    steps = [abs(b.direction - a.direction) for a, b in pairwise(found)]
    assert max(steps) < 0.5
    assert all(-1 <= o.direction <= 1 and 0.5 <= o.conf <= 0.52 for o in found)


def test_price_that_stands_still_gives_no_direction() -> None:
    assert {o.direction for o in opinions_on(agent_of(), [100.0] * 300)} <= {0.0, -0.0}


@pytest.mark.parametrize(("bid_qty", "side", "sign"), [(9.0, 1, 1), (0.1, -1, -1)])
def test_book_and_tape_lean_to_the_stronger_side(bid_qty: float, side: int, sign: int) -> None:
    agent = agent_of("book")
    found: list[Opinion] = []

    for n in range(40):
        found += agent.handle(tape_batch(n, bid_qty, side), context(T0 + (n + 1) * MINUTE))  # type: ignore[arg-type]

    assert len(found) == 21
    assert found[-1].direction * sign > 0.6
    assert found[-1].horizon_ms == 300_000


@pytest.mark.parametrize("family", ["technical", "book"])
def test_unusable_market_data_is_no_news(family: str) -> None:
    agent = agent_of(family)
    opinions_on(agent, RISE)
    before = agent.snapshot()

    bad = MarketBatch(
        step=1, t=T0 + 400 * MINUTE,
        bars=(make_bar(t_open=T0 + 399 * MINUTE, close=nan), make_bar(symbol="DOGE/USDT"), make_bar(tf_ns=1)),
        books=(make_book(bids=()), make_book(bids=((nan, 1.0),)), make_book(symbol="DOGE/USDT")),
    )  # fmt: skip

    assert list(agent.handle(bad, context(T0 + 400 * MINUTE))) == []
    assert agent.snapshot() == before


def test_candle_that_comes_twice_gives_one_opinion() -> None:
    agent = agent_of()
    opinions_on(agent, RISE)
    bar = bars_of(RISE)[-1]

    assert list(agent.handle(batch_of(bar), context(bar.t_open + MINUTE))) == []


# votes


def test_vote_is_the_direction_times_the_side() -> None:
    agent = agent_of()
    last = opinions_on(agent, RISE)[-1]

    [buy] = agent.handle(ballot("buy"), context(last.valid_from))
    [sell] = agent.handle(ballot("sell"), context(last.valid_from))

    assert isinstance(buy, Vote)
    assert isinstance(sell, Vote)
    assert (buy.score, sell.score) == (last.direction, -last.direction)
    assert buy.conf == sell.conf == last.conf


def test_expired_opinion_is_an_abstention() -> None:
    agent = agent_of()
    last = opinions_on(agent, RISE)[-1]

    [vote] = agent.handle(ballot(), context(last.valid_to))

    assert isinstance(vote, Vote)
    assert (vote.abstain, vote.why, vote.score) == (True, "expired", 0.0)


@pytest.mark.parametrize(("symbol", "why"), [(BTC, "warming_up"), ("DOGE/USDT", "no_opinion")])
def test_agent_without_an_opinion_abstains_with_a_reason(symbol: str, why: str) -> None:
    [vote] = agent_of().handle(ballot(symbol=symbol), context())

    assert isinstance(vote, Vote)
    assert (vote.abstain, vote.why) == (True, why)


def test_every_proposal_of_a_ballot_gets_one_vote_and_a_rank_ballot_none() -> None:
    bids = tuple(make_proposal(pid=bytes([n]) * 16) for n in range(3))
    vote = Ballot(round=b"r", stage="vote", proposals=bids, votes=(), weights_version=1, t=T0)
    rank = Ballot(round=b"r", stage="rank", proposals=bids, votes=(), weights_version=1, t=T0)

    answers = agent_of().handle(vote, context())

    assert [a.pid for a in answers if isinstance(a, Vote)] == [b.pid for b in bids]
    assert list(agent_of().handle(rank, context())) == []


# state


@pytest.mark.parametrize("family", ["technical", "book"])
def test_restored_agent_says_the_same(family: str) -> None:
    plain, kept = agent_of(family), agent_of(family)
    for n, bar in enumerate(bars_of(RISE, wick=1.0)):
        if n % 41 == 0:
            other = agent_of(family)
            other.restore(kept.snapshot())
            kept = other
        batch, ctx = batch_of(bar, book_at(bar.close, half=0.5 + n % 3)), context(bar.t_open + MINUTE)
        assert list(kept.handle(batch, ctx)) == list(plain.handle(batch, ctx))

    assert kept.snapshot() == plain.snapshot()


@pytest.mark.parametrize("family", ["technical", "book"])
def test_wild_but_possible_prices_give_finite_opinions(family: str) -> None:
    closes = [10.0 ** (4 * sin(n)) for n in range(320)]
    agent = agent_of(family)
    found: list[Opinion] = []
    for bar in bars_of(closes):
        found += agent.handle(
            batch_of(bar, book_at(bar.close, half=bar.close / 9)), context(bar.t_open + MINUTE)
        )  # type: ignore[arg-type]

    assert found
    assert all(isfinite(o.direction) and isfinite(o.conf) for o in found)


@pytest.mark.parametrize("params", [{"family": "news"}, {"famly": "book"}, {"validity_bars": 0}])
def test_bad_parameter_is_a_config_error(params: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        make(spec_of("signal/x", **params), env_of())
