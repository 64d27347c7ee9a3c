"""A freqtrade strategy at a desk that agrees to everything trades what it trades alone, fill for fill."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from pandas import DataFrame, read_feather

from backtest.errors import NotSupported
from backtest.seated import SeatedStrategy
from backtest.strategy_run import simulate_strategy
from freqtrade_bridge.options import Options
from parley.errors import UserError
from parley.messages import Decision, Fill, MarketBatch, Proposal, Trigger, decode, decode_envelope
from runtime.desk_backtest import DeskResult
from runtime.desk_strategies import choose, run_seated_backtest
from runtime.history import kinds
from runtime.journal import JournalReader
from runtime.replay import replay
from runtime.settings import load_settings
from runtime.watching import UNWATCHED
from tests.kit.freqtrade_folder import STRATEGIES, spot_candles, write_config

ALONE = (
    "TrendCross",
    "BandReversion",
    "GuardedDips",
    "LadderStop",
    "OldNames",
    "TimedExit",
    "Gatekeeper",
    "Averaging",
)
TOGETHER = ("TrendCross", "BandReversion", "ChannelBreakout")
TF_NS = 300_000_000_000
# The first run after a change of a kernel compiles it, on a busy machine for minutes.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("desk")
    spot_candles(made / "candles", 1200)
    (made / "user").mkdir()
    write_config(made / "config.json")
    return made


@pytest.fixture(scope="module")
def stormy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Money enough in each trade to hurt, and candles that fall deep and recover."""
    made = tmp_path_factory.mktemp("storm")
    spot_candles(made / "candles", 1200)
    for path in made.glob("candles/*-5m.feather"):
        frame = read_feather(path)
        frame.loc[60::60, "low"] = (frame["open"][60::60] * 0.85).round(4)
        frame.to_feather(path)
    (made / "user").mkdir()
    write_config(made / "config.json", stake_amount=300)
    return made


def options(folder: Path, *names: str) -> Options:
    return Options(
        user_data_dir=folder / "user", config=(folder / "config.json",), datadir=folder / "candles",
        strategy_list=names, strategy_path=STRATEGIES,
    )  # fmt: skip


def at_the_desk(
    folder: Path, journal: Path, *names: str, consent: bool = True, **more: Any
) -> tuple[DeskResult, list[SeatedStrategy]]:
    settings = load_settings(None, {"journal": journal, **more})
    return run_seated_backtest(settings, options(folder, *names), UNWATCHED, consent=consent)


def alone(folder: Path, name: str) -> Any:
    (chosen,) = choose(options(folder, name))
    return simulate_strategy(chosen.prepared, chosen.analysed)


def fills_of(journal: Path) -> list[Fill]:
    with JournalReader(journal) as reader:
        found = [decode(decode_envelope(r.body).body) for r in reader.records(kinds=kinds("Fill"))]
    return [each for each in found if isinstance(each, Fill)]


def openings_of(folder: Path) -> dict[tuple[str, int], float]:
    """By pair and the candle's ns."""
    found: dict[tuple[str, int], float] = {}
    for path in folder.glob("candles/*-5m.feather"):
        frame = read_feather(path)
        pair = path.name.partition("-")[0].replace("_", "/")
        times = frame["date"].astype("int64").tolist()
        found |= {
            (pair, t * 1_000_000): price for t, price in zip(times, frame["open"].tolist(), strict=True)
        }
    return found


def orders_of(trades: DataFrame) -> list[tuple[str, str, float, float, int]]:
    """Pair, side, amount, price and ms of every filled order."""
    return [
        (pair, o["ft_order_side"], o["amount"], o["safe_price"], o["order_filled_timestamp"])
        for pair, orders in zip(trades["pair"], trades["orders"], strict=True)
        for o in orders
    ]


