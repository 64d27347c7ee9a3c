"""Who earned it: PnL by round, proposal, opinion and agent.

A fold of the ledger's transactions. A quantity belongs to the proposal that acquired
it, until it is given out again, whoever proposes that; so an exit is credited to the
entry, and a closed trade's PnL stands still. Own parcels of the closing proposal go
first (a cycle closes itself), then the agent's oldest. A fee belongs to the proposal
whose order paid it, funding to the holders. Fills nobody decided have empty ids.

By opinion, a proposal's PnL is shared in proportion to score times confidence among
the voters for it whose opinion it cites as evidence, and the proposer with its own
confidence; a voter with several opinions divides its share equally. What opinions do
not carry, and what is left by rounding to 12 decimals, is the proposer's.

Not here: valuation and balances (`parley.ledger`), learning from outcomes.

Invariant: at every level parts + opening = realised + unrealised of the ledger, exactly.
"""

from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

import msgspec

from parley.errors import StateError
from parley.instruments import assets_of
from parley.ledger import OPENING, Ledger, Move, Transaction
from parley.ledger.postings import FEES, FUNDING
from parley.messages import Decision, Opinion, Proposal
from parley.money import ZERO, exact, share, tidy

K = TypeVar("K", bytes, str, tuple[bytes, str])
_UNIT = 1_000_000_000  # votes are counted in billionths, so that shares are ratios of integers
_OPINIONS_KEPT = 4096


class Line(msgspec.Struct, frozen=True, array_like=True):
    """The finest account of PnL: a proposal in a round, and the sub-ledger its result is booked to."""

    round: bytes
    pid: bytes
    owner: str


class Parcel(msgspec.Struct, array_like=True):
    """A quantity a line acquired (negative: owes) and its total cost in quote."""

    line: Line
    qty: Decimal
    cost: Decimal


class Carrier(msgspec.Struct, frozen=True, array_like=True):
    """An opinion that carries ``weight`` of its proposal's ``total``; both in billionths."""

    oid: bytes
    agent: str
    weight: int
    total: int


class OpinionShare(msgspec.Struct, frozen=True, array_like=True):
    """PnL an opinion carried; with an empty ``oid`` what ``agent`` as the proposer kept."""

    oid: bytes
    agent: str
    pnl: Decimal


class AttributionReport(msgspec.Struct, frozen=True, kw_only=True):
    """PnL in quote, fees and funding included; each level and ``opening`` sum to ``total``. Sorted."""

    by_round: tuple[tuple[bytes, Decimal], ...]
    by_proposal: tuple[tuple[bytes, Decimal], ...]
    by_opinion: tuple[OpinionShare, ...]
    by_agent: tuple[tuple[str, Decimal], ...]
    opening: Decimal
    total: Decimal


class _State(msgspec.Struct, array_like=True):
    earned: list[tuple[Line, Decimal]]
    parcels: list[tuple[str, str, list[Parcel]]]
    carriers: list[tuple[bytes, tuple[Carrier, ...]]]
    opinions: list[tuple[bytes, str]]


