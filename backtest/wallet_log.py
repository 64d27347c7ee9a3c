"""Write down what the wallet holds while a simulation runs.

Problem: an order that waits for its price binds money and shows in freqtrade's wallet, and leaves no trace in
the trades. freqtrade looks at its wallet when a candle begins, and at a pair's coins when that pair has its
turn; what it sees is the last snapshot, which another pair may have renewed a moment ago.

Not here: when a snapshot is taken (`parley.kernels.wallet`), what becomes of the notes
(`freqtrade_bridge.report`). Invariant: a note counts from the first look that comes after its snapshot.
"""

from backtest.result import WalletNotes
from backtest.tables import Tables


class WalletLog:
    """Takes a note of every snapshot."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        desk, settings = tables.desk[0], tables.settings
        own = dict(settings.other_balances)
        self._own = [own.get(spec.base_currency, 0.0) for spec in tables.specs]
        self._money: dict[int, float] = {0: float(desk["wallet_total"])}
        self._coins: list[dict[int, float]] = [{0: balance} for balance in self._own]
        self._held: dict[int, float] = {}

    def note(self) -> None:
        """Compare the new snapshot with the one before."""
        desk = self._tables.desk[0]
        step, here = int(desk["step"]), int(desk["turn"])
        is_before = here < 0  # asked for by `bot_loop_start`, before freqtrade looks at this candle
        self._money[step if is_before else step + 1] = float(desk["wallet_total"])
        if desk["futures"]:
            return
        held = self._snapshot()
        for at in {**self._held, **held}:
            if held.get(at) != self._held.get(at):
                is_over = not is_before and self._tables.had_its_turn(at, here)
                self._coins[at][step + 1 if is_over else step] = self._own[at] + held.get(at, 0.0)
        self._held = held

    def notes(self) -> WalletNotes:
        """Return all notes by time."""
        desk = self._tables.desk[0]
        start, candle = int(desk["start_ms"]), int(desk["timeframe_ms"])

        def timed(notes: dict[int, float]) -> tuple[tuple[int, float], ...]:
            return tuple((start + step * candle, balance) for step, balance in sorted(notes.items()))

        specs = self._tables.specs
        coins = {spec.pair: timed(notes) for spec, notes in zip(specs, self._coins, strict=True)}
        return WalletNotes(timed(self._money), coins)

    def _snapshot(self) -> dict[int, float]:
        tables = self._tables
        found = {}
        for slot in tables.open_slots[: int(tables.desk[0]["open_count"])].tolist():
            trade = tables.trades[slot]
            amount = float(trade["wallet_amount"])
            if amount == amount:
                found[int(trade["pair"])] = amount
        return found
