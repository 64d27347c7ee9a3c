"""Answers what a running kernel asks: exact arithmetic, protections, the strategy's callbacks.

Invariant: a function here is called without arguments, reads the question's numbers in the box and leaves the
answer there. What it raises stops the kernel and comes out of the call of the kernel.
"""

from collections.abc import Callable, Mapping
from typing import Any

from backtest.callbacks import Callbacks
from backtest.fills import Recalculation
from backtest.locks import LockBook
from backtest.protections import Closed, Protections
from backtest.result import Rejected
from backtest.tables import Tables
from backtest.wallet_log import WalletLog
from parley.kernels import codes, exact


class Driver:
    """The other end of a kernel's port."""

    def __init__(self, tables: Tables, locks: LockBook, hooks: Mapping[str, Callable[..., Any]]) -> None:
        self.tables = tables
        self.wallet = WalletLog(tables)
        self._box: Any = tables.box
        self.locks = locks
        settings = tables.settings
        self._protections = Protections(settings.protections, locks, tables.starting_balance())
        self._reasons: list[str] = []
        self.rejected: list[Rejected] = []
        locks.watch(self._write_locks)
        self.answers: dict[int, Callable[[], None]] = {
            codes.ASK_VALUE: self._value,
            codes.ASK_STAKE: self._stake,
            codes.ASK_QUOTIENT: self._quotient,
            codes.ASK_AVERAGE: self._average,
            codes.ASK_AMOUNT_PRECISION: self._amount_precision,
            codes.ASK_PRICE_PRECISION: self._price_precision,
            codes.ASK_RECALCULATE: Recalculation(tables).renew,
            codes.ASK_PROTECTIONS: self._protect,
            codes.ASK_REJECTED: self._list_rejected,
            codes.ASK_WALLET: self.wallet.note,
            **Callbacks(tables, hooks).answers(),
        }

    def _value(self) -> None:
        box = self._box
        box[0] = exact.value_with_fee(float(box[0]), float(box[1]), float(box[2]))

    def _stake(self) -> None:
        box = self._box
        box[0] = exact.stake_of(float(box[0]), float(box[1]), float(box[2]))

    def _quotient(self) -> None:
        box = self._box
        box[0] = exact.quotient(float(box[0]), float(box[1]))

    def _average(self) -> None:
        box = self._box
        box[0] = exact.average_price(float(box[0]), float(box[1]))

    def _amount_precision(self) -> None:
        box = self._box
        precision = self.tables.specs[int(box[1])].amount_precision
        if precision is not None:
            box[0] = exact.amount_to_precision(float(box[0]), precision, self.tables.settings.precision_mode)

    def _price_precision(self) -> None:
        box = self._box
        box[0] = exact.price_to_precision(float(box[0]), float(box[1]), int(box[2]), int(box[3]))

    def _write_locks(self) -> None:
        for pair, spec in zip(self.tables.pairs, self.tables.specs, strict=True):
            pair["lock_long"] = self.locks.locked_until(spec.pair, "long")
            pair["lock_short"] = self.locks.locked_until(spec.pair, "short")

    def _protect(self) -> None:
        box = self._box
        tables = self.tables
        trades = tables.closed_trades()
        for k in range(len(self._reasons), len(trades["pair"])):
            at, code, row = (int(trades[name][k]) for name in ("pair", "exit_reason", "exit_row"))
            self._reasons.append(tables.words.reason(at, code, row))
        at = int(box[0])
        closed = Closed(trades, self._reasons)
        self._protections.look(closed, at, tables.specs[at].pair, int(box[1]), box[2] != 0.0)

    def _list_rejected(self) -> None:
        box = self._box
        at = int(box[0])
        tag = self.tables.words.entry_tag(at, int(box[2]))
        self.rejected.append(Rejected(self.tables.specs[at].pair, int(box[1]), tag))
