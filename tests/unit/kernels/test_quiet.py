"""Finding the next candle that matters: against looking at every one."""

import numpy as np
import pytest

from backtest.tables import address
from parley.kernels.codes import ENTER_LONG, ENTER_SHORT, EXIT_LONG
from parley.kernels.quiet import _row_at, next_signal
from parley.kernels.records import PAIR
from tests.unit.kernels.desks import LooseDesk

STEP = 300_000


@pytest.mark.parametrize("can_short", [0, 1])
@pytest.mark.parametrize("seed", range(4))
def test_the_next_signal_is_the_first_row_whose_candle_before_has_one(can_short: int, seed: int) -> None:
    dice = np.random.Generator(np.random.Philox(seed))
    signals = dice.choice([0, EXIT_LONG, ENTER_LONG, ENTER_SHORT], 60, p=[0.7, 0.2, 0.05, 0.05])
    bits = signals.astype(np.uint8)
    loose = LooseDesk()
    loose.desk["can_short"] = can_short
    pair = np.zeros(1, PAIR)[0]
    pair["rows"], pair["signals"] = len(bits), address(bits)
    wanted = ENTER_LONG | (ENTER_SHORT if can_short else 0)

    for row in range(1, len(bits) + 1):
        rest = [k for k in range(row, len(bits)) if bits[k - 1] & wanted]
        assert next_signal(loose.desk, pair, row) == (rest[0] if rest else len(bits))


@pytest.mark.parametrize("regular", [True, False])
def test_a_date_is_found_whether_or_not_there_are_gaps(regular: bool) -> None:
    dice = np.random.Generator(np.random.Philox(1))
    jumps = np.full(40, STEP) if regular else STEP * dice.integers(1, 4, 40)
    dates = np.cumsum(jumps) + 7 * STEP
    loose = LooseDesk()
    loose.desk["start_ms"], loose.desk["timeframe_ms"] = 5 * STEP, STEP
    pair = np.zeros(1, PAIR)[0]
    pair["rows"], pair["dates"] = len(dates), address(dates)
    pair["first_step"] = (dates[0] - 5 * STEP) // STEP
    pair["steps"] = 0 if regular else address(dates)

    for row in (0, 3, 39):
        for date in range(int(dates[0]) - STEP, int(dates[-1]) + 3 * STEP, STEP // 3):
            rest = [k for k in range(row, len(dates)) if dates[k] >= date]
            assert _row_at(loose.desk, pair, row, date) == (rest[0] if rest else len(dates))
