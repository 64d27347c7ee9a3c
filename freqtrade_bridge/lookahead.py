"""Finds strategies that know the future: what they say of a candle must not change when later ones are known.

Problem: a column computed with a shift, a centred window or a mean over the whole frame earns fortunes in a
backtest and nothing at an exchange. At sampled moments the strategy is shown a window of candles that ends
there, and the same window with what came later; every column of every row up to that moment must be equal.
Both windows begin with the same candle, so warm-up is the same in both and no causal indicator is accused.

Moments are sampled where they matter: at candles with signals, first those that were followed by the largest
moves (who peeks does so there), and spread evenly over the rest. Other pairs and timeframes end at the same
moment, as at an exchange: of an informative pair only closed candles are there.

Not here: what happens to a strategy that was found out (`runtime.backtesting`). Limits: a bias that shows at
no sampled moment is not found; a strategy that answers differently when asked twice cannot be judged.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from freqtrade.exchange import timeframe_to_seconds
from freqtrade.strategy.interface import IStrategy
from pandas import DataFrame, Series, Timedelta, Timestamp

from freqtrade_bridge.analysis import Analysed, ranks_pairs
from freqtrade_bridge.faults import strategy_code
from freqtrade_bridge.preparing import Prepared
from parley.errors import UserError

MOMENTS: Final = 60
"""Sampled moments of a backtest, over all its pairs; each pair of the first twenty gets at least three."""
MAX_PAIRS: Final = 20
SHORTEST_WINDOW: Final = 400
LATER: Final = 60
"""Candles that are shown later."""
_SIGNALS: Final = ("enter_long", "exit_long", "enter_short", "exit_short")
_RELATIVE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Bias:
    """One column that changed; ``candle`` is the first whose value did, ``moment`` the last that was known.

    ``then`` is the value while ``moment`` was the last candle, ``later`` the value when more were known.
    """

    pair: str
    column: str
    candle: Timestamp
    moment: Timestamp
    then: str
    later: str

    def __str__(self) -> str:
        return (
            f"{self.pair}: {self.column!r} of candle {self.candle:%Y-%m-%d %H:%M} was {self.then} when"
            f" {self.moment:%Y-%m-%d %H:%M} was the last candle and became {self.later} afterwards"
        )


@dataclass(frozen=True, slots=True)
class Foresight:
    """What came of a check: ``biases`` with the earliest of each pair and column, in the columns' order.

    ``unsure`` says why moments could not be judged.
    """

    moments: int
    biases: tuple[Bias, ...] = ()
    unsure: tuple[str, ...] = field(default=())

    @property
    def is_clean(self) -> bool:
        return not self.biases


def check_foresight(
    prepared: Prepared, analysed: Analysed, moments: int = MOMENTS, each: Callable[[], None] | None = None
) -> Foresight:
    """Check a strategy after its simulation; `each` is called after every moment.

    The strategy is asked to populate many frames, so what it keeps between calls is worthless afterwards.
    """
    window = max(SHORTEST_WINDOW, 2 * prepared.startup)
    judge = _Judge(prepared, analysed.strategy, window)
    pairs = list(analysed.frames)[:MAX_PAIRS]
    share = max(3, -(-moments // max(1, len(pairs))))
    judged = 0
    for pair in pairs:
        for last in sample(analysed.frames[pair], share, prepared.startup):
            judge.look(pair, prepared.candles[pair], last)
            judged += 1
            if each is not None:
                each()
    return Foresight(judged, judge.biases(), tuple(sorted(judge.unsure)))


def sample(frame: DataFrame, count: int, first: int = 0) -> list[int]:
    """Choose the rows at which a frame is cut: half with signals, the most rewarded first, the rest spread.

    The last row is no moment: nothing comes after it.
    """
    last = len(frame) - 2
    first = min(first, max(0, last))
    if last < first:
        return []
    rows = np.arange(first, last + 1)
    close = frame["close"].to_numpy(dtype=np.float64)
    ahead = np.abs(close[np.minimum(rows + 1, last + 1)] / close[rows] - 1)
    signalled = np.zeros(len(rows), dtype=bool)
    for column in _SIGNALS:
        if column in frame.columns:
            signalled |= np.nan_to_num(frame[column].to_numpy(dtype=np.float64))[rows] == 1
    at_signals = rows[signalled]
    rewarded = at_signals[np.argsort(-ahead[signalled], kind="stable")]
    chosen = {int(row) for row in rewarded[: count // 4]}
    chosen |= _spread(at_signals, count // 4)
    chosen |= _spread(rows, count - len(chosen))
    return sorted(chosen)


def _spread(rows: npt.NDArray[np.int64], count: int) -> set[int]:
    if not len(rows) or count < 1:
        return set()
    return {int(rows[at]) for at in np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64)}


class _Judge:
    """Shows one strategy windows and keeps what changed."""

    def __init__(self, prepared: Prepared, strategy: IStrategy, window: int) -> None:
        self._provider = prepared.provider
        # A strategy that looks at all its pairs together is shown the same stretch of each.
        self._beside = prepared.candles if ranks_pairs(strategy) else {}
        self._strategy = strategy
        self._window = window
        self._candle = Timedelta(seconds=timeframe_to_seconds(str(prepared.config["timeframe"])))
        self._found: dict[tuple[str, str], Bias] = {}
        self._order: dict[str, int] = {}
        self._asked: set[str] = set()
        self._fickle: set[str] = set()  # pairs of which it said two things about the same
        self.unsure: set[str] = set()

    def biases(self) -> tuple[Bias, ...]:
        return tuple(sorted(self._found.values(), key=lambda bias: (bias.pair, self._order[bias.column])))

    def look(self, pair: str, candles: DataFrame, last: int) -> None:
        """Compare what is said with ``last`` as the last row and with more rows after it."""
        if pair in self._fickle:
            return
        begin, end = max(0, last + 1 - self._window), min(len(candles), last + 1 + LATER)
        try:
            then = self._said(pair, candles.iloc[begin : last + 1])
            again = then if pair in self._asked else self._said(pair, candles.iloc[begin : last + 1])
            later = self._said(pair, candles.iloc[begin:end])
        except UserError as error:
            self.unsure.add(f"{pair}: {error}")
            return
        self._asked.add(pair)
        if again is not then and _first_changes(then, again):
            self._fickle.add(pair)
            self.unsure.add(f"{pair}: the strategy answers differently when it is asked twice")
            return
        moment = candles["date"].iloc[last]
        for column, (row, was, became) in _first_changes(then, later).items():
            self._order.setdefault(column, len(self._order))
            bias = Bias(pair, column, candles["date"].iloc[begin + row], moment, was, became)
            known = self._found.get((pair, column))
            if known is None or bias.candle < known.candle:
                self._found[pair, column] = bias

    def _said(self, pair: str, candles: DataFrame) -> DataFrame:
        strategy = self._strategy
        rows = candles.reset_index(drop=True)
        # at that moment the last candle has closed, and so has every other candle up to then
        self._provider._set_dataframe_max_date((rows["date"].iloc[-1] + self._candle).to_pydatetime())
        name, file = strategy.get_strategy_name(), strategy.__file__
        with strategy_code(name, file, f"a window of {len(rows)} candles of {pair}"):
            frame = strategy.advise_all_indicators(self._shown(pair, rows))[pair]
            frame = strategy.ft_advise_signals(frame, {"pair": pair})
        if len(frame) != len(rows):
            raise UserError(f"strategy {name!r} returned {len(frame)} rows for {len(rows)} candles")
        return frame if frame.columns.is_unique else _told_apart(frame)

    def _shown(self, pair: str, rows: DataFrame) -> dict[str, DataFrame]:
        if not self._beside:
            return {pair: rows}
        first, last = rows["date"].iloc[0], rows["date"].iloc[-1]
        return {
            each: rows
            if each == pair
            else candles[candles["date"].between(first, last)].reset_index(drop=True)
            for each, candles in self._beside.items()
        }


def _told_apart(frame: DataFrame) -> DataFrame:
    # An older strategy's `buy_tag` becomes a second `enter_tag`: each is looked at by itself.
    counts: Counter[str] = Counter()
    names = []
    for column in map(str, frame.columns):
        counts[column] += 1
        names.append(column if counts[column] == 1 else f"{column} ({counts[column]})")
    return frame.set_axis(names, axis=1)


def _first_changes(then: DataFrame, later: DataFrame) -> dict[str, tuple[int, str, str]]:
    """Return by column the first row whose value changed, and both values as text."""
    found: dict[str, tuple[int, str, str]] = {}
    rows = len(then)
    for column in dict.fromkeys([*then.columns, *later.columns]):
        name = str(column)
        if column not in later.columns:
            found[name] = (0, _text(then[column].iloc[0]), "not there")
        elif column not in then.columns:
            if not _empty(later[column].iloc[:rows]):
                found[name] = (0, "not there", _text(later[column].iloc[0]))
        else:
            changed = _changed(then[column], later[column].iloc[:rows])
            if changed.any():
                row = int(np.argmax(changed))
                found[name] = (row, _text(then[column].iloc[row]), _text(later[column].iloc[row]))
    return found


def _empty(column: Series) -> bool:
    """Whether a column says nothing: a tag that was never given has none."""
    return bool((column.isna() | (column == 0) | (column == "")).all())


def _changed(then: Series, later: Series) -> npt.NDArray[np.bool_]:
    a, b = then.to_numpy(), later.to_numpy()
    missing_a, missing_b = then.isna().to_numpy(), later.isna().to_numpy()
    try:
        x, y = a.astype(np.float64), b.astype(np.float64)
    except (TypeError, ValueError):
        differ = np.array([str(p) != str(q) for p, q in zip(a, b, strict=True)])
        return (missing_a != missing_b) | (differ & ~missing_a & ~missing_b)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(x - y) > _RELATIVE * np.maximum(np.abs(x), np.abs(y))
    # next to infinity every tolerance is infinite
    apart = np.where(np.isinf(x) | np.isinf(y), x != y, apart)
    return (missing_a != missing_b) | (apart & ~missing_a & ~missing_b)


def _text(value: object) -> str:
    if isinstance(value, float | np.floating):
        return "missing" if np.isnan(value) else f"{value:.10g}"
    return "missing" if value is None else str(value)
