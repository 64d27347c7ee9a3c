"""`parley rounds`: which rounds there were and which were not opened, newest first.

Not here: one round in full (`explain`). Invariant: a round is listed once, with the word that ended it.
"""

from collections import deque
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
from rich.text import Text

from parley.errors import UserError, nearest
from parley.ids import show_round
from parley.messages import Crossed, Decision, Shed, Void
from runtime.history import config_of, entries, kinds, newest_journal, open_journal
from runtime.output import console, number, print_json, short, table, when
from runtime.settings import Settings
from runtime.summary import OUTCOMES

SHED: Final = "shed"


class Line(msgspec.Struct, kw_only=True):
    """One round; ``t`` market ns, ``agent`` who proposed what was decided on.

    A trigger that got no round has outcome ``shed`` and an empty ``round``.
    """

    round: str
    t: int
    symbol: str
    outcome: str
    agent: str
    proposals: int
    qty_wanted: Decimal
    qty: Decimal
    who: str
    reason: str
    detail: str


def list_rounds(
    settings: Settings, path: Path | None, *, outcome: str | None, symbol: str | None, agent: str | None,
    bids: bool, limit: int, as_json: bool,
) -> int:  # fmt: skip
    """Print the newest rounds that fit; returns the exit code.

    Raises
    ------
    UserError
        When there is no such journal, outcome, pair or agent.
    """
    reader = open_journal(path or newest_journal(settings.home))
    run = config_of(reader)
    _known("outcome", outcome, [*OUTCOMES, SHED])
    _known("pair", symbol, [*run.desk.symbols, *run.instruments])
    _known("agent", agent, [spec.id for spec in run.agents])
    void: set[bytes] = set()
    met: set[bytes] = set()  # part of it changed hands inside, whatever became of its order
    for entry in entries(reader, kinds("Void", "Crossed")):
        if isinstance(entry.message, Void):
            void.add(entry.message.round)
        elif isinstance(entry.message, Crossed):
            met.add(entry.message.round)
    void -= met
    newest: deque[Line] = deque(maxlen=limit)
    found = 0
    for entry in entries(reader, kinds("Decision", "Shed")):
        d = entry.message
        if isinstance(d, Shed) and outcome in (None, SHED) and symbol in (None, d.symbol) and agent is None:
            found += not bids
            newest.extendleft([] if bids else [_shed(d)])
        if not isinstance(d, Decision):
            continue
        line = line_of(d, is_void=d.round in void)
        if (
            outcome in (None, line.outcome)
            and symbol in (None, d.symbol)
            and (agent is None or agent in spoke(d))
            and (d.proposals or not bids)
        ):
            found += 1
            newest.appendleft(line)
    if as_json:
        print_json({"journal": str(reader.path), "found": found, "rounds": list(newest)})
        return 0
    if not found:
        console().print(_none(outcome, symbol, agent, bids=bids))
        return 0
    shown = table("time (UTC)", "round", "symbol", "outcome", "agent", "bids", "quantity", "why")
    for line in newest:
        qty = f"{number(line.qty)} of {number(line.qty_wanted)}" if line.qty else ""
        why = "" if line.outcome == "accept" else f"{line.who}: {line.reason} {line.detail}"
        shown.add_row(
            when(line.t), short(line.round), line.symbol, line.outcome, line.agent,
            str(line.proposals or ""), qty,
            Text(why),
        )  # fmt: skip
    console().print(shown)
    console().print(f"{len(newest)} of {found} rounds", style="dim")
    return 0


def _none(outcome: str | None, symbol: str | None, agent: str | None, *, bids: bool) -> str:
    if outcome == SHED and symbol is None:
        return "nothing was shed: every trigger got its round"
    asked = [
        f"with outcome {outcome}" if outcome else "", f"on {symbol}" if symbol else "",
        f"in which {agent} said something that counted" if agent else "",
        "in which somebody bid" if bids else "",
    ]  # fmt: skip
    return " ".join(["no rounds", *(word for word in asked if word)]) if any(asked) else "no rounds yet"


def _shed(shed: Shed) -> Line:
    return Line(
        round="", t=shed.t, symbol=shed.symbol, outcome=SHED, agent="", proposals=0, qty_wanted=Decimal(0),
        qty=Decimal(0), who="desk", reason=shed.code, detail=shed.detail,
    )  # fmt: skip


def line_of(d: Decision, *, is_void: bool) -> Line:
    """Sum up a decision in one line."""
    who, code, detail = d.reasons[0] if d.reasons else ("", "", "")
    return Line(
        round=show_round(d.round), t=d.t, symbol=d.symbol, outcome="void" if is_void else d.action,
        agent=d.agent,
        proposals=d.proposals, qty_wanted=d.qty_wanted, qty=d.qty, who=who, reason=code, detail=detail,
    )  # fmt: skip


def spoke(d: Decision) -> set[str]:
    """Name everybody a decision mentions."""
    return {
        d.agent, *(who for who, _, _ in d.reasons), *(vote[0] for vote in d.votes), *(b.agent for b in
        d.bounds) }  # fmt: skip


def _known(what: str, given: str | None, known: list[str]) -> None:
    if given is not None and given not in known:
        raise UserError(f"there is no {what} {given!r}: {nearest(given, sorted(set(known)))}")
