"""The harness itself: it finds every kind of difference, and nothing where there is none."""

from __future__ import annotations

import copy
import json
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backtest.errors import NotSupported
from tests.differential import ours
from tests.differential.campaign import Kind, References, judge, run_cases
from tests.differential.case import Case, from_json, to_json
from tests.differential.compare import differences, is_equal
from tests.differential.coverage import Coverage, options_of
from tests.differential.generator import LEVELS, draw_case
from tests.differential.kept import KeptOutcomes
from tests.differential.outcome import Outcome
from tests.differential.record import ROOT, ROOTS, Record, load, save, sources_of
from tests.differential.shrink import shrink
from tests.differential.worker import Worker, WorkerLost

RICH_LEVEL = 3
RUNNER = "tests.differential.broken_runner"


@pytest.fixture(scope="module")
def rich(references: References) -> tuple[Case, Outcome]:
    """A case whose outcome has trades, orders, locks and a wallet."""
    for number in range(200):
        case = draw_case(7, number, RICH_LEVEL)
        if "protection CooldownPeriod" in options_of(case) and case.option("enable_protections"):
            outcome = references.run(case)
            if outcome.trade_count > 2 and outcome.locks:
                return case, outcome
    pytest.fail("no case with locks among the first 200")


def test_freqtrade_against_freqtrade_has_no_difference(references: References) -> None:
    cases = [draw_case(11, number, level) for level in LEVELS for number in range(5)]

    verdicts = list(run_cases(cases, references.run, references))

    assert [verdict.kind for verdict in verdicts] == [Kind.EQUAL] * len(cases)
    assert sum(verdict.expected.trade_count for verdict in verdicts if verdict.expected) > len(cases)


def test_every_column_altered_once_is_found(rich: tuple[Case, Outcome]) -> None:
    _, outcome = rich
    for name, values in outcome.columns.items():
        for trade in (0, len(values) - 1):
            altered = _with_cell(outcome, name, trade, _altered(values[trade]))

            found = differences(outcome, altered)

            assert found, name
            assert found[0].where.startswith(name), (name, found[0])
            assert found[0].trade == trade


def test_every_order_field_count_lock_and_balance_altered_once_is_found(rich: tuple[Case, Outcome]) -> None:
    _, outcome = rich
    for field in outcome.columns["orders"][0][0]:
        orders = copy.deepcopy(outcome.columns["orders"])
        orders[0][0][field] = _altered(orders[0][0][field])
        changed = replace(outcome, columns={**outcome.columns, "orders": orders})
        assert [item.where for item in differences(outcome, changed)] == [f"orders[0].{field}"]
    for name, value in outcome.counts.items():
        changed = replace(outcome, counts={**outcome.counts, name: _altered(value)})
        assert [item.where for item in differences(outcome, changed)] == [name]
    for field, value in outcome.locks[0].items():
        locks = [{**outcome.locks[0], field: _altered(value)}, *outcome.locks[1:]]
        changed = replace(outcome, locks=locks)
        assert [item.where for item in differences(outcome, changed)] == [f"lock[0].{field}"]
    assert outcome.wallet
    for name, values in outcome.wallet.items():
        changed = replace(outcome, wallet={**outcome.wallet, name: [*values[:-1], _altered(values[-1])]})
        assert differences(outcome, changed), name
    changed = replace(outcome, dtypes={**outcome.dtypes, "amount": "float32"})
    assert [item.where for item in differences(outcome, changed)] == ["dtype of amount"]


def test_missing_and_additional_trades_orders_and_locks_are_found(rich: tuple[Case, Outcome]) -> None:
    _, outcome = rich
    shorter = {name: values[:-1] for name, values in outcome.columns.items()}
    fewer = copy.deepcopy(outcome.columns)
    fewer["orders"][0].pop()

    assert differences(outcome, replace(outcome, columns=shorter))
    assert differences(replace(outcome, columns=shorter), outcome)
    assert differences(outcome, replace(outcome, columns=fewer))
    assert differences(outcome, replace(outcome, locks=outcome.locks[:-1]))
    assert differences(outcome, replace(outcome, error="it stopped"))