class Attribution:
    """Fold decisions and transactions, then ask for a report at any time."""

    def __init__(self) -> None:
        self._earned: dict[Line, Decimal] = {}
        self._parcels: dict[tuple[str, str], deque[Parcel]] = {}  # by (owner, asset), oldest first
        self._carriers: dict[bytes, tuple[Carrier, ...]] = {}
        self._opinions: dict[bytes, str] = {}  # oid -> agent

    def on_opinion(self, opinion: Opinion) -> None:
        """Remember whose an opinion is; evidence names it by id only. The newest 4,096 are kept."""
        self._opinions[opinion.oid] = opinion.agent
        while len(self._opinions) > _OPINIONS_KEPT:
            del self._opinions[next(iter(self._opinions))]

    def on_decision(self, decision: Decision, proposal: Proposal) -> None:
        """Fix how the PnL of an accepted proposal is shared among opinions.

        Votes for the proposal it revises count for it too. The carriers of opinions
        never seen are the proposer's.
        """
        if decision.action != "accept":
            return
        cited: dict[str, list[bytes]] = {}
        for oid in sorted(set(proposal.evidence)):
            if oid in self._opinions:
                cited.setdefault(self._opinions[oid], []).append(oid)
        pids = (proposal.pid, proposal.parent_pid or proposal.pid)
        pro = {
            agent: weight
            for agent, pid, score, conf in decision.votes
            if pid in pids and agent != proposal.agent and (weight := round(score * conf * _UNIT)) > 0
        }
        parts = [
            (oid, agent, pro[agent] // len(oids))
            for agent, oids in sorted(cited.items())
            if agent in pro
            for oid in oids
        ]
        total = max(0, round(proposal.conf * _UNIT)) + sum(weight for _, _, weight in parts)
        if parts and total:
            self._carriers[proposal.pid] = tuple(Carrier(*part, total) for part in parts)

    def on_transaction(self, tx: Transaction) -> None:
        """Fold what the ledger booked (``ledger.last``): each transaction once, in order."""
        with exact():
            for leg in tx.postings:
                if leg.account == FEES:
                    self._earn(Line(tx.round, tx.pid, leg.owner), -leg.value)
                elif leg.account == FUNDING and leg.owner != OPENING:
                    self._spread(leg.owner, assets_of(tx.symbol)[0], -leg.value)
            for move in tx.moves:
                if move.owner != OPENING:
                    self._move(move, Line(tx.round, tx.pid, move.owner))

    def report(self, ledger: Ledger) -> AttributionReport:
        """Divide the ledger's PnL at its present marks.

        Raises
        ------
        StateError
            When the parts are not the whole: a transaction was not folded, or twice.
        """
        with exact():
            lines = self._valued(ledger.marks)
            opening = ledger.realised_of(OPENING) + ledger.unrealised(OPENING)
            total = ledger.realised + ledger.unrealised()
            if sum(lines.values(), opening) != total:
                raise StateError(f"attributed {sum(lines.values(), opening)} of a PnL of {total}")
            rounds: dict[bytes, Decimal] = {}
            pids: dict[bytes, Decimal] = {}
            agents: dict[str, Decimal] = {}
            opinions: dict[tuple[bytes, str], Decimal] = {}
            for line, pnl in lines.items():
                _add(rounds, line.round, pnl)
                _add(pids, line.pid, pnl)
                _add(agents, line.owner, pnl)
                self._share(line, pnl, opinions)
            return AttributionReport(
                by_round=_sorted(rounds),
                by_proposal=_sorted(pids),
                by_opinion=tuple(OpinionShare(*key, pnl) for key, pnl in _sorted(opinions)),
                by_agent=_sorted(agents),
                opening=tidy(opening),
                total=tidy(total),
            )

    def snapshot(self) -> bytes:
        """Encode the state; equal states give equal bytes."""
        parcels = [
            (owner, asset, list(queue)) for (owner, asset), queue in sorted(self._parcels.items()) if queue
        ]
        state = _State(
            earned=[(line, tidy(pnl)) for line, pnl in self._earned.items()],
            parcels=parcels,
            carriers=list(self._carriers.items()),
            opinions=list(self._opinions.items()),
        )
        return msgspec.msgpack.encode(state)

    def restore(self, blob: bytes) -> None:
        """Take up the state of a snapshot in place of the present one; StateError when it is none."""
        try:
            state = msgspec.msgpack.decode(blob, type=_State)
        except msgspec.DecodeError as err:
            raise StateError(f"not a snapshot of an attribution: {err}") from err
        self._earned = dict(state.earned)
        self._parcels = {(owner, asset): deque(queue) for owner, asset, queue in state.parcels}
        self._carriers = dict(state.carriers)
        self._opinions = dict(state.opinions)

    def _move(self, move: Move, line: Line) -> None:
        queue = self._parcels.setdefault((move.owner, move.asset), deque())
        left, worth = move.amount, move.worth
        own = [parcel for parcel in queue if parcel.line.pid == line.pid]
        others = [parcel for parcel in queue if parcel.line.pid != line.pid]
        for parcel in own + others:
            if not left or (parcel.qty > 0) == (left > 0):
                break
            part = min(abs(left), abs(parcel.qty))
            value = share(worth, part, abs(left))
            cost = share(parcel.cost, part, abs(parcel.qty))
            signed = part if left > 0 else -part
            self._earn(parcel.line, (-value if left > 0 else value) - cost)
            parcel.qty, parcel.cost = tidy(parcel.qty + signed), tidy(parcel.cost - cost)
            left, worth = left - signed, worth - value
            if not parcel.qty:
                queue.remove(parcel)
        if left:
            cost = worth if left > 0 else -worth
            if queue and queue[-1].line == line:
                queue[-1].qty, queue[-1].cost = tidy(queue[-1].qty + left), tidy(queue[-1].cost + cost)
            else:
                queue.append(Parcel(line, tidy(left), tidy(cost)))

    def _spread(self, owner: str, asset: str, pnl: Decimal) -> None:
        queue = self._parcels.get((owner, asset)) or [Parcel(Line(b"", b"", owner), Decimal(1), ZERO)]
        held = sum((abs(parcel.qty) for parcel in queue), ZERO)
        left = pnl
        for parcel in queue:
            part = share(pnl, abs(parcel.qty), held)
            self._earn(parcel.line, part)
            left -= part
        self._earn(queue[0].line, left)

    def _earn(self, line: Line, pnl: Decimal) -> None:
        self._earned[line] = self._earned.get(line, ZERO) + pnl

    def _valued(self, marks: Mapping[str, Decimal]) -> dict[Line, Decimal]:
        lines = dict(self._earned)
        for (_, asset), queue in self._parcels.items():
            for parcel in queue:
                pnl = parcel.qty * marks[asset] - parcel.cost
                lines[parcel.line] = lines.get(parcel.line, ZERO) + pnl
        return lines

    def _share(self, line: Line, pnl: Decimal, opinions: dict[tuple[bytes, str], Decimal]) -> None:
        kept = pnl
        for carrier in self._carriers.get(line.pid, ()):
            part = share(pnl, Decimal(carrier.weight), Decimal(carrier.total))
            _add(opinions, (carrier.oid, carrier.agent), part)
            kept -= part
        _add(opinions, (b"", line.owner), kept)


def _add(sums: dict[K, Decimal], key: K, amount: Decimal) -> None:
    sums[key] = sums.get(key, ZERO) + amount


def _sorted(sums: dict[K, Decimal]) -> tuple[tuple[K, Decimal], ...]:
    return tuple((key, tidy(sums[key])) for key in sorted(sums))
