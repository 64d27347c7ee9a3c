"""A desk is killed while it holds something, and the market falls through its stop: the exchange sells.

Real exchange, gateway and hub, recorded candles of the crash of 19 May 2021; the desk dies by SIGKILL.

Not here: the fold over all interleavings (tests/property/test_guarding.py).
"""

from __future__ import annotations

import json
import time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from parley.messages import KIND_OF, Fill, Intent, Message, StateView, decode, decode_envelope
from runtime.journal import JournalReader, verify
from runtime.launch import Market, make_run
from runtime.recorded_market import recorded_market
from runtime.replay import replay
from runtime.run_config import RunConfig
from runtime.settings import Settings, load_settings
from tests.kit.desk_lives import PATIENCE_S, Lives, lives_of

pytestmark = pytest.mark.timeout(240)
ME = "strategy/trend"
PAIRS = ("BTC/USDT", "ETH/USDT")
# The first orders are the purchases; what follows are stops and their cancels.
PLACES = (
    "order_released:2", "order_durable:1", "order_handed_over:1", "order_cut_off:1",
    "order_unknown_to_anybody:1", "order_durable:2", "order_handed_over:2",
)  # fmt: skip
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


def check(lives: Lives) -> list[Intent]:
    """Check that books, replay and chain hold; return the stops that were wanted."""
    books = lives.books()
    assert books["ledger_equals_exchange"] is True, books
    again = replay(lives.journal)
    assert again.ok, again.mismatches
    assert verify(lives.journal).ok
    return [m for m in said(lives.journal, "Intent") if isinstance(m, Intent) and m.trigger is not None]


def test_exchange_sells_what_a_dead_desk_holds_and_the_next_one_books_it(
    tmp_path: Path, market_data: Path
) -> None:
    settings = settings_of(tmp_path, market_data, speed=90.0)
    with lives_of(settings, recorded_market(settings), compose) as lives:
        truth = lives.layout.truth
        died = lives.live(kill_when=lambda: len(stops(truth)) == len(PAIRS))
        assert died.exit == -9, died.errors
        standing = {cid for cid, said in stops(truth).items() if said[-1]["status"] == "NEW"}
        assert standing, "the market fell before the desk was dead"
        deadline = time.monotonic() + PATIENCE_S
        while not all(stops(truth)[cid][-1]["status"] == "FILLED" for cid in standing):
            assert time.monotonic() < deadline, stops(truth)
            time.sleep(0.05)
        last = lives.live()
        assert last.exit == 0, last.errors

    wanted = check(lives)
    assert standing <= {each.cid for each in wanted}
    told = said(lives.journal, "Fill", "StateView")
    iids = {each.iid: each for each in wanted if each.cid in standing}
    sold = [each for each in told if isinstance(each, Fill) and each.iid in iids]
    assert sum(each.qty for each in sold) == sum(each.qty for each in iids.values())
    for fill in sold:  # at the stop, not where the market was when the desk came back
        trigger = iids[fill.iid].trigger
        assert trigger is not None
        assert fill.px >= trigger * Decimal("0.985")
    state = [each for each in told if isinstance(each, StateView)][-1]
    assert all(abs(p.qty) < Decimal("0.001") for p in state.positions)
    assert {h.agent for h in state.holdings} <= {ME}
    assert state.realised < 0


def test_a_stop_is_found_again_and_not_doubled_by_a_desk_that_died_at_any_place(
    tmp_path: Path, market_data: Path
) -> None:
    """In lock-step, so that each death is where it was planned; every stop that stood still guards."""
    settings = settings_of(tmp_path, market_data, start="2021-05-19T13:10", end="2021-05-19T15:00")
    desk = partial(compose, stop_bps=800.0, trail_bps=400.0)
    with lives_of(settings, recorded_market(settings), desk) as lives:
        for place in PLACES:
            died = lives.live(place)
            assert died.exit == -9, (place, died.exit, died.errors)
        last = lives.live()
        assert last.exit == 0, last.errors

    wanted = check(lives)
    assert len(wanted) > len(PAIRS)
    assert lives.kills == len(PLACES)
    alive: dict[str, set[str]] = {}
    most = 0
    for line in lives.layout.truth.read_bytes().splitlines():
        entry = json.loads(line)
        if entry["event"] == "order" and entry["side"] == "SELL" and entry["order_id"] is not None:
            mine = alive.setdefault(entry["symbol"], set())
            (mine.add if entry["status"] in ("NEW", "PARTIALLY_FILLED") else mine.discard)(
                entry["client_order_id"]
            )
            most = max(most, len(mine))
    assert most == 1
