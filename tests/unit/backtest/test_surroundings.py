"""What a callback may ask besides its trade: other trades, the wallet, how far each pair has come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backtest.errors import NotSupported
from backtest.result import Result
from backtest.simulation import simulate
from backtest.surroundings import Surroundings
from backtest.tables import Tables
from parley.kernels.steps import SKIP_ALL
from tests.unit.backtest.markets import world

# The first run after a change of a kernel compiles it, on a busy machine for minutes.
pytestmark = pytest.mark.timeout(400)


def watched(ask: Any, hook: str = "confirm_trade_entry", **fields: Any) -> Result:
    """Run a small world whose callback calls ``ask(around, arguments)`` and answers what that answers."""
    known: list[Surroundings] = []

    def called(**arguments: Any) -> Any:
        known[0].asking = lambda: arguments["pair"]
        return ask(known[0], arguments)

    given = world(hooks=frozenset({hook}), **fields)
    return simulate(**given, hooks={hook: called}, opened=known.append)


def test_other_trades_look_the_same_whether_quiet_candles_are_skipped_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look(told: list[Any]) -> Any:
        def ask(around: Surroundings, arguments: dict[str, Any]) -> bool:
            told.append([
                (trade.id, trade.pair, trade.max_rate, trade.min_rate, trade.stop_loss, trade.amount)
                for trade in around.open_trades()
            ])  # fmt: skip
            return True

        return ask

    rules: dict[str, Any] = {"stoploss": -0.05, "minimal_roi": ((0, 0.08),), "trailing_stop": True}
    skipping: list[Any] = []
    watched(look(skipping), **rules)
    genuine = Tables._set_rules

    def without(self: Tables, given: Any) -> None:
        genuine(self, given)
        assert self.desk[0]["skips"] == SKIP_ALL
        self.desk[0]["skips"] = 0

    monkeypatch.setattr(Tables, "_set_rules", without)
    looking: list[Any] = []
    watched(look(looking), **rules)

    assert skipping == looking
    assert sum(len(each) for each in skipping) > 20


def test_closed_trades_are_those_of_the_result() -> None:
    last: list[Any] = []
    profits: list[float] = []

    def ask(around: Surroundings, arguments: dict[str, Any]) -> bool:
        last[:] = around.closed_trades()
        profits.append(around.closed_profit())
        assert around.closed_trades(arguments["pair"]) == [t for t in last if t.pair == arguments["pair"]]
        return True

    result = watched(ask)

    count = len(last)
    assert count > 20
    for name in ("pair", "close_rate", "amount", "exit_reason", "max_rate", "enter_tag"):
        assert [getattr(trade, name) for trade in last] == result.trades[name][:count].tolist()
    assert [trade.close_profit_abs for trade in last] == result.trades["profit_abs"][:count].tolist()
    assert [len(trade.orders) for trade in last] == [len(each) for each in result.trades["orders"][:count]]
    assert not any(trade.is_open for trade in last)
    assert profits[-1] == sum(result.trades["profit_abs"][:count].tolist())


def test_a_trade_that_a_strategy_keeps_stays_as_it_was() -> None:
    kept: list[tuple[Any, tuple[Any, ...]]] = []

    def state(trade: Any) -> tuple[Any, ...]:
        return trade.id, trade.is_open, trade.max_rate, trade.open_rate, [o.id for o in trade.orders]

    def ask(around: Surroundings, arguments: dict[str, Any]) -> str | None:
        trade = arguments["trade"]
        if len(kept) < 40:
            kept.append((trade, state(trade)))
        return "enough" if arguments["current_profit"] > 0.01 else None

    result = watched(ask, "custom_exit")

    assert len(result.trades) > 20
    assert [state(trade) for trade, _ in kept] == [then for _, then in kept]
    assert len({then[0] for _, then in kept}) > 1


def test_a_trade_that_was_looked_up_goes_on_living() -> None:
    found: dict[int, Any] = {}

    def ask(around: Surroundings, arguments: dict[str, Any]) -> bool:
        for trade in around.open_trades():
            found.setdefault(trade.id, trade)
        return True

    result = watched(ask)

    closed = [trade for trade in found.values() if not trade.is_open]
    assert len(closed) > 10
    by_date = {(row.pair, row.open_timestamp): row for row in result.trades.itertuples()}
    for trade in closed:
        row = by_date[trade.pair, int(trade.open_date.timestamp() * 1000)]
        assert (trade.close_rate, trade.exit_reason) == (row.close_rate, row.exit_reason)
        assert (trade.max_rate, trade.min_rate) == (row.max_rate, row.min_rate)


def test_a_looked_up_trade_is_not_written_to() -> None:
    def ask(around: Surroundings, arguments: dict[str, Any]) -> bool:
        for trade in around.open_trades():
            trade.stop_loss = 1.0
        return True

    with pytest.raises(NotSupported, match="writes to stop_loss of a trade it looked up"):
        watched(ask)


def test_what_a_view_has_not_is_refused_by_name() -> None:
    class Outside:
        to_json = None

    def ask(around: Surroundings, arguments: dict[str, Any]) -> bool:
        around.shown.as_of(Outside, Outside, "spot")
        return bool(around.open_trades() and around.open_trades()[0].to_json())

    with pytest.raises(NotSupported, match="to_json of a trade"):
        watched(lambda around, arguments: not ask(around, arguments))


def test_the_wallet_is_of_the_last_snapshot() -> None:
    seen: list[tuple[float, ...]] = []

    def ask(around: Surroundings, arguments: dict[str, Any]) -> bool:
        purse, held = around.purse(), around.holdings()
        staked = sum(each.stake for each in held)
        # Nothing waits here, so what is not free is in the coins that are held.
        assert purse.total == purse.free
        assert purse.free == pytest.approx(1000.0 + around.closed_profit() - staked, abs=1e-9)
        assert [each.pair for each in held] == [trade.pair for trade in around.open_trades()]
        seen.append(purse)
        around.renew_wallet()
        assert around.purse() == purse
        return True

    result = watched(ask)

    assert len(set(seen)) > 20
    assert result.final_balance == pytest.approx(1000.0 + result.trades["profit_abs"].sum(), abs=1e-6)


def test_pairs_come_to_their_rows_in_the_order_of_the_step() -> None:
    said: list[tuple[str, list[int], list[str]]] = []
    names = [f"COIN{k}/USDT" for k in range(3)]

    def ask(around: Surroundings, arguments: dict[str, Any]) -> bool:
        first = arguments["current_time"].timestamp()
        here = [*around.closed_trades(), *around.open_trades()]
        # What closed a moment ago was open when the step began.
        open_before = [
            t.pair
            for t in here
            if t.open_date.timestamp() < first and (t.is_open or t.close_date.timestamp() == first)
        ]
        rows = [around.rows_seen(name) for name in names]
        said.append((arguments["pair"], rows, open_before))
        assert around.rows_seen("COIN9/USDT") == 0
        return True

    watched(ask)

    behind = 0
    for pair, rows, open_before in said:
        at = names.index(pair)
        line = [*open_before, *(name for name in names if name not in open_before)]
        done = line.index(pair)
        for name, count in zip(names, rows, strict=True):
            if name in open_before or line.index(name) <= done:
                assert count == rows[at]
            else:
                behind += 1
                assert count == rows[at] - 1
    assert behind > 10


def test_signals_without_a_slot_are_listed_when_asked_for() -> None:
    given = world(max_open_trades=1.0)
    plain, listed = simulate(**given), simulate(**given, lists_rejected=True)

    assert plain.rejected == ()
    assert len(listed.rejected) == listed.rejected_signals == plain.rejected_signals > 20
    for pair, date_ms, tag in listed.rejected:
        frame = given["frames"][pair]
        row = int(np.searchsorted(frame["date"].to_numpy("datetime64[ms]").astype(np.int64), date_ms))
        assert frame["enter_long"][row - 1] == 1
        assert tag == frame["enter_tag"][row - 1] == "dip"


def test_coins_offered_for_sale_are_pending_from_the_next_snapshot_on() -> None:
    pending: list[tuple[float, float]] = []

    def too_dear(*, proposed_rate: float, **_: Any) -> float:
        return proposed_rate * 1.2

    def confirm(**arguments: Any) -> bool:
        around.asking = lambda: arguments["pair"]
        pending.extend((each.pending, each.amount) for each in around.holdings() if each.pending)
        return True

    def opened(running: Surroundings) -> None:
        nonlocal around
        around = running

    around: Any = None
    hooks = {"custom_exit_price": too_dear, "confirm_trade_entry": confirm}
    given = world(
        hooks=frozenset(hooks), stoploss=-0.5, minimal_roi=((0, 10.0),), pairs=12, max_open_trades=12.0
    )
    simulate(**given, hooks=hooks, opened=opened)

    assert len(pending) > 0
    assert all(part == whole for part, whole in pending)
