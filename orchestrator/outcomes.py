"""What every vote and proposal turned out to be worth, executed or not.

`add` notes what was said at which executable price; `mature` gives an `Outcome` when
its horizon has passed, and control ones at fixed horizons, all in market time. The
mark-out is that of the proposed trade, in the proposal's direction and net of costs,
also for a vote against it: who votes against a trade that loses is right, so
``sign(score) * markout_bps_net`` is what a voter earned.

Not here: learning from it (`agents.meta`), profit attribution.

Invariant: what was added matures at most once, and what matures at one time comes in
the same order whatever order it was added in.
"""

from collections import OrderedDict
from collections.abc import Mapping
from heapq import heappop, heappush
from math import isfinite, sqrt
from typing import TypeVar

import msgspec

from parley.messages import Outcome

T = TypeVar("T")
MS = 1_000_000
CONTROLS_MS = (60_000, 300_000, 3_600_000)
MAX_PENDING = 20_000
MAX_EXECUTED = 4_096
GRACE_MS = 3_600_000


class Pending(msgspec.Struct, array_like=True, gc=False):
    """One judgement waiting for its horizon; ``t`` and ``due`` are market ns."""

    due: int
    t: int
    symbol: str
    pid: bytes
    agent: str
    kind: str
    horizon_ms: int
    control: bool
    round: bytes
    regime: str
    side: int
    score: float
    conf: float
    px: float
    cost_bps: float
    sigma_bps: float


class _Image(msgspec.Struct, array_like=True):
    pending: list[Pending]
    realised: list[tuple[bytes, float]]
    matured: list[tuple[bytes, Outcome]]
    late: list[Outcome]
    dropped: int


