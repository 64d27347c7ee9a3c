"""What a run of a strategy is compared by, and what a difference from its backtest is.

Problem: a run on paper and a backtest of the same strategy never agree to the last digit. Somebody has to say
which differences are a price that moved a little, and which are a defect: of the data, of the code, of the
machine's speed. So the words for both are here, with every tolerance in one place.

Not here: how differences are found (`shadow`). Invariant: everything is frozen data; times are market
milliseconds, rates and amounts those of one pair in its own currencies, fees parts of what was turned over.
"""

from dataclasses import dataclass, field, replace
from typing import Final

DATA: Final = "data"
"""The desk saw other candles than the reference has."""
CODE: Final = "code"
"""On the same candles the strategy said something else."""
LATENCY: Final = "latency"
"""It said the same, after the candle it was about."""
FILL: Final = "fill"
"""It said the same in time; the market gave another price, amount or fee than the simulation takes."""
DESK: Final = "desk"
"""The desk cut or refused it: what a desk is for, and not a defect of execution."""
CAUSES: Final = (DATA, CODE, LATENCY, FILL, DESK)
ALARMING: Final = frozenset({DATA, CODE, LATENCY})
NOWHERE: Final = -1
Figure = float | int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """What is not told as a divergence.

    ``fill_bps``: a price so near to the simulation's is slippage, which is added up instead. ``fee_bps``: of
    a fee. ``amount``: the part of an amount or a stake by which it may be less or other. ``exact``: between
    two simulations, where only rounding may differ. Two things happen at the same time if they happen in the
    same candle; ``boundary_ms``: so soon after it closed, a rate still belongs to it. ``memory_ms``: so long
    a strategy that looks at its own trades may act differently because one of them was different.
    """

    fill_bps: float = 25.0
    fee_bps: float = 0.1
    amount: float = 0.01
    exact: float = 1e-9
    boundary_ms: int = 1000
    memory_ms: int = 21_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A simulated trade; ``closed_ms`` is `NOWHERE` where only the end of the candles closed it.

    ``adjusted_ms``: when more of it was bought or a part sold first; `NOWHERE`: never.
    """

    pair: str
    opened_ms: int
    open_rate: float
    amount: float
    enter_tag: str = ""
    closed_ms: int = NOWHERE
    close_rate: float = 0.0
    exit_reason: str = ""
    adjusted_ms: int = NOWHERE

    @property
    def is_closed(self) -> bool:
        """Whether the strategy left it."""
        return self.closed_ms != NOWHERE

    def still_open(self) -> "Trade":
        """Return it as it was before it was closed."""
        return replace(self, closed_ms=NOWHERE, close_rate=0.0, exit_reason="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a strategy wanted at a desk, what the desk made of it and what the venue gave.

    ``side`` buy, sell, or empty where the desk opened no round to ask; ``t_ms`` when it was decided;
    ``due_ms`` the close of the newest candle it rests on (`NOWHERE`: not known); ``why`` freqtrade's tag or
    reason; ``lost`` the cause if not all of it came to be, with the ``objection`` in words; ``is_foreign``:
    the desk left the position of itself. Amounts are of the base currency, ``price`` the average paid.
    """

    pair: str
    side: str
    t_ms: int
    due_ms: int = NOWHERE
    why: str = ""
    wanted: float = 0.0
    granted: float = 0.0
    filled: float = 0.0
    price: float = 0.0
    fee: float = 0.0
    lost: str = ""
    objection: str = ""
    is_foreign: bool = False


@dataclass(frozen=True, slots=True)
class CandleChange:
    """A candle that the desk saw otherwise than the reference has it, in words."""

    pair: str
    t_ms: int
    what: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What a strategy's code raised, or why it could not speak, from a moment on; no pair: about all."""

    pair: str
    t_ms: int
    text: str
    cause: str = CODE
    until_ms: int = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """One difference with its one cause.

    ``follows`` names the divergence without which it would not be, whose cause it has; empty: it stands for
    itself. ``what`` is entry or exit.
    """

    pair: str
    t_ms: int
    cause: str
    what: str
    sentence: str
    figures: dict[str, Figure] = field(default_factory=dict)
    follows: str = ""

    @property
    def name(self) -> str:
        """Tell it from the others of its strategy."""
        return f"{self.pair} {self.t_ms} {self.what} {self.cause}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """All that was found of one strategy, in the order of time; ``slippage_bps`` of each fill compared.

    ``entries`` and ``exits`` are those that run and simulation have in the same candle.
    """

    divergences: tuple[Divergence, ...]
    slippage_bps: tuple[float, ...] = ()
    entries: int = 0
    exits: int = 0

    def count(self, cause: str) -> int:
        """How many stand for themselves."""
        return sum(each.cause == cause and not each.follows for each in self.divergences)

    @property
    def followed(self) -> int:
        """How many only follow."""
        return sum(bool(each.follows) for each in self.divergences)

    @property
    def mean_slippage_bps(self) -> float:
        """What the fills cost against the simulation's prices on average; positive: it was dearer."""
        return sum(self.slippage_bps) / len(self.slippage_bps) if self.slippage_bps else 0.0

    @property
    def is_alarming(self) -> bool:
        """Whether there is one of data, code or latency."""
        return any(self.count(cause) for cause in ALARMING)
