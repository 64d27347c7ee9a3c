"""What a callback may ask besides its own trade: other trades, the wallet, how far each pair has come.

Problem: freqtrade keeps open and closed trades, the wallet and the data provider's places in objects that
every callback can read at any moment of the run. Here all of it lies in the kernel's tables; this reads it
there when asked, and costs nothing when nobody asks.

Not here: freqtrade's own names for these questions (`freqtrade_bridge.asking`).

Invariant: every answer is what freqtrade's objects hold at the same point of its loop. The wallet is its last
snapshot, however old; a trade looked up shows its present state, also when a later callback looks again.
"""

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from backtest.errors import SimulationError
from backtest.order_view import Derived
from backtest.tables import Tables, numbers
from backtest.trade_view import FIELDS, TRADE_WIDTH, TradeView
from parley.kernels import wallet

_ID = FIELDS["id"]


class Purse(NamedTuple):
    """The stake currency in the wallet's last snapshot."""

    free: float
    used: float
    total: float


class Holding(NamedTuple):
    """A trade in the wallet's last snapshot: its coins, those offered for sale, and its collateral."""

    pair: str
    base_currency: str
    amount: float
    pending: float
    stake: float
    leverage: float
    is_short: bool


class Surroundings:
    """The running simulation, for whoever answers a callback's questions."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._places = {spec.pair: at for at, spec in enumerate(tables.specs)}
        self._closed: list[TradeView] = []
        self._closed_of: dict[str, list[TradeView]] = {}
        self.shown = tables.shown
        self.asking: Callable[[], str | None] = lambda: None
        """Says which pair the callback under way is about, None at the beginning of a step; whoever binds the
        callbacks knows."""

    def heed_exits(self, always: bool, *, asks: bool) -> bool:
        """Let exit signals and `custom_exit` count in any case, or again as the strategy's settings say.

        Returns whether the settings say otherwise, so that every pair's exits change.
        asks: whether `custom_exit` is asked otherwise, at every candle of every open trade.
        """
        desk, settings = self._tables.desk[0], self._tables.settings
        desk["hook_exit"] = always or asks
        desk["use_exit_signal"] = always or settings.use_exit_signal
        desk["exit_profit_only"] = not always and settings.exit_profit_only
        return always and (settings.exit_profit_only or not settings.use_exit_signal)

    def open_count(self) -> int:
        """How many trades are open."""
        return int(self._tables.desk[0]["open_count"])

    def open_trades(self) -> list[TradeView]:
        """The open trades in the order they were opened."""
        return [LookedUp(self, self._tables, slot) for slot in self._open_slots()]

    def _open_slots(self) -> list[int]:
        return [int(slot) for slot in self._tables.open_slots[: self.open_count()]]

    def closed_trades(self, pair: str | None = None) -> list[TradeView]:
        """The closed trades in the order of closing, of one pair or of all; the list is the caller's."""
        count = int(self._tables.desk[0]["closed_count"])
        if len(self._closed) < count:
            shelf = _Shelf(self._tables)
            for place in range(len(self._closed), count):
                trade = Filed(shelf, place)
                self._closed.append(trade)
                self._closed_of.setdefault(trade.pair, []).append(trade)
        return list(self._closed if pair is None else self._closed_of.get(pair, ()))

    def closed_profit(self) -> float:
        """The profits of the closed trades, added up in their order."""
        desk = self._tables.desk[0]
        return float(wallet.summed(desk["closed_profit"], desk["closed_profit_rest"]))

    def purse(self) -> Purse:
        """What the wallet has of the stake currency."""
        desk = self._tables.desk[0]
        return Purse(float(desk["wallet_free"]), float(desk["wallet_used"]), float(desk["wallet_total"]))

    def holdings(self) -> list[Holding]:
        """What the wallet knows of open trades, in the order they were opened."""
        found = []
        for slot in self._open_slots():
            trade = self._tables.trades[slot]
            if trade["wallet_amount"] != trade["wallet_amount"]:
                continue
            spec = self._tables.specs[int(trade["pair"])]
            amount, pending, stake, leverage = (float(trade[name]) for name in _SNAPSHOT)
            leverage = self._tables.shown.leverages.get(leverage, leverage)
            found.append(
                Holding(
                    spec.pair, spec.base_currency, amount, pending, stake, leverage, bool(trade["is_short"])
                )
            )
        return found

    def renew_wallet(self) -> None:
        """Take a snapshot now, as `wallets.update()` does in the middle of freqtrade's run."""
        box = self._tables.box
        # A question is being answered: what lies in the box is not ours.
        kept = box.tolist()
        wallet.refresh(self._tables.desk[0])
        for place, value in enumerate(kept):
            box[place] = value

    def rows_seen(self, pair: str) -> int:
        """How many rows of this pair had their turn so far; 0 of a pair that is not traded."""
        at = self._places.get(pair)
        if at is None:
            return 0
        step = int(self._tables.desk[0]["step"])
        asking = self.asking()
        if asking is None or not self._tables.had_its_turn(at, self._places[asking]):
            step -= 1
        rules = self._tables.pairs[at]
        rows = int(rules["rows"])
        if rows < 2:
            return 0
        if not rules["steps"]:
            return min(max(step - int(rules["first_step"]), 0), rows - 1)
        steps = (ctypes.c_int64 * rows).from_address(int(rules["steps"]))
        return int(np.searchsorted(np.ctypeslib.as_array(steps)[1:], step, side="right"))


