"""Only what a stopped process was late with is evidence of its stop; a silent agent of the desk is none."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.paper_injections import ALTERED, CHANGED, STOPPED
from benchmarks.paper_verdicts import Stop, judge

BESIDE = ("itself", "data", "fill", "code", "all")
WHEN = 1_000_000_000
STOP = Stop(begin_ms=WHEN, end_ms=WHEN + 300_000, seconds=1.0)


def one(cause: str, sentence: str, pair: str = "BTC/USDT") -> dict[str, Any]:
    return {
        "pair": pair, "t_ms": WHEN, "cause": cause, "what": "entry", "sentence": sentence, "follows": "",
    }  # fmt: skip


def shadows(late: str) -> dict[str, Any]:
    """Everything injected as it was meant to be, but for what the stopped strategy was late with."""
    made = {}
    for beside in BESIDE:
        strategies = []
        for name in (STOPPED, CHANGED):
            told = [one("latency", late)] if name == STOPPED else []
            changed = []
            if beside in ("data", "all"):
                changed = [{"pair": ALTERED, "t_ms": WHEN, "what": "close"}]
                told.append(one("data", "another candle", ALTERED))
            if beside in ("fill", "all"):
                told += [one("fill", "the entry paid a fee of 1 %")] * 3
            if beside in ("code", "all") and name == CHANGED:
                told += [one("code", "it says nothing")] * 3
            strategies.append({
                "strategy": name, "changed_candles": changed, "divergences": told, "entries_as_backtest": 0,
                "exits_as_backtest": 0, "mean_slippage_bps": 0.0, "counts": {}, "following": 0,
                "reference_trades": 0,
            })  # fmt: skip
        made[beside] = {"strategies": strategies}
    return made


@pytest.mark.parametrize(
    ("late", "is_of_stop"),
    [
        ("the strategy had something to say and was not heard: it did not answer in time (bids)", True),
        ("the desk refused the entry: meta/main did not answer in time", False),
    ],
)
def test_silent_agent_of_the_desk_is_no_evidence_of_a_stop(late: str, *, is_of_stop: bool) -> None:
    said = judge(shadows(late), [STOP], WHEN)
    assert said["injected_and_attributed"] == {
        "data": True, "latency": is_of_stop, "fill": True, "code": True,
    }  # fmt: skip
    assert said["ok"] is is_of_stop
    assert bool(said["uninjected"]) is not is_of_stop


def test_silent_agent_beside_a_stop_that_was_told_is_listed_and_no_failure() -> None:
    told = shadows("it was not heard: it did not answer in time (bids)")
    told["itself"]["strategies"][0]["divergences"].append(
        one("latency", "the desk refused the entry: meta/main did not answer in time")
    )
    said = judge(told, [STOP], WHEN)
    assert said["ok"]
    (listed,) = said["uninjected"]
    assert "meta/main" in listed["sentence"]
