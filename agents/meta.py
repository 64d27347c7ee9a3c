"""The meta-decision agent: weighs agents by their track record and arbitrates between their proposals.

It learns from `Outcome`s, all of them known to everybody from the journal, and answers
`Ballot`s of stage ``rank``. Outcomes that mature at one market time are one epoch; an
epoch is worked off when the next one begins, so the order within it is irrelevant.
Weights are versioned: a ballot is scored under the version it names.

An agent that joins when somebody has a proven record (``min_outcomes``) is in shadow,
weight 0, until it has one too. Agents of a young desk, where nobody has, count from the
start with equal prior weights: otherwise it could never begin to trade.

Not here: the scoring (`parley.ranking`), the learning rule (`parley.experts`).

Invariant: weights are a fold over the outcomes alone; risk and capital have none.
"""

from collections.abc import Mapping, Sequence
from math import isfinite, sqrt
from typing import Annotated

import msgspec
from msgspec import Meta

from parley.agent import AgentEnv, AgentSpec, Context, params_of
from parley.calibration import Platt, calibrated
from parley.experts import Alike, Hedge
from parley.messages import Ballot, MarketBatch, Message, Outcome, Proposal, WeightUpdate
from parley.ranking import Policy, Terms, rank
from parley.weighting import blend, constrain

DAY_NS = 86_400_000_000_000
KEPT_VERSIONS = 16
MAX_REGIMES = 16
ALL = ""  # the regime key of weights over everything
VOTERS = ("arbitrage", "signal", "strategy")


class Params(Policy, frozen=True, kw_only=True):
    """Scoring (`Policy`) and learning.

    ``share`` and ``eta`` as in `Hedge` (0: adaptive); ``regime_half`` trials make a regime's
    own weights count half; ``floor``, ``cap``, ``change_per_day`` bound weights; an update is
    published after ``batch`` outcomes at the earliest.
    """

    share: Annotated[float, Meta(ge=0, le=0.5)] = 0.01
    eta: Annotated[float, Meta(ge=0, le=10)] = 0.0
    regime_half: Annotated[float, Meta(gt=0)] = 100.0
    floor: Annotated[float, Meta(ge=0, le=0.5)] = 0.02
    cap: Annotated[float, Meta(gt=0, le=1)] = 0.40
    change_per_day: Annotated[float, Meta(gt=0, le=1)] = 0.10
    alike: Annotated[float, Meta(gt=0, le=1)] = 0.90
    alike_after: Annotated[float, Meta(ge=2)] = 50.0
    min_outcomes: Annotated[int, Meta(ge=1)] = 200
    batch: Annotated[int, Meta(ge=1)] = 20
    default_sigma_bps: Annotated[float, Meta(gt=0)] = 30.0
    slippage_bps: Annotated[float, Meta(ge=0)] = 1.0


class Seen(msgspec.Struct, array_like=True):
    """What is known of a symbol's market: last close, spread, variance of bar returns in bps^2."""

    px: float = 0.0
    spread_bps: float = 0.0
    var: float = 0.0


class Version(msgspec.Struct, frozen=True, array_like=True):
    """What a ballot is scored with: weights by regime, and slope and intercept of the confidence maps."""

    weights: dict[str, dict[str, float]]
    maps: dict[str, tuple[float, float]] = {}


class State(msgspec.Struct, kw_only=True):
    """All the agent knows; its snapshot."""

    version: int = 0
    overall: Hedge
    regimes: dict[str, Hedge] = {}
    alike: Alike
    maps: dict[str, Platt] = {}
    matured: dict[str, int] = {}
    shadow: dict[str, bool] = {}
    pending: list[tuple[int, Outcome]] = []
    since: int = 0
    evidence: tuple[int, int] = (0, 0)
    day: int = -1
    opened: dict[str, dict[str, float]] = {}
    versions: dict[int, Version] = {}
    market: dict[str, Seen] = {}


