"""What a running desk shows: rounds with their reasons, orders, fills, positions, agents, equity.

The view follows the journal like any other reader, so it cannot slow or change what the desk does, and it
shows only what is on disk already. What is worth less than the venue takes as an order, as the parts of a lot
that fees leave are, is counted and not listed.

Not here: starting and stopping (`commands.run`).

Invariant: a poll decodes only kinds that are shown, of the many states the newest, and batches of the market
only where there are contracts.
"""

from collections import Counter, deque
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from parley.ids import show_round
from parley.instruments import Instrument
from parley.messages import (
    KINDS,
    Decision,
    Fill,
    MarketBatch,
    Position,
    StateView,
    WeightUpdate,
    decode,
    decode_envelope,
)
from runtime.books import ORDER_KINDS, OrderBook
from runtime.history import kinds
from runtime.journal import JournalError, JournalReader
from runtime.live_contracts import ContractMarks
from runtime.output import money, number, price, sparkline, when
from runtime.standing_kills import Stop

_STATE: Final = KINDS[StateView]
_SHOWN: Final = (*ORDER_KINDS, _STATE, *kinds("WeightUpdate"))
_BATCH: Final = KINDS[MarketBatch]
_MOST_BATCHES: Final = 256
_COUNTED: Final = kinds("Decision", "Fill")
_ROWS: Final = 8
_VOTERS: Final = ("arbitrage", "signal", "strategy")
_OUTCOME_STYLE: Final = {"accept": "bold green", "reject": "yellow", "hold": "dim", "expired": "magenta"}


