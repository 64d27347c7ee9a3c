"""Desks that buy once and leave only by the stop they hold at an exchange, on candles of 19 May 2021.

Not here: what a test expects; running and killing them (`tests.kit.desk_lives`). Invariant: what is said of
stops is what the exchange and the desk's journal say of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from parley.messages import KIND_OF, Fill, Intent, Message, StateView, decode, decode_envelope
from runtime.journal import JournalReader, verify
from runtime.launch import Market, make_run
from runtime.replay import replay
from runtime.run_config import RunConfig
from runtime.settings import Settings, load_settings
from tests.kit.desk_lives import PATIENCE_S, Lives

ME = "strategy/trend"
PAIRS = ("BTC/USDT", "ETH/USDT")
CRASH = {"start": "2021-05-19T12:20", "end": "2021-05-19T13:30"}


def compose(
    settings: Settings, market: Market, run_id: str, stop_bps: float = 150.0, trail_bps: float = 0.0,
    direction: int = 1,
) -> RunConfig:  # fmt: skip
    """The default desk with one strategy, which buys (or sells short) once and leaves only by its stop."""
    run = make_run(settings, market, run_id)
    idea = {"stop_bps": stop_bps, "trail_bps": trail_bps, "direction": direction}
    params = {"source": "tests.kit.one_purchase:make", "source_params": idea, "share": 0.3}
    agents = tuple(
        replace(spec, params=params) if spec.id == ME else spec
        for spec in run.agents
        if spec.role != "strategy" or spec.id == ME
    )
    return replace(run, agents=agents)


def settings_of(home: Path, data: Path, **over: object) -> Settings:
    table = {"data": data / "candles", "pairs": PAIRS, "crosses": "none", "home": home, **CRASH, **over}
    return load_settings(None, {**table, "desk": {"venue_stops": True}})


def stops(truth: Path) -> dict[str, list[dict[str, Any]]]:
    """What the exchange says of every stop, by its client order id."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in truth.read_bytes().splitlines() if truth.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            break  # the last line is being written
        if entry.get("event") == "order" and entry["type"] == "STOP_LOSS_LIMIT" and entry["order_id"]:
            found.setdefault(entry["client_order_id"], []).append(entry)
    return found


def said(journal: Path, *names: str) -> list[Message]:
    """Messages of some kinds, in the journal's order."""
    with JournalReader(journal) as reader:
        wanted = [KIND_OF[name] for name in names]
        return [decode(decode_envelope(r.body).body) for r in reader.records(kinds=wanted)]


def die_while_the_exchange_leaves(lives: Lives, holdings: int) -> set[str]:
    """Let a desk die when all it holds has a stop, and the next one live when the exchange served them all.

    Returns the client ids of the stops that stood when the desk was dead.
    """
    truth = lives.layout.truth
    died = lives.live(kill_when=lambda: len(stops(truth)) == holdings)
    assert died.exit == -9, died.errors
    standing = {cid for cid, told in stops(truth).items() if told[-1]["status"] == "NEW"}
    assert standing, "the market was there before the desk was dead"
    deadline = time.monotonic() + PATIENCE_S
    while not all(stops(truth)[cid][-1]["status"] == "FILLED" for cid in standing):
        assert time.monotonic() < deadline, stops(truth)
        time.sleep(0.05)
    last = lives.live()
    assert last.exit == 0, last.errors
    return standing


def die_at(lives: Lives, places: Sequence[str]) -> None:
    """Let a desk die at each of some places, and the last one live to its end."""
    for place in places:
        died = lives.live(place)
        assert died.exit == -9, (place, died.exit, died.errors)
    last = lives.live()
    assert last.exit == 0, last.errors
    assert lives.kills == len(places)


def check(lives: Lives) -> list[Intent]:
    """Check that books, replay and chain hold; return the stops that were wanted."""
    books = lives.books()
    assert books["ledger_equals_exchange"] is True, books
    again = replay(lives.journal)
    assert again.ok, again.mismatches
    assert verify(lives.journal).ok
    return [m for m in said(lives.journal, "Intent") if isinstance(m, Intent) and m.trigger is not None]


def check_left(lives: Lives, by: Sequence[Intent]) -> list[Fill]:
    """Check that all of some stops was traded and booked, and nothing is held; return what they traded."""
    iids = {each.iid for each in by}
    told = said(lives.journal, "Fill", "StateView")
    traded = [each for each in told if isinstance(each, Fill) and each.iid in iids]
    assert sum(each.qty for each in traded) == sum(each.qty for each in by)
    state = [each for each in told if isinstance(each, StateView)][-1]
    assert all(abs(p.qty) < Decimal("0.001") for p in state.positions)
    assert {h.agent for h in state.holdings} <= {ME}
    assert state.realised < 0
    return traded


__all__ = [
    "CRASH",
    "ME",
    "PAIRS",
    "check",
    "check_left",
    "compose",
    "die_at",
    "die_while_the_exchange_leaves",
    "said",
    "settings_of",
    "stops",
]
