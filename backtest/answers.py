"""What a callback answered, as a number the kernel takes; what is none is told, or left to freqtrade.

Problem: a strategy may answer anything. Most of it stops freqtrade's loop with a traceback, but some of it
does not, and what then happens follows from the very operations that loop does with it.

Not here: when a callback is asked (`callbacks`), answers that mean no number. Invariant: a number that is
returned trades as freqtrade's own does; everything else is one line that names callback, expected and actual.
"""

import math
from typing import Any

from numpy import float64, integer

from backtest.errors import OddAnswer, WrongAnswer

_NAN = float("nan")
_NO_PRICE = 1e18
PLAIN = (float, float64)
"""What most answers are, by class: taken as they are."""


def number(answer: Any, callback: str, wanted: str) -> float:
    """Return the answer as a float.

    Raises
    ------
    OddAnswer
        When freqtrade may go on with it, in arithmetic that is not that of floats.
    WrongAnswer
        When it is no number.
    """
    told = f"{callback} must return {wanted}, returned {answer!r:.80}"
    if isinstance(answer, int | float | integer):
        try:
            return float(answer)
        except OverflowError:
            raise OddAnswer(told) from None
    # Arrays, decimals and narrower floats count in their own way; what is empty often counts as no answer.
    if hasattr(answer, "__float__") or not answer:
        raise OddAnswer(told)
    raise WrongAnswer(told)


def price(answer: Any, callback: str) -> float:
    """Return a price, NaN for none.

    Raises
    ------
    OddAnswer
        When it is zero, infinite or larger than any price, or a truth value.
    WrongAnswer
        When it is no number.
    """
    if answer is None:
        return _NAN
    rate = answer if answer.__class__ in PLAIN else number(answer, callback, "a price or None")
    if not 0.0 < abs(rate) < _NO_PRICE or isinstance(answer, bool):
        raise OddAnswer(f"{callback} must return a price or None, returned {answer!r:.80}")
    return rate


def leverage(answer: Any) -> float:
    """Return a leverage.

    Raises
    ------
    OddAnswer
        When it is NaN.
    WrongAnswer
        When it is no number.
    """
    times = answer if answer.__class__ in PLAIN else number(answer, "leverage", "a number")
    if math.isnan(times):
        raise OddAnswer(f"leverage must return a number, returned {answer!r:.80}")
    return times
