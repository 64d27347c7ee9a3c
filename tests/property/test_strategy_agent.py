"""Whatever comes in whatever order: one sound answer per question, no stop loosened, nothing forgotten."""

import hashlib
import os
import subprocess
import sys
from decimal import Decimal
from math import inf, isfinite, nan
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

import strategies.breakout
import strategies.reversion
import strategies.trend
from agents.signal import SignalAgent
from agents.strategy import StrategyAgent
from orchestrator import validate
from parley.messages import (
    Book,
    Cfp,
    Counter,
    CounterReply,
    Holding,
    MarketBatch,
    Message,
    Opinion,
    Proposal,
    Refuse,
    StateView,
    decode,
    encode,
)
from parley.strategy_source import Leave, SourceFactory, Stay
from parley.view import FirmView
from tests.kit.builders import MINUTE, T0, make_bar, make_book, make_opinion, make_state
from tests.kit.candles import book_at, context, entry, env_of, scripted, spec_of
from tests.kit.effort import examples

ROOT = Path(__file__).resolve().parents[2]
SYMBOLS = ("BTC/USDT", "ETH/USDT")
Step = tuple[Message, int, StateView]
FAST: dict[str, dict[str, object]] = {
    "strategies.trend:make": {"every": 1, "fast": 2, "slow": 4, "atr": 2, "tilt": 0.3},
    "strategies.reversion:make": {"every": 1, "rsi": 2, "atr": 2, "tilt": 0.3},
    "strategies.breakout:make": {"every": 1, "channel": 2, "exit_channel": 2, "atr": 2, "tilt": 0.3},
}
MAKERS: dict[str, SourceFactory] = {
    "strategies.trend:make": strategies.trend.make,
    "strategies.reversion:make": strategies.reversion.make,
    "strategies.breakout:make": strategies.breakout.make,
}

anything = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from(
    [nan, inf, -inf, 0.0, 1e300, 1e-300]
)
prices = st.floats(80.0, 120.0)
symbols = st.sampled_from(SYMBOLS)


@st.composite
def batches(draw: st.DrawFn, n: int) -> MarketBatch:
    symbol = draw(st.just(SYMBOLS[0]) | symbols)  # mostly one, so that strategies become warm
    t = T0 + n * MINUTE
    a, b, mid = draw(prices), draw(prices), draw(prices)
    bar = make_bar(symbol=symbol, t_open=t, open=a, high=max(a, b) + 1.0, low=min(a, b) - 1.0, close=b)
    book = book_at(mid, symbol=symbol, half=0.01, t=t)
    match draw(st.integers(0, 7)):
        case 0:
            field = draw(st.sampled_from(["open", "high", "low", "close", "volume"]))
            bar = msgspec.structs.replace(bar, **{field: draw(anything)})
        case 1:
            book = make_book(
                symbol=symbol, bids=draw(st.sampled_from([(), ((draw(anything), draw(anything)),)]))
            )
        case 2:
            bar = msgspec.structs.replace(bar, t_open=T0)
    return MarketBatch(step=n, t=t + MINUTE, bars=(bar,), books=(book,))


@st.composite
def states(draw: st.DrawFn) -> StateView:
    holdings = ()
    if draw(st.booleans()):
        qty = Decimal(draw(st.sampled_from(["1", "-1", "0.00000001", "0.3333333333", "50000"])))
        level = st.none() | st.integers(1, 300).map(Decimal)
        holdings = (
            Holding(
                agent="strategy/x", symbol=draw(symbols), qty=qty, avg_px=Decimal(100), round=b"", pid=b"",
                opened=T0 + draw(st.integers(0, 1)), stop=draw(level), take=draw(level),
            ),
        )  # fmt: skip
    return make_state(
        holdings=holdings, trading=draw(st.sampled_from(["ACTIVE", "ACTIVE", "ACTIVE", "REDUCING", "HALTED"]))
    )


