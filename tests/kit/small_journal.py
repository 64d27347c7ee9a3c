"""A hand-written journal of four rounds whose every number is known beforehand.

Not here: how a desk comes to write such a journal; the messages are put down one by one.

Invariant: round 1 nobody bids, round 2 buys 2 of 4 ETH (capital cut it), round 3 is refused by risk, round 4
sells what round 2 bought. Prices and fees are chosen so that the sums are short decimals.
"""

from decimal import Decimal as D
from pathlib import Path

from orchestrator.policy import DeskConfig
from parley.agent import AgentSpec
from parley.ids import client_order_id, intent_id, proposal_id, round_id
from parley.instruments import Instrument
from parley.messages import (
    KINDS,
    Ack,
    Allocation,
    Balance,
    Book,
    Bound,
    Breach,
    Cash,
    Cfp,
    Counter,
    CounterReply,
    Decision,
    Envelope,
    Fill,
    Intent,
    Leg,
    MarketBatch,
    Message,
    Opinion,
    PlanLeg,
    Proposal,
    Ranked,
    Ranking,
    Refuse,
    Started,
    StateView,
    Trigger,
    Verdict,
    WeightUpdate,
    encode,
)
from runtime.journal import Group, IntentRow, JournalWriter, Record
from runtime.run_config import RunConfig, manifest

SYMBOL = "ETH/USDT"
MINUTE = 60_000_000_000
T0 = 1_620_432_000_000_000_000
TREND, TECHNICAL, CAPITAL, RISK, EXECUTION, META = (
    "strategy/trend", "signal/technical", "capital/main", "risk/main", "execution/main", "meta/main",
)  # fmt: skip
ROUNDS = tuple(round_id("local", 1, f"bar/feed/{SYMBOL}/0", T0 + n * MINUTE, 1) for n in range(1, 5))
OPINION = b"o" * 16


def instrument(symbol: str = SYMBOL) -> Instrument:
    base, _, quote = symbol.partition("/")
    return Instrument(
        symbol=symbol, venue="binance", base=base, quote=quote, tick=D("0.01"), lot=D("0.0001"),
        min_qty=D("0.0001"), max_qty=D(9000), min_notional=D(10), maker_fee=D("0.001"), taker_fee=D("0.001"),
    )  # fmt: skip


def run_config(**over: object) -> RunConfig:
    agents = tuple(
        AgentSpec(id=name, role=name.partition("/")[0], factory="agents.silent:make")
        for name in sorted((TREND, TECHNICAL, CAPITAL, RISK, EXECUTION, META))
    )
    desk = DeskConfig(symbols=(SYMBOL,))
    return RunConfig(run_id="small", desk=desk, agents=agents, instruments={SYMBOL: instrument()}, **over)  # type: ignore[arg-type]


class Notes:
    """Numbers and writes messages as a desk would."""

    def __init__(self, path: Path, run: RunConfig) -> None:
        self.writer = JournalWriter.create(path, manifest(run), durable=False, prezero_mb=0)
        self.seq = 0

    def put(self, *messages: Message, sender: str = "desk", round_: bytes = b"") -> None:
        records, intents = [], []
        for message in messages:
            self.seq += 1
            kind = KINDS[type(message)]
            envelope = Envelope(
                kind=kind, tenant="local", desk=1, epoch=1, seq=self.seq, round=round_, sender=sender, to="*",
                cause=0, body=encode(message),
            )  # fmt: skip
            records.append(Record(self.seq, kind, round_, encode(envelope)))
            if isinstance(message, Intent):
                intents.append(IntentRow(message.cid.encode(), message.iid, self.seq))
        self.writer.append(Group(1, records, intents)).result()


def write_journal(path: Path) -> Path:
    """Write the four rounds to a new journal and return its path."""
    notes = Notes(path, run_config())
    notes.put(Started(run_id="small", epoch=1, quote="USDT", capital=D(10_000), t=T0), sender="supervisor")
    notes.put(Balance(account="main", venue="binance", assets=(("USDT", D(10_000)),), t=T0), sender="gateway")
    _nobody_bids(notes, ROUNDS[0])
    _buys(notes, ROUNDS[1])
    _refused(notes, ROUNDS[2])
    _sells(notes, ROUNDS[3])
    notes.writer.close()
    return path


def market(n: int, mid: float) -> MarketBatch:
    book = Book(symbol=SYMBOL, t=T0 + n * MINUTE, seq=n, bids=((mid - 1, 9.0),), asks=((mid + 1, 9.0),))
    return MarketBatch(step=n, t=T0 + n * MINUTE, books=(book,))