@pytest.mark.parametrize(
    ("expected", "found", "equal"),
    [
        (0.1 + 0.2, 0.3, False),
        (float("nan"), float("nan"), True),
        (float("nan"), None, False),
        (0.0, -0.0, False),
        (1, 1.0, True),
        (1, True, False),
        (None, None, True),
        (None, "", False),
        ([1, {"a": 1.0}], [1, {"a": 1.0}], True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
    ],
)
def test_values_are_equal_bit_for_bit(expected: Any, found: Any, equal: bool) -> None:
    assert is_equal(expected, found) is equal


def test_one_bit_less_profit_is_reported_with_case_trade_column_and_candles(
    rich: tuple[Case, Outcome],
) -> None:
    case, outcome = rich
    altered = _with_cell(outcome, "profit_ratio", 1, _altered(outcome.columns["profit_ratio"][1]))

    verdict = judge(case, lambda _: altered, lambda _: outcome)

    assert verdict.kind == Kind.DIFFERENT
    for part in (case.label, "trade 1 profit_ratio", outcome.columns["profit_ratio"][1].hex(), "enter_long"):
        assert part in verdict.text


def test_case_is_the_same_after_json_and_gives_the_same_trades(references: References) -> None:
    for level in LEVELS:
        case = draw_case(3, 1, level)

        again = from_json(to_json(case))

        assert to_json(again) == to_json(case)
        assert differences(references.run(case), references.run(again)) == []


def test_case_follows_from_seed_number_and_level() -> None:
    first, again, other = draw_case(5, 9, 4), draw_case(5, 9, 4), draw_case(5, 10, 4)

    assert to_json(first) == to_json(again)
    assert to_json(first) != to_json(other)


def test_level_uses_no_feature_of_a_later_one() -> None:
    for number in range(60):
        spot, futures, extras = (draw_case(2, number, level) for level in LEVELS[:3])
        assert not spot.is_futures
        assert not spot.hooks
        assert set(futures.hooks) <= {"leverage"}
        assert not futures.detail
        assert "protections" not in futures.attributes
        assert set(extras.hooks) <= {"leverage"}


def test_hang_and_crash_of_the_reference_cost_one_case_each() -> None:
    worker = Worker(runner=RUNNER, case_limit_s=2.0)
    case = draw_case(1, 0, 1)
    try:
        first = worker.run(case).counts["process"]
        for fault in ("hang", "end"):
            with pytest.raises(WorkerLost, match="--seed 1 --level 1 --case 0"):
                worker.run(case.but(note=fault))
        second = worker.run(case.but(note="print")).counts["process"]
    finally:
        worker.close()

    assert first != second
    assert worker.restarts == 2


def test_outcome_that_was_kept_is_the_one_of_the_case_and_of_no_other(
    rich: tuple[Case, Outcome], tmp_path: Path
) -> None:
    case, outcome = rich
    KeptOutcomes(tmp_path).keep(case, outcome)

    again = KeptOutcomes(tmp_path)
    found = again.find(from_json(to_json(case)))

    assert found is not None
    assert not differences(outcome, found)
    assert again.find(case.but(config={**case.config, "fee": 0.123})) is None
    for file in tmp_path.rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:-9])
    assert again.find(case) is None


def test_what_was_kept_is_not_asked_again(rich: tuple[Case, Outcome], tmp_path: Path) -> None:
    case, outcome = rich
    altered = replace(outcome, counts={**outcome.counts, "final_balance": -1.0})
    with References(1, kept=KeptOutcomes(tmp_path)) as asking:
        first = asking.run(case)
        KeptOutcomes(tmp_path).keep(case, altered)
        second = asking.run(case)

    assert asking.known == 1
    assert not differences(outcome, first)
    assert not differences(altered, second)


def test_refused_and_crashed_cases_are_never_equal(references: References) -> None:
    case = draw_case(1, 0, 1)

    def refuse(_: Case) -> Outcome:
        raise NotSupported("custom_exit")

    def crash(_: Case) -> Outcome:
        raise ZeroDivisionError("in the engine")

    refused, crashed = judge(case, refuse, references.run), judge(case, crash, references.run)

    assert (refused.kind, refused.text) == (Kind.REFUSED, "custom_exit")
    assert crashed.kind == Kind.DIFFERENT
    assert "in the engine" in crashed.text


def test_parley_side_does_not_run_beside_freqtrade_optimize(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, ours.FORBIDDEN, types.ModuleType(ours.FORBIDDEN))

    with pytest.raises(RuntimeError, match=ours.FORBIDDEN.replace(".", r"\.")):
        ours.run(draw_case(1, 0, 1))


