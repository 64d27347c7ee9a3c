"""A desk is killed and started again on its journal: no order is doubled or lost, the books agree.

Real exchange, gateway and hub, recorded candles in lock-step, or by the clock; the desk dies by SIGKILL, at
the places where the order of two effects matters (`tests.kit.dying_desk`) or at a random moment.

Not here: killed agents (`test_agent_kill`), what folding and re-telling do in the small (tests/unit/runtime).
"""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from parley.messages import KIND_OF, Started, Void, decode, decode_envelope
from runtime.journal import JournalReader, verify
from runtime.journal.schema import side_files
from runtime.launch import ACCOUNT
from runtime.recovered import CUT
from runtime.replay import replay
from tests.kit.desk_lives import Lives, decisions, desk_lives
from tests.kit.dying_desk import BEHIND_A_CUT, IN_A_ROUND, WHILE_SERVING, WHILE_STARTING
from tests.kit.fates import attempts, fates, messages, on_the_exchange, without_verdict

pytestmark = pytest.mark.timeout(180)
PAIRS = ("BTC/USDT", "ETH/USDT", "LTC/USDT")
# The crash of May 2021: more orders in these hours than in the rest of the week.
CRASH = {"start": "2021-05-19T10:00", "end": "2021-05-19T15:00"}
DAYS = {"start": "2021-05-17", "end": "2021-05-24"}

Death = str | float
"""A place and its passing, or seconds after the desk was ready."""

# A desk that dies while it starts needs one that died before it; the cut is made right before.
AT_EVERY_PLACE: Sequence[Death] = (
    "journal_made:1", "hub_not_met:1",
    *[f"{place}:{n}" for n, place in enumerate(WHILE_SERVING, 1)],
    "order_released:2", f"{BEHIND_A_CUT}:1", "folding:50", "resync_asked:1",
    "order_handed_over:1", "order_handed_over:1", "asking_for_bids:70", "fill_heard:3",
)  # fmt: skip


def lived(
    home: Path, data: Path, deaths: Sequence[Death], *,
    apart: bool = False, to_the_last: bool = True, **options: object,
) -> Lives:  # fmt: skip
    """Let a desk die as planned and live until the market ends; all deaths have to happen `to_the_last`."""
    market = {"data": data / "candles", "pairs": PAIRS, **CRASH, **options}
    with desk_lives(home, market, apart=apart) as lives:
        for death in deaths:
            life = lives.live(death) if isinstance(death, str) else lives.live(kill_after_s=death)
            if life.exit == 0 and not to_the_last:
                return lives
            assert life.exit == -9, f"{death}: exit {life.exit} {life.errors}"
        last = lives.live()
        assert last.exit == 0, last.errors
    return lives


def started(journal: Path) -> list[Started]:
    with JournalReader(journal) as reader:
        found = [
            decode(decode_envelope(record.body).body) for record in reader.records(kinds=[KIND_OF["Started"]])
        ]
    return [each for each in found if isinstance(each, Started)]


def check(lives: Lives) -> Counter[str]:
    """Check what holds however a desk was killed; return how many orders met which fate."""
    journal = lives.journal
    books = lives.books()
    assert books["ledger_equals_exchange"] is True, books
    assert books["ledger_check"]["truth_complete"]

    end = lives.end
    assert end["candles_admitted"] == end["feed"]["candles_sent"] == end["feed"]["candles_seen"]
    epochs = [each.epoch for each in started(journal)]
    assert epochs == list(range(1, len(epochs) + 1))

    met = fates(journal)
    assert {cid: fate for cid, fate in met.items() if len(fate) != 1} == {}, "one fate for every order"
    counted = Counter(next(iter(fate)) for fate in met.values())
    assert counted["unknown"] == 0
    placed = on_the_exchange(lives.layout.truth, ACCOUNT)
    assert set(placed.values()) == {1}
    assert placed.keys() == {cid for cid, fate in met.items() if fate == {"placed"}}
    sent = attempts(lives.layout.folder / "gateway.journal")
    assert set(sent.values()) == {1}
    assert placed.keys() <= sent.keys()
    assert without_verdict(journal) == []

    assert decisions(journal)
    checked = verify(journal)
    assert checked.ok, checked.faults
    again = replay(journal)
    assert again.ok, again.mismatches
    assert again.decisions_identical == again.decisions > 0
    assert again.intents_identical == again.intents == len(met)
    return counted