class LiveView:
    """The state of the screen; `poll` reads on, `render` draws.

    With `counts_only` the states are left out: enough for `line`, and cheap beside a desk at full speed.
    A position in a pair that is not among ``instruments`` is always listed.
    """

    def __init__(
        self, journal: Path, run_id: str, agents: tuple[str, ...], *,
        instruments: Mapping[str, Instrument] | None = None, counts_only: bool = False,
    ) -> None:  # fmt: skip
        self.t = 0  # market time of the newest record shown, ns
        self.rounds = 0
        self.outcomes: Counter[str] = Counter()
        self.fills = 0
        self.state: StateView | None = None
        self.lives = ""  # of desk or gateway, in words, once there was another one
        self.killed: tuple[Stop, ...] = ()
        self._contracts = ContractMarks(instruments or {})
        self._kinds = _COUNTED if counts_only else (*_SHOWN, _BATCH) if self._contracts else _SHOWN
        self._path = journal
        self._run_id = run_id
        self._reader: JournalReader | None = None
        self._seq = 0
        self._orders = OrderBook()
        self._decisions: deque[Decision] = deque(maxlen=_ROWS)
        self._last_fills: deque[Fill] = deque(maxlen=_ROWS)
        self._equity: deque[float] = deque(maxlen=400)
        self._weights: dict[str, float] = {}
        self._voted: Counter[str] = Counter()
        self._bid: Counter[str] = Counter()
        self._accepted: Counter[str] = Counter()
        self._agents = agents
        self._instruments = instruments or {}
        self._started: Decimal | None = None

    def poll(self) -> None:
        """Read what was committed since the last call; a journal that is not there yet has nothing new."""
        try:
            if self._reader is None:
                self._reader = JournalReader(self._path)
            newest: bytes | None = None
            batches: deque[bytes] = deque(maxlen=_MOST_BATCHES)
            for record in self._reader.records(self._seq, self._kinds):
                self._seq = record.seq
                if record.kind == _STATE:
                    newest = record.body
                elif record.kind == _BATCH:
                    batches.append(record.body)
                else:
                    self._take(record.body)
        except (FileNotFoundError, JournalError):
            return
        self._contracts.take(batches)
        if newest is not None:
            message = decode(decode_envelope(newest).body)
            if isinstance(message, StateView):
                self._see(message)

    def _see(self, state: StateView) -> None:
        self.state = state
        self.t = max(self.t, state.t)
        if state.equity > 0:
            self._started = self._started or state.equity
            self._equity.append(float(state.equity))

    def _take(self, raw: bytes) -> None:
        try:
            message = decode(decode_envelope(raw).body)
        except msgspec.MsgspecError:
            return
        if self._kinds is not _COUNTED:
            self._orders.take(message)
        match message:
            case Decision():
                self.rounds += 1
                self.t = max(self.t, message.t)
                self.outcomes[message.action] += 1
                if message.action != "hold" or message.proposals:
                    self._decisions.appendleft(message)
                for agent, _, _, _ in message.votes:
                    self._voted[agent] += 1
                if message.action == "accept":
                    self._accepted[message.agent] += 1
                if message.agent:
                    self._bid[message.agent] += 1
            case Fill():
                self.fills += 1
                self._last_fills.appendleft(message)
            case WeightUpdate():
                self._weights = dict(message.weights)
            case _:
                pass

    def note(self, life: int, *, is_back: bool) -> None:
        """Note that the desk ended and is started again, or is back."""
        does = "goes on where it was" if is_back else "is started again on its journal"
        self.lives = f"the desk ended and {does}: life {life}"

    def note_gateway(self, life: int, ended: str, *, is_back: bool) -> None:
        """Note that the gateway ``ended``, in words, and its spare takes its place, or has taken it."""
        does = "serves in its place" if is_back else "takes it; nothing opens until it knows all orders"
        self.lives = f"the gateway {ended}; its spare {does}: life {life}"

    def note_hub(self, life: int, ended: str, *, is_back: bool) -> None:
        """Note that the hub ``ended``, in words, and is started again, or serves again."""
        does = "serves again and asks for what it missed" if is_back else "is started again; nothing opens"
        self.lives = f"the hub {ended}; it {does}: life {life}"

    def line(self) -> str:
        """Say in one line where the run is."""
        killed = "".join(f"  KILLED {each.scope}, {each.mode}" for each in self.killed)
        if not self.rounds:
            return f"waiting for the first round{killed}"
        state = self.state
        equity = f"  equity {money(state.equity)} {state.quote}" if state else ""
        outcomes = " ".join(f"{name} {count}" for name, count in sorted(self.outcomes.items()))
        return f"{when(self.t)}  rounds {self.rounds} ({outcomes})  fills {self.fills}{equity}{killed}"

    def render(self, speed: str, width: int = 100) -> RenderableType:
        """Draw the whole screen."""
        return Group(
            self._header(speed, width), *self._contracts_table(), self._rounds_table(),
            Columns([self._orders_table(), self._fills_table()], expand=True),
            Columns([self._positions_table(), self._agents_table()], expand=True),
            Text(
                "Ctrl-C ends the run. More, also while it runs: parley explain ROUND (why, told in full), "
                "parley rounds --bids, parley orders, parley positions",
                style="dim",
            ),
        )  # fmt: skip

    def _header(self, speed: str, width: int) -> RenderableType:
        state = self.state
        line = Text()
        line.append("Parley ", style="bold")
        line.append(f"{self._run_id}   market {when(self.t)}   speed {speed}   rounds {self.rounds}   ")
        if state is not None:
            line.append(f"{state.trading}\n", style="green" if state.trading == "ACTIVE" else "bold red")
            gain = state.equity - (self._started or state.equity)
            line.append(f"equity {money(state.equity)} {state.quote} ", style="bold")
            line.append(f"({gain:+,.2f})", style="green" if gain >= 0 else "red")
            line.append(f"   fees {money(state.fees)}   fills {self.fills}   ")
        line.append(sparkline(list(self._equity), max(10, width - 66)), style="cyan")
        if self.lives:
            line.append(f"\n{self.lives}", style="bold yellow")
        for each in self.killed:
            line.append(f"\n{each.line()}", style="bold red")
        for alarm in self._orders.alarms():
            line.append(f"\nALARM order {alarm.subject}, {alarm.symbol}: {alarm.detail}", style="bold red")
        return Panel(line, padding=(0, 1))

    def _contracts_table(self) -> tuple[Table, ...]:
        """Say what contracts cost to hold; nothing where none are traded."""
        if not self._contracts:
            return ()
        table = _table("contracts", "symbol", "mark", "funding", "next payment", "our position")
        for row in self._contracts.rows(self.state.positions if self.state else (), self.t):
            table.add_row(*row)
        return (table,)

    def _rounds_table(self) -> Table:
        table = _table("rounds with a bid", "time", "round", "symbol", "agent", "decision", "reason")
        for d in self._decisions:
            reason = f"{d.reasons[0][0]}: {d.reasons[0][1]} {d.reasons[0][2]}" if d.reasons else ""
            if d.action == "accept":
                side = d.plan[0].side if d.plan else ""
                style = d.plan[0].style if d.plan else "-"
                reason = f"{side} {number(d.qty)} of {number(d.qty_wanted)} as {style}"
            table.add_row(
                when(d.t)[11:16], show_round(d.round)[:14], d.symbol, d.agent or "-",
                Text(d.action, style=_OUTCOME_STYLE.get(d.action, "")), Text(reason, overflow="ellipsis"),
            )  # fmt: skip
        return table

    def _orders_table(self) -> Table:
        table = _table("orders", "symbol", "side", "style", "qty", "price", "state")
        for order in self._orders.all()[-_ROWS:][::-1]:
            i = order.intent
            table.add_row(
                i.symbol, i.side, i.style, number(i.qty), number(i.px) or "market", order.state.name.lower()
            )
        return table

    def _fills_table(self) -> Table:
        table = _table("fills", "time", "symbol", "side", "qty", "price", "fee")
        for fill in self._last_fills:
            table.add_row(
                when(fill.t)[11:16], fill.symbol, fill.side, number(fill.qty), number(fill.px),
                f"{number(fill.fee)} {fill.fee_asset}",
            )  # fmt: skip
        return table

    def _positions_table(self) -> Table:
        table = _table("positions", "symbol", "qty", "entry", "mark", "unrealised")
        held = [p for p in self.state.positions if p.qty] if self.state else []
        shown = [p for p in held if not self._is_dust(p)]
        for p in shown:
            grid = self._instruments.get(p.symbol)
            table.add_row(
                p.symbol, number(p.qty), price(p.avg_px, grid), price(p.mark, grid), money(p.unrealised)
            )
        if dust := len(held) - len(shown):
            table.caption = f"and {dust} below the least order"
            table.caption_justify = "left"
        return table

    def _is_dust(self, position: Position) -> bool:
        instrument = self._instruments.get(position.symbol)
        if instrument is None or position.mark <= 0:
            return False
        return instrument.tradable(instrument.qty(abs(position.qty)), position.mark).startswith("below_")

    def _agents_table(self) -> Table:
        table = _table("agents", "agent", "bids decided", "accepted", "votes", "weight")
        for agent in self._agents:
            table.add_row(
                agent, str(self._bid[agent] or ""), str(self._accepted[agent] or ""),
                str(self._voted[agent] or ""), self._weight(agent),
            )  # fmt: skip
        return table

    def _weight(self, agent: str) -> Text:
        """Give the weight of an agent that votes; before any was learnt all start alike."""
        if agent in self._weights:
            return Text(f"{self._weights[agent]:.3f}")
        voters = [each for each in self._agents if each.partition("/")[0] in _VOTERS]
        if self._weights or agent not in voters:
            return Text("")
        return Text(f"{1 / len(voters):.3f} at first", style="dim")


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", expand=True, box=None, padding=(0, 1)
    )
    for column in columns:
        table.add_column(column, style=None, no_wrap=True, header_style="dim")
    return table