def state(n: int, equity: str, **cash: str) -> StateView:
    return StateView(
        account="main", state_version=n, t=T0 + n * MINUTE, quote="USDT", equity=D(equity), peak=D(equity),
        day_open=D(10_000), trading="ACTIVE",
        cash=tuple(Cash(asset=asset, total=D(total), reserved=D(0)) for asset, total in sorted(cash.items())),
    )  # fmt: skip


def _open(notes: Notes, n: int, rid: bytes, mid: float) -> None:
    notes.put(market(n, mid), sender="hub")
    trigger = Trigger(
        source="feed", symbol=SYMBOL, kind="bar", payload_hash=b"", md_seq=notes.seq, t=T0 + n * MINUTE
    )
    cfp = Cfp(
        symbols=(SYMBOL,), budget_hint=D(1000), horizon_ms=60_000, min_edge_bps=0.0, state_version=n,
        t=T0 + n * MINUTE, to_agents=(TREND,), round=rid,
    )  # fmt: skip
    notes.put(trigger, cfp, round_=rid)


def _nobody_bids(notes: Notes, rid: bytes) -> None:
    notes.put(state(1, "10000", USDT="10000"))
    _open(notes, 1, rid, 1000.0)
    notes.put(Refuse(agent=TREND, code="no_setup", detail="fast below slow"), sender=TREND, round_=rid)
    reasons = (("desk", "no_bids", ""), (TREND, "no_setup", "fast below slow"))
    notes.put(_decision(rid, 1, "hold", reasons=reasons), round_=rid)


def proposal(rid: bytes, side: str, qty: str, px: str, *, n: int = 0, **over: object) -> Proposal:
    leg = Leg(symbol=SYMBOL, side=side, qty=D(qty), limit_px=D(px), reduce_only=side == "sell")
    fields: dict[str, object] = {
        "pid": proposal_id(rid, TREND, n), "agent": TREND, "agent_version": "1", "symbol": SYMBOL,
        "legs": (leg,),
        "edge_bps": 50.0, "conf": 0.6, "horizon_ms": 60_000, "stop": D(900), "take": D(1200),
        "max_slippage_bps": 10.0, "ttl_ns": MINUTE, "why": "cross_up", "evidence": (OPINION,),
    }  # fmt: skip
    return Proposal(**(fields | over))  # type: ignore[arg-type]


def _buys(notes: Notes, rid: bytes) -> None:
    opinion = Opinion(
        oid=OPINION, agent=TECHNICAL, symbol=SYMBOL, direction=0.4, conf=0.7, horizon_ms=60_000,
        valid_from=T0,
        valid_to=T0 + 9 * MINUTE, model_version="1", why="momentum", regime="trend_up",
    )  # fmt: skip
    notes.put(opinion, sender=TECHNICAL)
    weights = ((TECHNICAL, 0.75), (TREND, 0.25))
    notes.put(WeightUpdate(version=1, weights=weights, evidence=(1, 2)), sender=META)
    _open(notes, 2, rid, 1000.0)
    bid = proposal(rid, "buy", "4", "1001")
    notes.put(bid, sender=TREND, round_=rid)
    ranked = Ranked(pid=bid.pid, score=0.3, size=0.5)
    ranking = Ranking(round=rid, ranked=(ranked,), margin_of_win=0.3, weights_version=1, quorum=1.0)
    notes.put(ranking, sender=META, round_=rid)
    bounds = (
        Bound(agent=CAPITAL, code="budget", qty_max=D(2)),
        Bound(agent=CAPITAL, code="kelly", qty_max=D(3)),
    )
    allocation = Allocation(
        pid=bid.pid, agent=CAPITAL, max_qty=D(2), margin_reserved=D(0), reservation_id=b"", version=1,
        bounds=bounds, code="budget",
    )  # fmt: skip
    notes.put(allocation, sender=CAPITAL, round_=rid)
    advice = Counter(
        pid=bid.pid, agent=EXECUTION, code="tight_book", binding=False, style="market", tif="IOC"
    )
    notes.put(advice, sender=EXECUTION, round_=rid)
    binding = Counter(pid=bid.pid, agent="desk", code="budget", binding=True, qty_max=D(2))
    notes.put(binding, round_=rid)
    notes.put(CounterReply(pid=bid.pid, agent=TREND, action="accept"), sender=TREND, round_=rid)
    notes.put(_verdict(bid, ok=True, qty="2"), sender=RISK, round_=rid)
    votes = ((TECHNICAL, bid.pid, 0.4, 0.7), (TREND, bid.pid, 1.0, 0.6))
    _accept(notes, 2, rid, bid, "2", wanted="4", bounds=bounds, votes=votes)
    _fill(notes, rid, bid, "t1", "buy", "2", "1001", "0.002", "ETH")
    notes.put(state(2, "9996", ETH="1.998", USDT="7998"))