@st.composite
def talks(draw: st.DrawFn) -> list[Step]:
    steps: list[Step] = []
    state = make_state()
    for n in range(draw(st.integers(1, 12))):
        if draw(st.integers(0, 4)) == 0:
            state = draw(states())
        now = T0 + (n + 1) * MINUTE
        steps.append((draw(batches(n)), now, state))
        if draw(st.booleans()):
            opinion: Opinion = make_opinion(
                agent=f"signal/{draw(st.sampled_from('ab'))}", symbol=draw(symbols), direction=draw(anything),
                conf=draw(st.floats(0, 1) | st.just(nan)), valid_to=now + MINUTE, oid=bytes([n]) * 16,
            )  # fmt: skip
            steps.append((opinion, now, state))
        some = st.lists(st.sampled_from([*SYMBOLS, "DOGE/USDT"]), max_size=3).map(tuple)
        asked = draw(st.just(SYMBOLS) | some)
        hint = Decimal(
            draw(st.sampled_from(["2000", "2000", "2000", "0", "-5", "NaN", "Infinity", "1e30", "11"]))
        )
        edge = draw(st.sampled_from([0.0, 0.0, nan, inf, 10.0]))
        cfp = Cfp(
            symbols=asked, budget_hint=hint, horizon_ms=1, min_edge_bps=edge, state_version=1, t=now,
            round=b"%d" % n,
        )  # fmt: skip
        steps.append((cfp, now, state))
        if draw(st.booleans()):
            limit = st.none() | st.sampled_from(["0", "0.1", "NaN", "-1", "90", "1e9"]).map(Decimal)
            counter = Counter(
                pid=b"", agent="desk", code="x", binding=True, qty_max=draw(limit), px_limit=draw(limit)
            )
            steps.append((counter, now, state))
    return steps


class Examiner:
    """Feeds an agent and checks each answer by itself; counters are about its last proposal."""

    def __init__(self, agent: StrategyAgent) -> None:
        self.agent = agent
        self.books: dict[str, Book] = {}
        self.bid: Proposal | None = None

    def feed(self, step: Step, seq: int) -> list[bytes]:
        message, now, state = step
        if isinstance(message, Counter) and self.bid is not None:
            message = msgspec.structs.replace(message, pid=self.bid.pid)
        if isinstance(message, MarketBatch):
            self.books |= {b.symbol: b for b in message.books}
        answers = self.agent.handle(message, context(now, state=state, seq=seq))
        if isinstance(message, Cfp | Counter):
            assert len(answers) == 1
            self.check(answers[0], FirmView(state))
        else:
            assert len(answers) == 0
        return [encode(a) for a in answers]

    def check(self, answer: Message, view: FirmView) -> None:
        assert encode(decode(encode(answer))) == encode(answer)
        match answer:
            case Refuse():
                assert answer.code.replace("_", "").isalpha()
                assert len(answer.detail) <= 256
            case CounterReply():
                assert answer.action in ("accept", "revise", "withdraw")
                if answer.proposal is not None:
                    self.bid = answer.proposal
            case Proposal():
                self.bid = answer
                assert validate.proposal(answer, env_of(), view, self.books) in ("", "outside_collar")
                assert isfinite(answer.edge_bps)
                assert isfinite(answer.conf)
            case _:
                raise AssertionError(f"a strategy may not say {type(answer).__name__}")


@settings(max_examples=examples(50))
@given(talk=talks(), source=st.sampled_from(sorted(MAKERS)), cut=st.integers(0, 30))
def test_any_talk_gets_one_sound_answer_per_question_also_after_a_restore(
    talk: list[Step], source: str, cut: int
) -> None:
    spec = spec_of(source=source, source_params=FAST[source])
    plain, kept = (Examiner(StrategyAgent(spec, env_of(), MAKERS[source])) for _ in range(2))

    for seq, step in enumerate(talk):
        if seq == cut:
            blob = kept.agent.snapshot()
            kept.agent = StrategyAgent(spec, env_of(), MAKERS[source])
            kept.agent.restore(blob)
        assert plain.feed(step, seq) == kept.feed(step, seq)

    assert plain.agent.snapshot() == kept.agent.snapshot()