def test_desk_killed_at_every_place_goes_on_where_it_was(tmp_path: Path, market_data: Path) -> None:
    lives = lived(tmp_path, market_data, AT_EVERY_PLACE)

    counted = check(lives)
    killed_in = Counter(life.how.partition(":")[0] for life in lives.lives)
    assert lives.kills == len(AT_EVERY_PLACE) >= 20
    assert sum(killed_in[place] for place in IN_A_ROUND) >= 5
    assert set(killed_in) >= {*WHILE_SERVING, *WHILE_STARTING, BEHIND_A_CUT}
    assert counted["placed"] > 50
    voids = [each for each in messages(lives.journal) if isinstance(each, Void)]
    assert sum(each.why == CUT for each in voids) >= killed_in["order_cut_off"] == 1


def test_desk_killed_by_the_clock_misses_no_candle(tmp_path: Path, market_data: Path) -> None:
    """The market goes on without it: bars come later, and what it ordered before it died is told again."""
    dice = random.Random(7)
    deaths = ["order_released:1", *(dice.uniform(0, 1.0) for _ in range(3)), "order_handed_over:1"]

    lives = lived(tmp_path, market_data, deaths, speed=1800.0)

    counted = check(lives)
    assert lives.kills == len(deaths)
    assert counted["placed"] > 10


def test_killed_desk_finds_agents_that_live_elsewhere_as_they_were(tmp_path: Path, market_data: Path) -> None:
    """They dial again; what they knew is what the journal says, so the replay in one process agrees."""
    # first before anything is held: who did not hear the state again then would not hear it for long
    deaths = ["step_closed:20", "order_released:1", "order_durable:2", "fill_heard:2", "order_cut_off:1"]

    lives = lived(tmp_path, market_data, deaths, apart=True, end="2021-05-19T14:00")

    check(lives)
    assert lives.kills == len(deaths)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [1, 2])
def test_desk_killed_often_over_days(tmp_path: Path, market_data: Path, seed: int) -> None:
    """Every place at several passings, and as many kills at random moments, until the market ends."""
    dice = random.Random(seed)
    places: list[Death] = [f"{place}:{dice.randint(1, 6)}" for place in WHILE_SERVING for _ in range(5)]
    starts: list[Death] = [f"folding:{dice.randint(1, 5000)}" for _ in range(5)] + ["resync_asked:1"] * 5
    moments: list[Death] = [dice.uniform(0, 0.4) for _ in range(60)]
    deaths = [*places, *starts, *moments]
    dice.shuffle(deaths)

    lives = lived(tmp_path, market_data, deaths, to_the_last=False, **DAYS)

    counted = check(lives)
    killed = [life for life in lives.lives if life.exit == -9]
    in_a_round = sum(1 for life in killed if life.how.partition(":")[0] in IN_A_ROUND)
    print(f"{len(killed)} kills, {in_a_round} in an open round; orders {dict(counted)}; {lives.end}")
    assert len(killed) >= 60
    assert in_a_round >= 10
    assert counted["placed"] > 100


DAMAGES = {
    "UPDATE records SET round = x'' WHERE round != x''": "damaged journal: .* must continue its chain",
    "DELETE FROM records WHERE seq = (SELECT max(seq) - 1 FROM records)": "DoesNotReplay: .* it lacks seq ",
    "UPDATE run SET value = replace(value, '\"seed\":1', '\"seed\":2')": "another configuration of run ",
}


def test_desk_trades_nothing_on_a_damaged_journal(tmp_path: Path, market_data: Path) -> None:
    market = {"data": market_data / "candles", "pairs": PAIRS, **CRASH}
    with desk_lives(tmp_path, market) as lives:
        assert lives.live("order_released:1").exit == -9
        whole = tmp_path / "whole.journal"
        with closing(sqlite3.connect(lives.journal)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")  # all of it into the one file
        shutil.copy(lives.journal, whole)
        for damage, says in DAMAGES.items():
            with closing(sqlite3.connect(lives.journal)) as connection:
                assert connection.execute(damage).rowcount > 0
                connection.commit()
            last = lives.live()
            assert (last.exit in (1, 2), last.lines) == (True, []), "it never was ready"
            (line,) = last.errors.splitlines()
            assert re.search(says, line), line
            for file in side_files(lives.journal):
                file.unlink(missing_ok=True)
            shutil.copy(whole, lives.journal)
        assert lives.live("step_durable:1").exit == -9, "what was wrong was the damage"
    assert [each.epoch for each in started(lives.journal)] == [1, 2], "a damaged one is not written to"
    assert len(on_the_exchange(lives.layout.truth, ACCOUNT)) == 1
