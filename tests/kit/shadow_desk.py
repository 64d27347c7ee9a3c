"""A freqtrade strategy on paper without processes: its agent, a desk that agrees, a market of candle parts.

All that a desk's journal would hold of it is kept, so that it can be laid beside a backtest.

Invariant: the same candles give the same journal; within a candle the market runs from its opening price over
its extremes to its close.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from parley.ids import intent_id
from parley.messages import (
    Analysed,
    Fill,
    Intent,
    MarketBatch,
    Message,
    Proposal,
    Trigger,
)
from runtime.history import Entry
from runtime.shadow_journal import RunHeard
from tests.kit.paper_desk import ME, NS, TF_NS, WHOLE, Folder, PaperDesk, book

PARTS = 8


def parts(folder: Folder, first: int, last: int, count: int = PARTS) -> Iterator[MarketBatch]:
    """Return the batches of candles played in parts; a candle is told with its last one."""
    step = 0
    for row in range(first, last):
        for part in range(1, count + 1):
            step += 1
            t = folder.t_ms(row) * NS + TF_NS * part // count
            books = tuple(book(pair, _price(folder, pair, row, part / count), t) for pair in folder.pairs)
            bars = folder.bars(row) if part == count else ()
            yield MarketBatch(step=step, t=t, bars=bars, books=books)


def _price(folder: Folder, pair: str, row: int, done: float) -> float:
    """Where a candle is after a part of its time: open, extreme, other extreme, close."""
    candle = folder.frames[pair].iloc[row]
    far = (
        [candle["low"], candle["high"]]
        if candle["close"] >= candle["open"]
        else [candle["high"], candle["low"]]
    )
    stops = [candle["open"], *far, candle["close"]]
    at = min(int(done * 3), 2)
    return float(stops[at] + (stops[at + 1] - stops[at]) * (done * 3 - at))


@dataclass
class ShadowedDesk(PaperDesk):
    """Keeps what it tells and hears as a journal would; ``thin``: pairs of which it fills only a part."""

    thin: dict[str, Decimal] = field(default_factory=dict)

    journal: list[Message] = field(default_factory=list)
    rounds: list[bytes] = field(default_factory=list)
    waiting: list[MarketBatch] = field(default_factory=list)
    round: bytes = b""

    def play(self, batch: MarketBatch) -> list[Proposal]:
        """Tell a batch, and negotiate."""
        self._keep(batch)
        return super().play(batch)

    def miss(self, batch: MarketBatch) -> None:
        """Let the market go on while the strategy's process is stopped."""
        self._keep(batch)
        self.waiting.append(batch)

    def wake(self) -> None:
        """Let the process work off what it missed; the market does not go back for it."""
        late, now = self.waiting, self.waiting[-1].t
        self.waiting = []
        for batch in late:
            self.now = batch.t
            answers = self.tell(batch)
            self.now = now
            for said in answers:
                assert isinstance(said, Analysed)
                for ready in said.ready:
                    self._keep(said)
                    self.negotiate(ready.symbol)

    def tell(self, message: Message) -> Sequence[Message]:
        """Tell the agent one message and keep both."""
        if not isinstance(message, MarketBatch):
            self._keep(message)
        answers = super().tell(message)
        for said in answers:
            if not self.waiting:
                self._keep(said)
        return answers

    def negotiate(self, symbol: str, *, reduce_only: bool = False) -> None:
        """Hold a round."""
        self.round = f"{symbol}/{self.seq}".encode().ljust(16, b".")[-16:]
        self._keep(Trigger(source=ME, symbol=symbol, kind="analysis", payload_hash=b"", md_seq=0, t=self.now))
        self.part = self.thin.get(symbol, WHOLE)
        super().negotiate(symbol, reduce_only=reduce_only)
        self.round = b""

    def outcome(self, round_: bytes, bid: Proposal) -> Iterator[Message]:
        """Return what became of a proposal, its order among it."""
        for message in super().outcome(round_, bid):
            if isinstance(message, Fill):
                self._keep(_intent(round_, bid))
            yield message

    def heard(self) -> RunHeard:
        """What a run's journal would say."""
        made = RunHeard([self.agent.spec], TF_NS)
        made.take(
            Entry(n, round_, "desk", 0, 0, b"", message)
            for n, (round_, message) in enumerate(zip(self.rounds, self.journal, strict=True), 1)
        )
        return made

    def _keep(self, message: Message) -> None:
        self.rounds.append(self.round)
        self.journal.append(message)


def _intent(round_: bytes, bid: Proposal) -> Intent:
    leg = bid.legs[0]
    return Intent(
        iid=intent_id(round_, bid.pid, 0, 0), cid="c", round=round_, pid=bid.pid, leg=0, child=0,
        account="main", venue="sim", symbol=leg.symbol, side=leg.side, qty=leg.qty, px=leg.limit_px,
        style="limit", tif="IOC", reduce_only=leg.reduce_only, send_by=0, epoch=1, reservation_id=b"",
        risk_hash=b"",
    )  # fmt: skip