class MetaAgent:
    """Answers rank ballots and turns outcomes into weights."""

    def __init__(self, spec: AgentSpec, env: AgentEnv) -> None:
        self.spec = spec
        self._params = params_of(spec, Params)
        self._instruments = env.instruments
        self._tf_ms = max(1.0, env.tf_ns / 1e6)
        self._electorate = tuple(sorted(a for a, role in env.agents if role == "signal"))
        self._roster = tuple(sorted(a for a, role in env.agents if role in VOTERS))
        p = self._params
        self._state = State(overall=Hedge(share=p.share, eta=p.eta), alike=Alike())
        self._open_book()

    def _open_book(self) -> None:
        for agent in self._roster:
            self._join(agent)
        if not self._state.versions:
            self._state.versions[0] = Version(self._weights())

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        """Answer a rank ballot with a `Ranking`; learn from outcomes, now and then with a `WeightUpdate`."""
        match msg:
            case Ballot(stage="rank"):
                return (self._rank(msg),)
            case Outcome(control=False):
                return self._outcome(msg, ctx.seq)
            case MarketBatch():
                self._see(msg)
        return ()

    def snapshot(self) -> bytes:
        """Give the whole state as bytes."""
        return msgspec.msgpack.encode(self._state)

    def restore(self, blob: bytes) -> None:
        """Take up a snapshot; agents of the roster it does not know join as newcomers."""
        self._state = msgspec.msgpack.decode(blob, type=State)
        self._open_book()

    # ranking

    def _rank(self, ballot: Ballot) -> Message:
        state = self._state
        known = state.versions.get(ballot.weights_version) or state.versions[state.version]
        weights = known.weights.get(ballot.regime) or known.weights[ALL]
        voters = {v.agent for v in ballot.votes} - weights.keys()
        if voters and max(state.matured.values(), default=0) < self._params.min_outcomes:
            # a young desk: who is not in the book yet counts like anybody else
            mean = 1 / max(1, len(weights))
            weights = {**weights, **dict.fromkeys(sorted(voters), mean)}

        def calibrate(agent: str, conf: float) -> float:
            line = known.maps.get(agent)
            return calibrated(conf, *line) if line else min(1.0, max(0.0, conf))

        return rank(ballot, weights, self._electorate, calibrate, self._terms, self._params)

    def _terms(self, p: Proposal) -> Terms:
        """Price a proposal: taker fees and half spreads of all legs, and the way back of a single one."""
        ways = 1 if p.coupled or p.reduce_only else 2
        cost = 0.0
        for leg in p.legs:
            instrument = self._instruments.get(leg.symbol)
            seen = self._state.market.get(leg.symbol)
            fee = float(instrument.taker_fee) * 1e4 if instrument else 0.0
            spread = seen.spread_bps / 2 if seen else 0.0
            cost += ways * (fee + spread + self._params.slippage_bps)
        seen = self._state.market.get(p.legs[0].symbol)
        if seen is not None and seen.var > 0:
            sigma = sqrt(seen.var * max(1.0, p.horizon_ms / self._tf_ms))
        else:
            sigma = max(self._params.default_sigma_bps, abs(p.edge_bps))
        px = seen.px if seen else 0.0
        risk = abs(px - float(p.stop)) / px * 1e4 if p.stop is not None and px > 0 else 2 * sigma
        if p.coupled:
            # a cycle is measured against what it promises: nothing of it rests on where prices go
            sigma = risk = max(1.0, abs(p.edge_bps))
        return Terms(cost, sigma, risk)

    def _see(self, batch: MarketBatch) -> None:
        market = self._state.market
        for bar in batch.bars:
            seen = market.get(bar.symbol)
            if seen is None:
                seen = market[bar.symbol] = Seen()
            if isfinite(bar.close) and bar.close > 0:
                if seen.px > 0:
                    r = (bar.close / seen.px - 1) * 1e4
                    seen.var = 0.97 * seen.var + 0.03 * r * r if seen.var > 0 else r * r
                seen.px = bar.close
        for book in batch.books:
            if book.bids and book.asks:
                bid, ask = book.bids[0][0], book.asks[0][0]
                if 0 < bid <= ask < float("inf"):
                    market.setdefault(book.symbol, Seen()).spread_bps = (ask - bid) / (bid + ask) * 2e4

    # learning

    def _join(self, agent: str) -> None:
        state = self._state
        if agent in state.overall.weights:
            return
        state.overall.join(agent)
        state.shadow[agent] = any(n >= self._params.min_outcomes for n in state.matured.values())
        state.matured[agent] = 0

    def _outcome(self, outcome: Outcome, seq: int) -> tuple[Message, ...]:
        state = self._state
        update: tuple[Message, ...] = ()
        if state.pending and outcome.t != state.pending[0][1].t:
            update = self._close_epoch()
        if isfinite(outcome.markout_bps_net) and outcome.sigma_bps > 0:
            state.pending.append((seq, outcome))
        return update

    def _close_epoch(self) -> tuple[Message, ...]:
        """Learn from the outcomes of one market time; publish when enough came together."""
        state, p = self._state, self._params
        seqs = [seq for seq, _ in state.pending]
        outcomes = sorted((o for _, o in state.pending), key=_canonical)
        t = outcomes[0].t
        first = state.evidence[0] if state.since else min(seqs)
        state.evidence = (min(first, *seqs), max(state.evidence[1], *seqs))
        state.since += len(outcomes)
        state.pending = []
        if t // DAY_NS != state.day:
            state.day = t // DAY_NS
            latest = state.versions[state.version].weights
            state.opened = {regime: dict(weights) for regime, weights in latest.items()}
        trials: dict[tuple[bytes, bytes], dict[str, Outcome]] = {}
        for o in outcomes:
            trials.setdefault((o.round, o.pid), {}).setdefault(o.agent, o)
        for _, voters in sorted(trials.items()):
            self._trial(voters)
        if state.since < p.batch:
            return ()
        return (self._publish(),)

    def _trial(self, voters: Mapping[str, Outcome]) -> None:
        state, p = self._state, self._params
        losses: dict[str, float] = {}
        for agent in sorted(voters):
            o = voters[agent]
            self._join(agent)
            if not abs(o.score) * o.conf >= p.min_conviction:
                continue
            state.matured[agent] += 1
            if state.matured[agent] >= p.min_outcomes:
                state.shadow[agent] = False
            losses[agent] = loss(o)
            platt = state.maps.get(agent)
            if platt is None:
                platt = state.maps[agent] = Platt()
            platt.learn(o.conf, o.score * o.markout_bps_net > 0)
        state.overall.update(losses)
        # a proposer is always for its proposal: agreeing with it says nothing about copying
        state.alike.add({a: x for a, x in losses.items() if voters[a].kind != "proposal"})
        regime = next(iter(voters.values())).regime
        if regime:
            own = state.regimes.get(regime)
            if own is None and len(state.regimes) < MAX_REGIMES:
                own = state.regimes[regime] = Hedge(share=p.share, eta=p.eta)
            if own is not None:
                for agent in sorted(state.overall.weights):
                    own.join(agent)
                own.update(losses)

    def _weights(self) -> dict[str, dict[str, float]]:
        """Bound what was earned, overall and in each regime."""
        state, p = self._state, self._params
        voting = sorted(a for a in state.overall.weights if not state.shadow[a])
        silent = dict.fromkeys(sorted(a for a in state.overall.weights if state.shadow[a]), 0.0)
        clusters = state.alike.clusters(voting, p.alike, p.alike_after)
        whole = state.overall.shares()
        result = {}
        for regime in (ALL, *sorted(state.regimes)):
            earned = whole
            if regime:
                own = state.regimes[regime]
                earned = blend(whole, own.shares(), own.trials, p.regime_half)
            opened = state.opened.get(regime) or state.opened.get(ALL) or {}
            bounded = constrain(earned, clusters, opened, floor=p.floor, cap=p.cap, change=p.change_per_day)
            result[regime] = {**silent, **bounded}
        return result

    def _publish(self) -> WeightUpdate:
        state = self._state
        weights = self._weights()
        state.version += 1
        maps = {a: (m.slope, m.intercept) for a, m in sorted(state.maps.items())}
        state.versions[state.version] = Version(weights, maps)
        for old in [v for v in state.versions if v <= state.version - KEPT_VERSIONS]:
            del state.versions[old]
        update = WeightUpdate(
            version=state.version, weights=tuple(sorted(weights[ALL].items())), evidence=state.evidence,
            why=f"{state.since} outcomes",
            calibration=tuple((a, slope, intercept) for a, (slope, intercept) in maps.items()),
        )  # fmt: skip
        state.since = 0
        state.evidence = (0, 0)
        return update


def loss(o: Outcome) -> float:
    """Loss in [0, 1] of a vote: 0.5 for one that says nothing, by conviction towards 0 or 1.

    The net mark-out is cut at twice the expected move (negotiation 5); confidence scales the
    distance from 0.5, so that low confidence is a small bet and not a small loss.
    """
    reward = min(1.0, max(-1.0, o.markout_bps_net / (2 * o.sigma_bps)))
    return (1 - min(1.0, max(0.0, o.conf)) * min(1.0, max(-1.0, o.score)) * reward) / 2


def _canonical(o: Outcome) -> tuple[bytes, bytes, str, str, int, float, float, float]:
    return (o.round, o.pid, o.agent, o.kind, o.horizon_ms, o.score, o.conf, o.markout_bps_net)


def make(spec: AgentSpec, env: AgentEnv) -> MetaAgent:
    """Build the meta-decision agent of a spec."""
    return MetaAgent(spec, env)