def _refused(notes: Notes, rid: bytes) -> None:
    _open(notes, 3, rid, 900.0)
    bid = proposal(rid, "buy", "4", "901")
    notes.put(bid, sender=TREND, round_=rid)
    notes.put(_verdict(bid, ok=False, qty="0"), sender=RISK, round_=rid)
    reasons = ((RISK, "max_position", "0.3 > 0.25"),)
    votes = ((TECHNICAL, bid.pid, 0.4, 0.7), (TREND, bid.pid, 1.0, 0.6))
    notes.put(_decision(rid, 3, "reject", bid, reasons=reasons, wanted="4", votes=votes), round_=rid)
    notes.put(state(3, "9796.2", ETH="1.998", USDT="7998"))


def _sells(notes: Notes, rid: bytes) -> None:
    _open(notes, 4, rid, 1100.0)
    bid = proposal(rid, "sell", "1.998", "1099", why="take_profit", evidence=(), stop=None, take=None)
    notes.put(bid, sender=TREND, round_=rid)
    notes.put(_verdict(bid, ok=True, qty="1.998"), sender=RISK, round_=rid)
    _accept(notes, 4, rid, bid, "1.998", wanted="1.998", bounds=(), votes=())
    _fill(notes, rid, bid, "t2", "sell", "1.998", "1100", "2.1978", "USDT")
    notes.put(state(4, "10193.6022", USDT="10193.6022"))


def _verdict(bid: Proposal, *, ok: bool, qty: str) -> Verdict:
    breached = () if ok else (Breach(limit="max_position", value="0.3", cap="0.25"),)
    return Verdict(
        pid=bid.pid, agent=RISK, ok=ok, max_qty=D(qty), breached=breached, state_version=1, risk_epoch=0,
        valid_until=T0 + 99 * MINUTE,
    )  # fmt: skip


def _decision(rid: bytes, n: int, action: str, bid: Proposal | None = None, **over: object) -> Decision:
    wanted = D(str(over.pop("wanted", 0)))
    fields: dict[str, object] = {
        "round": rid, "symbol": SYMBOL, "pid": bid.pid if bid else b"", "agent": bid.agent if bid else "",
        "action": action, "qty": D(0), "px": None, "score": 0.3, "margin_of_win": 0.3, "weights_version": 1,
        "quorum": 1.0, "reasons": (), "proposals": 1 if bid else 0, "t": T0 + n * MINUTE,
        "qty_wanted": wanted,
    }  # fmt: skip
    return Decision(**(fields | over))  # type: ignore[arg-type]


def _accept(notes: Notes, n: int, rid: bytes, bid: Proposal, qty: str, **over: object) -> None:
    side = bid.legs[0].side
    plan = PlanLeg(
        symbol=SYMBOL, side=side, qty=D(qty), style="limit", px=bid.legs[0].limit_px, tif="IOC",
        reduce_only=side == "sell",
    )  # fmt: skip
    notes.put(_decision(rid, n, "accept", bid, qty=D(qty), plan=(plan,), px=plan.px, **over), round_=rid)
    iid = intent_id(rid, bid.pid, 0, 0)
    order = Intent(
        iid=iid, cid=client_order_id(b"k" * 32, "small", iid), round=rid, pid=bid.pid, leg=0, child=0,
        account="main", venue="binance", symbol=SYMBOL, side=side, qty=D(qty), px=plan.px, style="limit",
        tif="IOC", reduce_only=plan.reduce_only, send_by=0, epoch=1, reservation_id=b"", risk_hash=b"",
        ref_px=D(1000 if side == "buy" else 1100),
    )  # fmt: skip
    notes.put(order, round_=rid)
    notes.put(Ack(iid=iid, venue_id=f"v{n}", t_venue=T0), sender="gateway", round_=rid)


def _fill(
    notes: Notes, rid: bytes, bid: Proposal, trade: str, side: str, qty: str, px: str, fee: str, asset: str
) -> None:
    fill = Fill(
        trade_id=trade, venue="binance", account="main", iid=intent_id(rid, bid.pid, 0, 0), venue_id="v",
        symbol=SYMBOL, side=side, qty=D(qty), px=D(px), fee=D(fee), fee_asset=asset, liquidity="taker", t=T0,
    )  # fmt: skip
    notes.put(fill, sender="gateway", round_=rid)