def test_shrinking_keeps_what_fails_and_drops_the_rest() -> None:
    case = next(draw_case(4, number, 3) for number in range(50) if len(draw_case(4, number, 3).pairs) >= 3)
    pair = case.pairs[1]
    row = case.frames[pair].iloc[len(case.frames[pair]) // 2]

    def fails(tried: Case) -> bool:
        return pair in tried.frames and bool((tried.frames[pair]["date"] == row["date"]).any())

    small = shrink(case, fails, tries=400)

    assert small.pairs == [pair]
    assert fails(small)
    assert len(small.frames[pair]) <= 8
    assert not small.hooks
    assert len(small.attributes) < len(case.attributes)


def test_run_goes_on_where_the_results_file_ends_and_only_for_the_same_code(
    rich: tuple[Case, Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, outcome = rich
    path = tmp_path / "results.json"
    done = Record(case.seed, case.level)
    done.add(judge(case, lambda _: outcome, lambda _: outcome))
    save(path, [done])

    again = load(path, case.seed, case.level)

    assert again.summary() == done.summary()
    assert again.next_case == case.number + 1
    assert load(path, case.seed + 1, case.level).next_case == 0
    monkeypatch.setattr("tests.differential.record.fingerprint", lambda: "other code")
    assert load(path, case.seed, case.level).next_case == 0


def test_results_of_several_seeds_are_added_up(rich: tuple[Case, Outcome], tmp_path: Path) -> None:
    case, outcome = rich
    path = tmp_path / "results.json"
    other = replace(outcome, counts={**outcome.counts, "rejected_signals": -1})
    for seed, found in ((1, outcome), (2, outcome), (3, other)):
        done = Record(seed, case.level)
        done.add(judge(case, lambda _, found=found: found, lambda _: outcome))  # type: ignore[misc]
        save(path, [done])

    total = json.loads(path.read_text())["total"]

    assert (total["cases"], total["equal"], total["different"]) == (3, 2, 1)
    assert total["trades"] == 2 * outcome.trade_count
    assert total["failures"] == [f"{case.label}: different: rejected_signals"]
    # Adding up changes nothing of what is kept.
    assert load(path, 1, case.level).coverage.trades == [outcome.trade_count]


def test_results_are_of_what_a_case_runs_and_of_nothing_else(tmp_path: Path) -> None:
    for name, text in (
        ("engine/__init__.py", ""), ("engine/loop.py", "import other.part\nfrom engine import step"),
        ("engine/step.py", "import json"), ("engine/apart.py", "from engine import loop"),
        ("other/part.py", "def late():\n    from other.far import thing"), ("other/far.py", "thing = 1"),
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    found = sources_of(["engine/loop.py"], tmp_path)

    assert [str(path.relative_to(tmp_path)) for path in found] == [
        "engine/__init__.py", "engine/loop.py", "engine/step.py", "other/far.py", "other/part.py",
    ]  # fmt: skip
    ours_of = {str(path.relative_to(ROOT)) for path in sources_of(ROOTS, ROOT)}
    assert {"parley/kernels/book.py", "backtest/callbacks.py", "freqtrade_bridge/hooks.py"} < ours_of
    assert "backtest/page.py" not in ours_of


def test_rare_exit_reason_is_a_shortcoming(rich: tuple[Case, Outcome]) -> None:
    case, outcome = rich
    seen = Coverage()
    for _ in range(3):
        seen.add(
            case, replace(outcome, columns={**outcome.columns, "exit_reason": ["roi"] * outcome.trade_count})
        )

    assert any(text.startswith("stop_loss: 0.00%") for text in seen.shortcomings())


def _with_cell(outcome: Outcome, name: str, trade: int, value: Any) -> Outcome:
    values = list(outcome.columns[name])
    values[trade] = value
    return replace(outcome, columns={**outcome.columns, name: values})


def _altered(value: Any) -> Any:
    # The smallest change that a value of its kind can have.
    match value:
        case bool():
            return not value
        case float() if value != value:
            return 0.0
        case float():
            return float.fromhex(value.hex()) * (1 + 2**-52) if value else 5e-324
        case int():
            return value + 1
        case str():
            return value + "x"
        case [first, *rest]:
            return [{**first, "cost": _altered(first["cost"])}, *rest]
        case None:
            return "something"
    raise TypeError(f"no alteration for {value!r}")
