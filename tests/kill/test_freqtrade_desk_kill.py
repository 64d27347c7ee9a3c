"""A desk is killed where the order of two effects matters while freqtrade strategies hold positions.

Real exchange, gateway and hub in lock-step, and a real desk; the strategies live in this process, each with a
thread that dials the desk again: what they were told comes to them anew.

Not here: the same with Ray, database and API, and killed processes of strategies (`test_freqtrade_kill`).
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from freqtrade_bridge.options import Options
from parley.messages import AgentFaulted, decode, decode_envelope
from runtime.history import kinds
from runtime.journal import JournalReader
from runtime.launch import ACCOUNT
from runtime.paper import plan
from runtime.replay import replay
from runtime.settings import load_settings
from tests.kit.desk_lives import Lives, lives_of
from tests.kit.fates import attempts, fates, on_the_exchange
from tests.kit.freqtrade_folder import write_config
from tests.kit.paper_clockworks import CANDLES, EARLY, LATE, LEAVES, WARM_UP, write_clockworks
from tests.kit.paper_run import Order, held_after, orders_of
from tests.kit.units import short_folder

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
# After the first orders, so that something is held: in rounds, on the way of an order, and at fills.
DEATHS = ("fill_heard:4", "order_durable:2", "order_handed_over:1", "order_cut_off:2")
# The same with an hour of market between them, for which the strategies' snapshots stand.
LATER = (*DEATHS[:2], "step_closed:24", *DEATHS[2:])
PAIRS = ("AAA/USDT", "BBB/USDT", "CCC/USDT")
GOES_ON = 3  # entries in every pair after the last death; there are four to six


@contextlib.contextmanager
def paper_lives(folder: Path) -> Iterator[Lives]:
    write_clockworks(folder, WARM_UP + CANDLES)
    config = write_config(folder / "config.json")
    (folder / "user").mkdir()
    (folder / "market").mkdir()
    settings = load_settings(None, {"home": folder / "home", "speed": "max", "candle_parts": 2})
    options = Options(
        user_data_dir=folder / "user", config=(config,), datadir=folder / "candles",
        strategy_list=("Clockwork", "Latework"), strategy_path=folder / "strategies",
    )  # fmt: skip
    paper = plan(settings, options, folder / "market", consent=True)
    with lives_of(paper.settings, paper.market, paper.compose, apart=True) as made:
        yield made


def course(orders: list[Order]) -> dict[tuple[str, str], list[str]]:
    """The sides of what was filled, by agent and symbol."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for order in orders:
        if order.filled:
            found[order.agent, order.symbol].append(order.side)
    return found


def faults(journal: Path) -> list[str]:
    with JournalReader(journal) as reader:
        records = list(reader.records(kinds=kinds("AgentFaulted")))
    said = [decode(decode_envelope(record.body).body) for record in records]
    return [each.error for each in said if isinstance(each, AgentFaulted)]


@pytest.mark.parametrize(("deaths", "snapshot_every"), [(DEATHS, ""), (LATER, "60")])
def test_desk_killed_while_strategies_hold_loses_and_doubles_nothing(
    deaths: tuple[str, ...], snapshot_every: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPSHOT_EVERY", snapshot_every)
    with short_folder() as folder:
        held = []
        with paper_lives(folder) as lives:
            for death in deaths:
                life = lives.live(death)
                assert life.exit == -9, f"{death}: exit {life.exit} {life.errors}"
                orders = orders_of(lives.journal)
                held.append((held_after(orders), len(orders)))
            last = lives.live()
            assert last.exit == 0, last.errors
        check(lives, held)
        kept = list(lives.journal.with_name(f"{lives.journal.name}.agents").glob("*.snapshot"))
        assert len(kept) == (2 if snapshot_every else 0)


def check(lives: Lives, held: list[tuple[dict[str, set[str]], int]]) -> None:
    """Check books, fates and replay; what was held at each death was left, and every strategy went on."""
    journal = lives.journal
    books = lives.books()
    assert books["ledger_equals_exchange"] is True, books
    met = fates(journal)
    assert {cid: fate for cid, fate in met.items() if len(fate) != 1} == {}, "one fate for every order"
    placed = on_the_exchange(lives.layout.truth, ACCOUNT)
    assert set(placed.values()) == {1}
    assert placed.keys() == {cid for cid, fate in met.items() if fate == {"placed"}}
    assert set(attempts(lives.layout.folder / "gateway.journal").values()) == {1}
    again = replay(journal)
    assert again.ok, again.mismatches

    orders = orders_of(journal)
    for (agent, symbol), sides in course(orders).items():
        wanted = ["buy", "sell"] * len(sides)
        assert sides == wanted[: len(sides)], f"{agent} {symbol}: bought or sold twice: {sides}"
    assert sum(bool(known) for known, _ in held) >= len(held) - 1
    for known, since in held:
        sold = {
            (order.agent, order.symbol)
            for order in orders[since:]
            if order.side == "sell" and order.filled and order.why == LEAVES
        }
        missing = {(agent, s) for agent, symbols in known.items() for s in symbols} - sold
        assert missing == set(), "what was held is left by the strategy that holds it"
    assert faults(journal) == []
    later = course(orders[held[-1][1] :])
    bought = {
        (agent, symbol): later[agent, symbol].count("buy") for agent in (EARLY, LATE) for symbol in PAIRS
    }
    assert min(bought.values()) >= GOES_ON, f"a strategy is silent on a pair: {bought}"
