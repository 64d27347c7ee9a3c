"""The sandbox's hostility: what a configuration may ask for, and that the seed decides who meets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from venues.sandbox.config import ConfigError, HostilityConfig, parse_config
from venues.sandbox.hostility import Failed, Hostility, Throttled, Unanswered
from venues.sandbox.truth import TruthLog

MINIMAL: dict[str, object] = {"feed": {"kind": "synthetic"}, "truth": "t.jsonl"}


class Owner:
    name = "first"


def fates(config: HostilityConfig, folder: Path, seed: int = 7) -> list[str]:
    """Send a hundred orders and say of each what its client saw, and whether it was executed."""
    hostility = Hostility(config, seed, TruthLog(folder / f"{seed}.jsonl"), lambda: 0)
    owner: Any = Owner()
    found = []
    for n in range(100):
        executed: list[str] = []

        def execute(done: list[str] = executed) -> None:
            done.append("order")

        try:
            hostility.meet(owner, f"c{n}", execute, lambda: None)
            seen = "answer"
        except Unanswered:
            seen = "nothing"
        except (Failed, Throttled) as error:
            seen = type(error).__name__
        found.append(f"{seen} {len(executed)}")
    return found


def test_nothing_is_hostile_by_default(tmp_path: Path) -> None:
    assert parse_config(MINIMAL).hostility == HostilityConfig()
    assert set(fates(HostilityConfig(), tmp_path)) == {"answer 1"}
    assert (tmp_path / "7.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("switch", "met"),
    [("lost", "nothing 1"), ("failed", "Failed 1"), ("dropped", "nothing 0"), ("throttled", "Throttled 0")],
)
def test_each_switch_does_one_thing_to_its_share_and_the_truth_log_says_to_whom(
    tmp_path: Path, switch: str, met: str
) -> None:
    share: dict[str, Any] = {switch: 0.4}
    found = fates(HostilityConfig(**share), tmp_path)

    assert set(found) == {"answer 1", met}
    assert 20 < found.count(met) < 60
    assert len((tmp_path / "7.jsonl").read_text().splitlines()) == found.count(met)


def test_same_seed_meets_the_same_orders_and_another_others(tmp_path: Path) -> None:
    config = HostilityConfig(lost=0.2, dropped=0.2, failed=0.2)
    assert fates(config, tmp_path) == fates(config, tmp_path)
    assert fates(config, tmp_path) != fates(config, tmp_path, seed=8)


@pytest.mark.parametrize(
    ("hostility", "text"),
    [
        ({"lots": 0.1}, "did you mean 'lost'"),
        ({"lost": 1.5}, "hostility.lost: expected a share from 0 to 1, got 1.5"),
        ({"lost": True}, "got True"),
        ({"lost": 0.6, "late": 0.6}, "at most 1 together"),
        ({"past_window": 1}, "true or false"),
        ({"late_ms": 0}, "late_ms"),
    ],
)
def test_mistake_in_the_switches_is_named(hostility: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text.replace("(", r"\(")):
        parse_config(MINIMAL | {"hostility": hostility})