@pytest.mark.parametrize("name", ALONE)
def test_one_strategy_without_objection_trades_as_it_does_alone(
    name: str, folder: Path, tmp_path: Path
) -> None:
    result, (player,) = at_the_desk(folder, tmp_path / "desk.journal", name)
    expected = alone(folder, name)
    assert len(expected.trades) >= 3
    assert player.trades.equals(expected.trades)
    assert (player.cut, player.refused, player.kept, player.left) == (0, 0, 0, 0)
    # ... and the desk's fills are the simulation's orders: same pair, side, amount, price, candle
    fills = fills_of(result.journal)
    told = [(f.symbol, f.side, float(f.qty), float(f.px), f.t // 1_000_000) for f in fills]
    assert sorted(told) == sorted(orders_of(expected.trades))
    assert result.ledger_equals_exchange
    assert result.summary.attribution_is_complete
    # Fees are cut to eight places at the venue, profits in freqtrade.
    apart = abs(float(result.assets["USDT"]) - expected.final_balance)
    assert apart <= 1e-8 * (len(fills) + len(expected.trades))


def test_several_share_an_account_whose_parts_sum_to_it(folder: Path, tmp_path: Path) -> None:
    result, players = at_the_desk(folder, tmp_path / "desk.journal", *TOGETHER)
    for player, name in zip(players, TOGETHER, strict=True):
        assert player.trades.equals(alone(folder, name).trades)
    summary = result.summary
    assert {agent for agent, each in summary.pnl_by_agent.items() if each.fills} == {
        f"strategy/{name}" for name in TOGETHER
    }
    assert summary.attribution_is_complete
    assert sum(each.pnl for each in summary.pnl_by_agent.values()) == summary.pnl
    assert result.ledger_equals_exchange


def test_a_desk_that_negotiates_cuts_and_refuses_and_replays(folder: Path, tmp_path: Path) -> None:
    result, players = at_the_desk(folder, tmp_path / "desk.journal", *TOGETHER, consent=False)
    assert sum(player.refused for player in players) > 0
    assert sum(player.cut for player in players) > 0
    assert result.summary.decisions["accept"] > 10
    assert result.ledger_equals_exchange
    # What a simulation went on with is what the desk let it have.
    fills = fills_of(result.journal)
    told = sorted((f.symbol, f.side, float(f.qty), float(f.px), f.t // 1_000_000) for f in fills)
    assert told == sorted(order for player in players for order in orders_of(player.trades))
    report = replay(result.journal)
    assert report.ok
    assert report.recorded_proposals == result.summary.proposals > result.summary.decisions["accept"]
    again, _ = at_the_desk(folder, tmp_path / "again.journal", *TOGETHER, consent=False)
    assert again.summary.decision_hash == result.summary.decision_hash


def test_additions_and_partial_exits_are_negotiated(folder: Path, tmp_path: Path) -> None:
    write_config(folder / "rich.json", stake_amount=300)
    given = replace(options(folder, "Averaging", "TrendCross"), config=(folder / "rich.json",))
    settings = load_settings(None, {"journal": tmp_path / "desk.journal"})
    result, (player, other) = run_seated_backtest(settings, given, UNWATCHED, consent=False)
    assert player.adjusted > 10
    # More was wanted and cut, or refused; what was granted is what the simulation went on with.
    with JournalReader(result.journal) as reader:
        found = [
            decode(decode_envelope(r.body).body) for r in reader.records(kinds=kinds("Proposal", "Decision"))
        ]
    bids = {each.pid: each for each in found if isinstance(each, Proposal)}
    decided = {each.pid: each for each in found if isinstance(each, Decision) and each.action == "accept"}
    more = [bid for bid in bids.values() if bid.why.startswith("third_")]
    granted = [decided[bid.pid].qty / bid.legs[0].qty for bid in more if bid.pid in decided]
    assert len(granted) > 0
    assert min(granted) < 1
    assert any(bid.why == "took_half" and bid.reduce_only for bid in bids.values())
    told = sorted(
        (f.symbol, f.side, float(f.qty), float(f.px), f.t // 1_000_000) for f in fills_of(result.journal)
    )
    assert told == sorted(order for trades in (player.trades, other.trades) for order in orders_of(trades))
    assert result.ledger_equals_exchange
    assert replay(result.journal).ok


def test_the_order_in_which_strategies_are_listed_changes_nothing(folder: Path, tmp_path: Path) -> None:
    first: dict[str, DataFrame] = {}
    prints = set()
    for number, names in enumerate(permutations(TOGETHER)):
        result, players = at_the_desk(folder, tmp_path / f"{number}.journal", *names, consent=False)
        assert [player.name for player in players] == [f"strategy/{name}" for name in names]
        prints.add(result.summary.fingerprint)
        for player in players:
            assert first.setdefault(player.name, player.trades).equals(player.trades)
    assert len(prints) == 1


def test_no_strategy_enters_at_an_opening_knowing_what_another_did_inside_the_candle(
    folder: Path, tmp_path: Path
) -> None:
    result, _ = at_the_desk(folder, tmp_path / "desk.journal", *TOGETHER, consent=False)
    openings = openings_of(folder)
    inside: set[str] = set()  # who has acted inside the candle
    candle = after = 0
    with JournalReader(result.journal) as reader:
        for record in reader.records(kinds=kinds("MarketBatch", "Proposal")):
            message = decode(decode_envelope(record.body).body)
            if isinstance(message, MarketBatch):
                if candle != message.t - message.t % TF_NS:
                    candle, inside = message.t - message.t % TF_NS, set()
            elif isinstance(message, Proposal):
                if float(message.legs[0].limit_px or 0) != openings[message.symbol, candle]:
                    inside.add(message.agent)
                elif inside:
                    # A strategy's own stop comes before its next entry in freqtrade, too.
                    assert inside == {message.agent}
                elif message.legs[0].side == "buy":
                    after += 1
    assert after > 100


@pytest.mark.parametrize(
    ("names", "drawdown", "left", "inside"),
    [
        (TOGETHER, "0.022", 3, False),  # two strategies' positions, at an opening
        (TOGETHER, "0.018", 1, True),  # ... and after a stop inside a candle, BandReversion with its
        (TOGETHER, "0.024", 2, True),  # exit_profit_only,
        (("ChannelBreakout",), "0.006", 2, False),  # and one whose exit signals are off
        (("ChannelBreakout",), "0.007", 1, True),
        (("Averaging", "TrendCross"), "0.01", 4, True),  # and one that had sold a part before
    ],
)
def test_strategies_follow_a_desk_that_leaves_their_positions(
    names: tuple[str, ...], drawdown: str, left: int, inside: bool, stormy: Path, tmp_path: Path
) -> None:
    breakers = {"daily_loss": "1", "drawdown": drawdown, "flatten_drawdown": drawdown}
    result, players = at_the_desk(
        stormy, tmp_path / "desk.journal", *names, consent=False, limits={"breakers": breakers}
    )
    assert sum(player.flattened for player in players) == left
    with JournalReader(result.journal) as reader:
        asked = [decode(decode_envelope(r.body).body) for r in reader.records(kinds=kinds("Trigger"))]
    (tripped,) = {each.t for each in asked if isinstance(each, Trigger) and each.source == "flatten"}
    assert (tripped % TF_NS != 0) == inside
    # What tripped it inside a candle was left when the next one opened.
    when = -(-tripped // TF_NS) * TF_NS // 1_000_000
    last = [orders[-1] for player in players for orders in player.trades["orders"]]
    assert sum(order["order_filled_timestamp"] == when for order in last) >= left
    for player in players:
        assert (player.trades["open_timestamp"] * 1_000_000 <= tripped).all()
        assert (player.trades["close_timestamp"] <= when).all()
        assert player.left == 0
    # Ledger, account and the strategies' own trades are one.
    told = sorted(
        (f.symbol, f.side, float(f.qty), float(f.px), f.t // 1_000_000) for f in fills_of(result.journal)
    )
    assert told == sorted(order for player in players for order in orders_of(player.trades))
    assert result.ledger_equals_exchange
    assert result.summary.attribution_is_complete
    assert not any(held for asset, held in result.assets.items() if asset != "USDT")
    assert replay(result.journal).ok


def test_seat_without_its_recorded_words_does_not_replay(
    folder: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    result, _ = at_the_desk(folder, tmp_path / "desk.journal", "TrendCross")
    monkeypatch.setattr("runtime.replay.recorded", lambda reader: {})
    assert not replay(result.journal).ok  # with nobody to repeat it, the seat says nothing


@pytest.mark.parametrize(("name", "what"), [("PatientPrices", "no order that waits")])
def test_what_a_desk_cannot_be_asked_is_refused(name: str, what: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises((UserError, NotSupported), match=what):
        at_the_desk(folder, tmp_path / "desk.journal", name)


def test_strategy_that_fails_ends_the_backtest_and_leaves_no_thread(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    def broken(self: SeatedStrategy, **asked: Any) -> bool:
        raise RuntimeError("broken")

    before = threading.active_count()
    monkeypatch.setattr(SeatedStrategy, "_leave", broken)
    with pytest.raises(RuntimeError, match="broken"):
        at_the_desk(folder, tmp_path / "desk.journal", *TOGETHER)
    assert threading.active_count() == before
