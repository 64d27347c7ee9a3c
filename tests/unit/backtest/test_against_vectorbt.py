"""The comparison with vectorbt says no when trades differ; a plain loop stands for vectorbt here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import simulated_markets as made
from benchmarks.against_vectorbt import (
    FEE,
    Arrays,
    arrays_of,
    crossing_signals,
    differences,
    has_vectorbt,
)
from tests.differential import ours
from tests.differential.case import Case
from tests.differential.outcome import Outcome


def plainly(arrays: Arrays) -> Arrays:
    """Buy and sell at the price of the signal's row, one position at a time."""
    found: list[tuple[float, ...]] = []
    for col in range(arrays["close"].shape[1]):
        entry = -1
        for row, price in enumerate(arrays["price"][:, col].tolist()):
            if entry < 0 and arrays["entries"][row, col]:
                entry = row
            elif entry >= 0 and arrays["exits"][row, col]:
                size, paid = arrays["size"][entry, col], arrays["price"][entry, col]
                pnl = size * (price * (1 - FEE) - paid * (1 + FEE))
                found.append((col, entry, row, size, pnl, 1))
                entry = -1
        if entry >= 0:
            found.append((col, entry, row, 0.0, 0.0, 0))
    names = ("col", "entry_idx", "exit_idx", "size", "pnl", "status")
    return dict(zip(names, np.array(found).T, strict=True))


@pytest.fixture(scope="module")
def played() -> tuple[Case, Outcome, Arrays]:
    case = crossing_signals(made.Shape(pairs=3, candles=600, entries=0.1, exits=0.1))
    # Not `ours.run`: it refuses a process in which some other test has loaded freqtrade's simulator.
    return case, ours.outcome_of(case, ours.prepare(case)(), 0.0), plainly(arrays_of(case))


def test_the_same_trades_are_the_same(played: tuple[Case, Outcome, Arrays]) -> None:
    case, found, theirs = played

    assert found.trade_count > 60
    assert differences(case, found.columns, theirs) == []


@pytest.mark.parametrize("field", ["entry_idx", "exit_idx", "size", "pnl"])
def test_another_number_is_named(played: tuple[Case, Outcome, Arrays], field: str) -> None:
    case, found, theirs = played
    changed = {name: values.copy() for name, values in theirs.items()}
    changed[field][5] += 1e-6 if field in ("size", "pnl") else 1

    assert [line.partition(":")[0] for line in differences(case, found.columns, changed)] == [field]


def test_a_trade_too_few_is_named(played: tuple[Case, Outcome, Arrays]) -> None:
    case, found, theirs = played

    assert "closed" in differences(case, found.columns, {name: each[1:] for name, each in theirs.items()})[0]


def test_an_interpreter_without_vectorbt_has_none(tmp_path: Path) -> None:
    assert not has_vectorbt(tmp_path / "python")
