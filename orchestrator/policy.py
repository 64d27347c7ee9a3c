"""What a desk is configured to do: budgets of the stages, quorum, limits of patience.

Frozen data only; the journal's run table holds it, so a replay runs under exactly
the same policy. Defaults are those of negotiation 3.1 and 3.3.
"""

import msgspec

from parley.messages import CancelIntent, Intent

MS = 1_000_000


class Budgets(msgspec.Struct, frozen=True, kw_only=True):
    """Time an answer may take per stage and until the order must be sent, all in ns."""

    bids: int
    votes: int
    scoring: int
    counters: int
    risk: int
    market: int
    send_by: int


def _budgets(
    bids: float, votes: float, scoring: float, counters: float, risk: float, send_by: float
) -> Budgets:
    ns = [int(v * MS) for v in (bids, votes, scoring, counters, risk, bids, send_by)]
    return Budgets(
        bids=ns[0], votes=ns[1], scoring=ns[2], counters=ns[3], risk=ns[4], market=ns[5], send_by=ns[6]
    )


PROFILES: dict[str, Budgets] = {
    "hot": _budgets(0.5, 0.2, 0.1, 0.2, 0.3, 5),
    "spread": _budgets(1.5, 1.0, 0.3, 0.5, 0.5, 10),
    "candle": _budgets(50, 30, 10, 20, 20, 250),
    # parity and lock-step runs: nothing is ever late (settled 11)
    "lockstep": _budgets(10_000, 10_000, 10_000, 10_000, 10_000, 10_000),
}


class DeskConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One desk of a firm. Durations ``*_ns`` of wall time; ``capital`` in ``quote``."""

    tenant: str = "local"
    desk: int = 1
    account: str = "main"
    venue: str = "binance"
    quote: str = "USDT"
    symbols: tuple[str, ...] = ()
    tf_ns: int = 60_000_000_000
    seed: int = 1
    profile: str = "candle"
    policy_version: int = 1
    max_open_trades: int = 8
    min_quorum: float = 0.5
    max_strikes: int = 3
    heartbeat_limit_ms: float = 10_000.0
    settle_bars: int = 10  # bars a decided leg may rest without a word of the execution agent
    max_rounds_per_s: float = 0.0  # 0: no bound, for lock-step and tests
    max_in_flight: int = 0  # orders the venue has not answered; 0: no bound
    best_symbols: int = 4  # how many still open rounds when the desk is strained
    venue_stops: bool = False  # whether the venue holds the stop of each holding
    crossing: bool = False  # whether opposite wishes of one round meet inside

    @property
    def budgets(self) -> Budgets:
        return PROFILES[self.profile]


class GroupOut(msgspec.Struct, frozen=True):
    """Records to commit together and the orders that may be sent once they are durable.

    ``records`` are (seq, kind, round, envelope bytes); ``orders`` are the intents
    and cancels among them, in sending order.
    """

    records: tuple[tuple[int, int, bytes, bytes], ...]
    orders: tuple[Intent | CancelIntent, ...] = ()
