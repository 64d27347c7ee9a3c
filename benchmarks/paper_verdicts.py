"""What shadows of an injected run have to say: every injection its cause, and nothing else.

Not here: running (`paper_hour`), the injections (`paper_injections`).

Invariant: a verdict is true only of evidence that is there. A divergence nobody injected stands in the result
with its sentence: of data or code it is a failure; of latency it is the machine, where others computed too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from benchmarks.paper_injections import ALTERED, CANDLE_MS, CHANGED, STOPPED

Told = Mapping[str, Any]
ALARMING: Final = ("data", "code", "latency")
EXAMPLES: Final = 3
_FEE: Final = "paid a fee of"
_OF_THE_DESK: Final = "did not answer in time"  # who was silent is named before; a strategy's stage behind


@dataclass(frozen=True, slots=True)
class Stop:
    """A strategy's process stood still between these market moments, ms; ``seconds`` by the clock."""

    begin_ms: int
    end_ms: int
    seconds: float

    def explains(self, t_ms: int) -> bool:
        """Whether what happened then may be late because of it: what it had to work off afterwards counts."""
        return self.begin_ms - CANDLE_MS <= t_ms <= self.end_ms + 2 * CANDLE_MS


def of_cause(told: Told, cause: str) -> list[Told]:
    """The divergences of a cause that stand for themselves."""
    return [each for each in told["divergences"] if each["cause"] == cause and not each["follows"]]


def judge(shadows: Mapping[str, Told], stops: Sequence[Stop], altered_ms: int) -> dict[str, Any]:
    """Judge the shadows of a run: beside itself, beside each thing as it was meant, beside all of them.

    shadows: by ``itself``, ``data``, ``fill``, ``code`` and ``all``; what `parley shadow --json` said.
    """
    injected = dict.fromkeys(("data", "latency", "fill", "code"), False)
    uninjected: list[dict[str, Any]] = []
    for beside, told in shadows.items():
        for strategy in told["strategies"]:
            uninjected += _uninjected(beside, strategy, stops, altered_ms)
    names = {each["strategy"]: each for each in shadows["all"]["strategies"]}
    itself = {each["strategy"]: each for each in shadows["itself"]["strategies"]}
    injected["data"] = _has_data(shadows["data"]) and _has_data(shadows["all"])
    late = of_cause(itself[STOPPED], "latency")
    injected["latency"] = bool(stops) and all(any(_is_of_stop(each, stop) for each in late) for stop in stops)
    injected["fill"] = all(
        _has_fee(each)
        for told in (shadows["fill"], shadows["all"])
        for each in told["strategies"]
        # what a changed file does otherwise is code, whatever it paid
        if told is shadows["fill"] or each["strategy"] != CHANGED
    )
    injected["code"] = all(
        len(of_cause(each, "code")) >= 3
        for each in (names[CHANGED], *(s for s in shadows["code"]["strategies"] if s["strategy"] == CHANGED))
    )
    return {
        "injected_and_attributed": injected,
        "uninjected": [
            each for each in uninjected if each["cause"] != "latency" or each["beside"] == "itself"
        ],
        "ok": all(injected.values()) and all(each["cause"] == "latency" for each in uninjected),
        "shadows": {
            beside: [_figures(each) for each in told["strategies"]] for beside, told in shadows.items()
        },
        "stops": [asdict(stop) for stop in stops],
    }


def _uninjected(beside: str, strategy: Told, stops: Sequence[Stop], altered_ms: int) -> list[dict[str, Any]]:
    """Name what is alarming and was not injected, or not into this."""
    found = []
    for cause in ALARMING:
        for each in of_cause(strategy, cause):
            if cause == "data":
                is_known = (
                    beside in ("data", "all") and each["pair"] == ALTERED and each["t_ms"] >= altered_ms
                )
            elif cause == "latency":
                is_known = strategy["strategy"] == STOPPED and any(_is_of_stop(each, s) for s in stops)
            else:
                is_known = beside in ("code", "all") and strategy["strategy"] == CHANGED
            if not is_known:
                told = {name: each[name] for name in ("pair", "t_ms", "cause", "what", "sentence")}
                found.append({"beside": beside, "strategy": strategy["strategy"], **told})
    if beside not in ("data", "all") and strategy["changed_candles"]:
        changed = strategy["changed_candles"][:EXAMPLES]
        found.append(
            {"beside": beside, "strategy": strategy["strategy"], "cause": "data", "changed": changed}
        )
    return found


def _is_of_stop(late: Told, stop: Stop) -> bool:
    """Whether a stop explains a latency; that another agent was silent is no evidence of it."""
    return stop.explains(late["t_ms"]) and not late["sentence"].endswith(_OF_THE_DESK)


def _has_data(told: Told) -> bool:
    changed = {(each["pair"]) for strategy in told["strategies"] for each in strategy["changed_candles"]}
    return changed == {ALTERED} and any(of_cause(each, "data") for each in told["strategies"])


def _has_fee(strategy: Told) -> bool:
    return sum(_FEE in each["sentence"] for each in of_cause(strategy, "fill")) >= 3


def _figures(strategy: Told) -> dict[str, Any]:
    examples = {}
    for cause in ("data", "code", "latency", "fill", "desk"):
        of_it = of_cause(strategy, cause)
        examples[cause] = [f"{each['pair']}: {each['sentence']}" for each in of_it[:EXAMPLES]]
    names = (
        "strategy", "entries_as_backtest", "exits_as_backtest", "mean_slippage_bps", "counts", "following",
        "reference_trades",
    )  # fmt: skip
    return {name: strategy[name] for name in names} | {
        "changed_candles": len(strategy["changed_candles"]),
        "examples": {cause: told for cause, told in examples.items() if told},
    }
