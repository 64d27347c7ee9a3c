"""The deepest fall of a balance, as freqtrade finds it.

freqtrade's own function makes and sorts frames of all columns for it; the report asks for it fifty times.

Not here: which profits in which order. Invariant: every number is the one of
`freqtrade.data.metrics.calculate_max_drawdown`, for a starting balance above zero.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]


class Drawdown(NamedTuple):
    """A fall from a high to a low: sums of profits there, and the numbers of the profits they came after."""

    absolute: float
    relative: float
    """Share of the balance at the high."""
    high_value: float
    low_value: float
    high: int
    low: int


def deepest_fall(profits: _Floats, balance: float, *, relative: bool = False) -> Drawdown:
    """Return the deepest fall of the sum of profits; with ``relative`` the one that took the largest share.

    profits : float64[n], n > 0, in the order in which they were made.
    """
    # Number 0 is the time before the first profit.
    sums = np.append(0.0, np.cumsum(profits))
    highs = np.append(0.0, np.maximum(0.0, np.maximum.accumulate(sums[1:])))
    falls = sums - highs
    tops = balance + highs
    shares = (tops - (balance + sums)) / tops
    shares[0] = 0.0
    low = int(np.argmax(shares)) if relative else int(np.argmin(falls))
    high = int(np.argmax(highs[: low + 1]))
    return Drawdown(
        absolute=abs(float(falls[low])), relative=float(shares[low]), high_value=float(sums[high]),
        low_value=float(sums[low]), high=max(high - 1, 0), low=max(low - 1, 0),
    )  # fmt: skip