_SNAPSHOT = ("wallet_amount", "wallet_pending", "wallet_stake", "leverage")


class _Itself(TradeView):
    """No copy: whichever way it is looked up, it is the same trade."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)


class LookedUp(_Itself):
    """An open trade that a callback looked up; it goes on showing that trade, closed or not."""

    def __init__(self, around: Surroundings, tables: Tables, slot: int) -> None:
        record = _Record(tables, slot)
        # Not by assignment: that is what a strategy may not do.
        given = {
            "_tables": tables, "_around": around, "_at": 0, "_floats": _Column(record, "floats"),
            "_ints": _Column(record, "ints"),
        }  # fmt: skip
        for name, value in given.items():
            object.__setattr__(self, name, value)

    @Derived
    def max_rate(self) -> float | None:
        return self._extreme("max_rate", "seen_most", max) or None

    @Derived
    def min_rate(self) -> float | None:
        return self._extreme("min_rate", "seen_least", min) or None

    def _extreme(self, name: str, seen: str, pick: Any) -> float:
        first = self._int("seen_row")
        if first < 0 or not self.is_open:
            return float(self._floats[FIELDS[name]])
        # The kernel looked ahead at quiet candles; what it knew before, and the candles since.
        candles = self._tables.candles[self._pair_at]
        prices = candles.highs if pick is max else candles.lows
        since = prices[first : self._around.rows_seen(self.pair) + 1].tolist()
        return float(pick([self._floats[FIELDS[seen]], *since]))

    def __setattr__(self, name: str, value: Any) -> None:
        self._tables.shown.refuse(
            f"a callback writes to {name} of a trade it looked up, which would change the run"
        )


class _Record:
    """The record of a trade, wherever it lies now."""

    def __init__(self, tables: Tables, slot: int) -> None:
        self._tables, self._slot = tables, slot
        self._id = tables.trade_ints[slot * TRADE_WIDTH + _ID]

    def read(self, kind: str, field: int) -> Any:
        tables = self._tables
        place = self._slot * TRADE_WIDTH
        if tables.trade_ints[place + _ID] == self._id:
            return getattr(tables, f"trade_{kind}")[place + field]
        found = np.flatnonzero(tables.kept["id"][: tables.desk[0]["closed_count"]] == self._id)
        if not len(found):
            raise SimulationError(f"a callback looks at trade {self._id}, which was cancelled before")
        return numbers(tables.kept)[kind == "ints"][int(found[0]) * TRADE_WIDTH + field]


class _Column:
    """Its numbers of one kind, by field."""

    def __init__(self, record: _Record, kind: str) -> None:
        self._record, self._kind = record, kind

    def __getitem__(self, field: int) -> Any:
        return self._record.read(self._kind, field)


class Filed(_Itself):
    """A closed trade."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            self._tables.shown.refuse(f"a callback writes to {name} of a closed trade")
        super().__setattr__(name, value)


class _Shelf:
    """The tables as a closed trade reads them: its record lies among the kept ones."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.trade_floats, self.trade_ints = numbers(tables.kept)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tables, name)