@settings(max_examples=examples(50))
@given(
    talk=talks(),
    numbers=st.just((90.0, 0.6, 70.0, 150.0)) | st.tuples(anything, anything, anything, anything),
    side=st.sampled_from([1, 1, -1, 0]),
)
def test_source_that_talks_nonsense_never_reaches_the_desk(
    talk: list[Step], numbers: tuple[float, float, float, float], side: int
) -> None:
    edge, conf, stop, take = numbers
    wild = entry(direction=side, edge_bps=edge, conf=conf, stop=stop, take=take)
    tester = Examiner(StrategyAgent(spec_of(), env_of(), scripted(wild, Leave("x" * 500))))

    for seq, step in enumerate(talk):
        tester.feed(step, seq)


@settings(max_examples=examples(40))
@given(wishes=st.lists(anything | st.floats(50.0, 150.0), max_size=30), direction=st.sampled_from([1, -1]))
def test_stop_moves_in_favour_of_the_holding_only(wishes: list[float], direction: int) -> None:
    agent = StrategyAgent(spec_of(), env_of(), scripted())
    agent.handle(MarketBatch(step=0, t=T0, bars=(make_bar(),), books=(book_at(60_000.0),)), context())
    mine = Holding(
        agent="strategy/x",
        symbol="BTC/USDT",
        qty=Decimal(direction),
        avg_px=Decimal(1),
        opened=T0,
        round=b"",
        pid=b"",
    )
    cfp = Cfp(
        symbols=("BTC/USDT",),
        budget_hint=Decimal(1),
        horizon_ms=1,
        min_edge_bps=0.0,
        state_version=1,
        t=T0,
        round=b"r",
    )
    before = nan
    for wish in wishes:
        agent.source.leave = Stay(wish)  # type: ignore[attr-defined]
        agent.handle(cfp, context(state=make_state(holdings=(mine,))))
        now = agent._state.guards["BTC/USDT"].stop
        assert isfinite(now) or now != now
        assert not (now - before) * direction < 0
        assert before != before or now == now
        before = now


SCRIPT = """
import sys
from math import sin
sys.path.insert(0, sys.argv[1])
from tests.property.test_strategy_agent import digest
print(digest([100 + 15 * sin(n / 5) + 3 * sin(2.3 * n) for n in range(120)]))
"""


def digest(closes: list[float]) -> str:
    """Hash everything that a strategy and a signal agent say and keep on a series."""
    found = hashlib.blake2b()
    signal = SignalAgent(spec_of("signal/t"), env_of())
    for source in sorted(MAKERS):
        agent = StrategyAgent(spec_of(source_params=FAST[source]), env_of(), MAKERS[source])
        for n, close in enumerate(closes):
            before = closes[max(0, n - 1)]
            bars = tuple(
                make_bar(symbol=s, t_open=T0 + n * MINUTE, open=before, high=max(before, close) + 1,
                         low=min(before, close) - 1, close=close)
                for s in SYMBOLS
            )  # fmt: skip
            now = T0 + (n + 1) * MINUTE
            batch = MarketBatch(
                step=n, t=now, bars=bars, books=tuple(book_at(close, symbol=s, half=0.01) for s in SYMBOLS)
            )
            cfp = Cfp(
                symbols=SYMBOLS,
                budget_hint=Decimal(900),
                horizon_ms=1,
                min_edge_bps=0.0,
                state_version=1,
                t=now,
            )
            for who in (signal, agent):
                for message in (batch, cfp):
                    for answer in who.handle(message, context(now, seq=n)):
                        found.update(encode(answer))
        found.update(agent.snapshot())
    found.update(signal.snapshot())
    return found.hexdigest()


def test_hash_seed_has_no_influence() -> None:
    said = set()
    for seed in ("0", "1", "4242"):
        process = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(ROOT)], capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        )  # fmt: skip
        said.add(process.stdout.strip())

    assert len(said) == 1
    assert len(said.pop()) == 128