class Outcomes:
    """Judgements that wait for the market's answer; one per desk, mutable.

    ``controls_ms`` are the extra horizons (those below ``tf_ms`` cannot be measured);
    what waits is bounded by ``max_pending``: the latest due go first, counted in ``dropped``.
    """

    def __init__(
        self, tf_ms: int = 60_000, controls_ms: tuple[int, ...] = CONTROLS_MS, max_pending: int = MAX_PENDING
    ) -> None:
        self.dropped = 0
        self._controls = tuple(sorted({h for h in controls_ms if h >= tf_ms}))
        self._max = max_pending
        self._due: dict[int, list[Pending]] = {}
        self._heap: list[int] = []  # of the keys of _due
        self._size = 0
        self._realised: OrderedDict[bytes, float] = OrderedDict()
        self._matured: OrderedDict[bytes, Outcome] = OrderedDict()
        self._late: list[Outcome] = []

    def __len__(self) -> int:
        return self._size

    def add(
        self, round: bytes, pid: bytes, agent: str, kind: str, symbol: str, regime: str, side: int,
        score: float, conf: float, executable_px: float, horizon_ms: int, cost_bps: float, sigma_bps: float,
        t: int,
    ) -> bool:  # fmt: skip
        """Note a vote or a proposal; False when its numbers cannot be marked.

        Parameters
        ----------
        side
            Direction of the proposed trade's leg 0: +1 buys, -1 sells.
        executable_px
            What the trade would have paid or got then: the ask for a buy, the bid for a sell.
        cost_bps
            Fees and modelled slippage beyond that price.
        sigma_bps
            Expected absolute move over ``horizon_ms``.
        """
        numbers = (score, conf, executable_px, cost_bps, sigma_bps)
        if not all(isfinite(x) for x in numbers) or executable_px <= 0 or horizon_ms <= 0:
            return False
        if side not in (-1, 1):
            return False
        for horizon in (horizon_ms, *(h for h in self._controls if h != horizon_ms)):
            item = Pending(
                t + horizon * MS, t, symbol, pid, agent, kind, horizon, horizon != horizon_ms, round, regime,
                side, score, conf, executable_px, cost_bps, sigma_bps * sqrt(horizon / horizon_ms),
            )  # fmt: skip
            self._wait(item)
        if self._size > self._max:
            self._shed()
        return True

    def _wait(self, item: Pending) -> None:
        bucket = self._due.get(item.due)
        if bucket is None:
            bucket = self._due[item.due] = []
            heappush(self._heap, item.due)
        bucket.append(item)
        self._size += 1

    def _shed(self) -> None:
        self._heap.sort(reverse=True)
        keep = self._max - self._max // 10  # not one by one: sorting costs
        gone = 0
        while self._size > keep:
            bucket = self._due.pop(self._heap[gone])
            gone += 1
            self._size -= len(bucket)
            self.dropped += len(bucket)
        self._heap = self._heap[gone:][::-1]

    def mature(self, marks: Mapping[str, float], t: int) -> list[Outcome]:
        """Give what is due at market time ``t`` (ns), marked at ``marks`` (mids by symbol).

        A symbol without a mark waits, for at most an hour beyond its horizon.
        """
        out, self._late = self._late, []
        waiting: list[Pending] = []
        while self._heap and self._heap[0] <= t:
            bucket = self._due.pop(heappop(self._heap))
            self._size -= len(bucket)
            for item in sorted(bucket, key=_order):
                mid = marks.get(item.symbol)
                if mid is not None and isfinite(mid) and mid > 0:
                    out.append(self._outcome(item, mid, t))
                elif t - item.due < GRACE_MS * MS:
                    waiting.append(item)
                else:
                    self.dropped += 1
        for item in waiting:
            self._wait(item)
        return out

    def _outcome(self, item: Pending, mid: float, t: int) -> Outcome:
        gross = item.side * (mid - item.px) / item.px * 1e4
        own = item.kind == "proposal" and not item.control
        outcome = Outcome(
            round=item.round, pid=item.pid, agent=item.agent, kind=item.kind, symbol=item.symbol,
            regime=item.regime, horizon_ms=item.horizon_ms, control=item.control, score=item.score,
            conf=item.conf, markout_bps_net=gross - item.cost_bps, sigma_bps=item.sigma_bps,
            realised_bps=self._realised.pop(item.pid, 0.0) if own else 0.0, t=t,
        )  # fmt: skip
        if own:
            _remember(self._matured, item.pid, outcome)
        return outcome

    def realised(self, pid: bytes, bps: float) -> None:
        """Note what an executed proposal earned when its trade closed.

        It travels with the proposal's own outcome, or where that has matured already as
        one more control outcome of it at the next `mature`.
        """
        if not isfinite(bps):
            return
        done = self._matured.pop(pid, None)
        if done is None:
            _remember(self._realised, pid, bps)
        else:
            self._late.append(msgspec.structs.replace(done, realised_bps=bps, control=True))

    def snapshot(self) -> bytes:
        """Give the whole state as bytes."""
        pending = [item for due in sorted(self._due) for item in self._due[due]]
        image = _Image(
            pending, list(self._realised.items()), list(self._matured.items()), self._late, self.dropped
        )
        return msgspec.msgpack.encode(image)

    def restore(self, blob: bytes) -> None:
        """Take up the state of a `snapshot`; horizons and bounds are the constructor's."""
        image = msgspec.msgpack.decode(blob, type=_Image)
        self._due, self._heap, self._size = {}, [], 0
        for item in image.pending:
            self._wait(item)
        self._realised = OrderedDict(image.realised)
        self._matured = OrderedDict(image.matured)
        self._late = image.late
        self.dropped = image.dropped


def _order(item: Pending) -> tuple[int, str, bytes, str, str, int]:
    return (item.t, item.symbol, item.pid, item.agent, item.kind, item.horizon_ms)


def _remember(store: OrderedDict[bytes, T], key: bytes, value: T) -> None:
    store[key] = value
    while len(store) > MAX_EXECUTED:
        store.popitem(last=False)
