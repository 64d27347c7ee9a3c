"""Hostility to requests: what a configuration may ask for, and that the seed decides who meets what.

Not here: streams (`test_sandbox_hostile_events`), a venue that is shut (`test_sandbox_door`).
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from venues.sandbox.config import ConfigError, HostilityConfig, parse_config
from venues.sandbox.hostility.lists import Lists
from venues.sandbox.hostility.notes import Notes
from venues.sandbox.hostility.requests import Failed, RequestFates, Throttled, Unanswered
from venues.sandbox.hostility.settings import BanConfig, CancelShares, EventShares, MaintenanceConfig
from venues.sandbox.refusals import Denied
from venues.sandbox.truth import TruthLog

MINIMAL: dict[str, object] = {"feed": {"kind": "synthetic"}, "truth": "t.jsonl"}
MAY_9 = 1_620_518_400_000
DOCS = (Path(__file__).resolve().parents[3] / "docs" / "venues.md").read_text(encoding="utf-8")


class Owner:
    name = "first"


def requests_of(config: HostilityConfig, folder: Path, seed: int) -> RequestFates:
    return RequestFates(config, seed, Notes(TruthLog(folder / f"{seed}.jsonl"), lambda: 0))


def seen(ask: Any) -> str:
    """Ask for something and say what its client saw."""
    try:
        ask()
    except Unanswered:
        return "nothing"
    except (Failed, Throttled) as error:
        return type(error).__name__
    return "answer"


def fates(config: HostilityConfig, folder: Path, seed: int = 7) -> list[str]:
    """Send a hundred orders and say of each what its client saw, and whether it was executed."""
    requests, owner = requests_of(config, folder, seed), owner_of()
    found = []
    for n in range(100):
        executed: list[str] = []

        def execute(done: list[str] = executed) -> None:
            done.append("order")

        def ask(number: int = n, act: Any = execute) -> object:
            return requests.meet(owner, f"c{number}", act, lambda: None)

        found.append(f"{seen(ask)} {len(executed)}")
    return found


def cancels(config: HostilityConfig, folder: Path, seed: int = 7) -> list[list[str]]:
    """Cancel a hundred orders, each again until it is answered, and say what was seen each time."""
    requests, owner = requests_of(config, folder, seed), owner_of()
    found = []
    for n in range(100):
        times: list[str] = []
        while (not times or not times[-1].startswith("answer")) and len(times) < 20:
            executed: list[str] = []

            def ask(number: int = n, done: list[str] = executed) -> object:
                return requests.meet_cancel(
                    owner, lambda: f"c{number}", lambda: done.append("cancel"), lambda: None
                )

            times.append(f"{seen(ask)} {len(executed)}")
        found.append(times)
    return found


def owner_of() -> Any:
    return Owner()


def test_nothing_is_hostile_by_default(tmp_path: Path) -> None:
    assert parse_config(MINIMAL).hostility == HostilityConfig()
    assert set(fates(HostilityConfig(), tmp_path)) == {"answer 1"}
    assert cancels(HostilityConfig(), tmp_path) == [["answer 1"]] * 100
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


@pytest.mark.parametrize(
    ("switch", "met"),
    [("lost", "nothing 1"), ("failed", "Failed 1"), ("dropped", "nothing 0"), ("throttled", "Throttled 0")],
)
def test_a_cancel_meets_its_own_fate_each_time_and_gets_through_when_it_is_repeated(
    tmp_path: Path, switch: str, met: str
) -> None:
    share: dict[str, Any] = {switch: 0.4}
    found = cancels(HostilityConfig(cancels=CancelShares(**share)), tmp_path)

    met_at_first = [times for times in found if times[0] == met]
    assert 20 < len(met_at_first) < 60
    assert max(len(times) for times in found) > 2  # a second attempt has a chance of its own
    assert {one for times in found for one in times} == {"answer 1", met}
    lines = [json.loads(line) for line in (tmp_path / "7.jsonl").read_text().splitlines()]
    assert {line["what"] for line in lines} == {f"cancel_{switch}"}
    assert [(line["client_order_id"], line["attempt"]) for line in lines] == [
        (f"c{n}", at) for n, times in enumerate(found) for at, one in enumerate(times, 1) if one == met
    ]
    assert set(fates(HostilityConfig(cancels=CancelShares(**share)), tmp_path)) == {"answer 1"}


def test_the_first_requests_meet_the_fates_that_were_listed_and_the_others_their_own(tmp_path: Path) -> None:
    own = fates(HostilityConfig(lost=0.4), tmp_path)
    config = HostilityConfig(
        lost=0.4, first=("dropped", "failed", "throttled"), first_cancels=("failed", "lost")
    )

    assert fates(config, tmp_path) == ["nothing 0", "Failed 1", "Throttled 0", *own[3:]]
    assert cancels(config, tmp_path)[:2] == [["Failed 1", "nothing 1", "answer 1"], ["answer 1"]]
    asked = {**MINIMAL, "hostility": {"first": ["late"], "first_cancels": ["lost", "lost"]}}
    read = parse_config(asked).hostility
    assert (read.first, read.first_cancels) == (("late",), ("lost", "lost"))
    with pytest.raises(ConfigError, match=r"hostility\.first: expected a list of lost, .*got \['gone'\]"):
        parse_config({**MINIMAL, "hostility": {"first": ["gone"]}})


@pytest.mark.parametrize(("switch", "heard"), [("lost", "nothing"), ("failed", "refused")])
def test_a_refusal_gets_lost_like_any_other_answer(tmp_path: Path, switch: str, heard: str) -> None:
    share: dict[str, Any] = {switch: 1.0}
    requests = requests_of(HostilityConfig(cancels=CancelShares(**share), **share), tmp_path, 7)

    def refuse() -> object:
        raise Denied(-2010, "no")

    def told(ask: Any) -> str:
        try:
            return seen(ask)
        except Denied:
            return "refused"

    assert told(lambda: requests.meet(owner_of(), "c", refuse, lambda: None)) == heard
    assert told(lambda: requests.meet_cancel(owner_of(), lambda: "c", refuse, lambda: None)) == heard


@pytest.mark.parametrize("cancel", [False, True])
def test_what_is_late_is_carried_out_after_its_client_gave_up_if_it_is_still_fresh(
    tmp_path: Path, cancel: bool
) -> None:
    async def run() -> list[str]:
        requests = requests_of(
            HostilityConfig(late=1.0, late_ms=5, cancels=CancelShares(late=1.0)), tmp_path, 7
        )
        done: list[str] = []

        def stale() -> None:
            raise Denied(-1021, "too old")

        for name, check in (("fresh", lambda: None), ("stale", stale)):

            def ask(name: str = name, check: Any = check) -> object:
                if cancel:
                    return requests.meet_cancel(owner_of(), lambda: name, lambda: done.append(name), check)
                return requests.meet(owner_of(), name, lambda: done.append(name), check)

            assert seen(ask) == "nothing"
        assert done == []
        await asyncio.sleep(0.05)
        return done

    assert asyncio.run(run()) == ["fresh"]
    lines = [json.loads(line)["what"] for line in (tmp_path / "7.jsonl").read_text().splitlines()]
    start = "cancel_late" if cancel else "late"
    assert lines == [start, start, f"{start}_refused:-1021"]


def test_same_seed_meets_the_same_orders_and_another_others(tmp_path: Path) -> None:
    config = HostilityConfig(lost=0.2, dropped=0.2, failed=0.2, cancels=CancelShares(lost=0.2, dropped=0.2))
    assert fates(config, tmp_path) == fates(config, tmp_path)
    assert fates(config, tmp_path) != fates(config, tmp_path, seed=8)
    assert cancels(config, tmp_path) == cancels(config, tmp_path)
    assert cancels(config, tmp_path) != cancels(config, tmp_path, seed=8)


def test_lists_answer_as_many_rows_as_asked_for_unless_that_is_limited() -> None:
    assert [Lists(0, 0).rows(1000), Lists(0, 3).rows(1000), Lists(0, 3).rows(2)] == [1000, 3, 2]


def test_switches_are_read_by_their_names() -> None:
    asked = {
        "private": {"swapped": 0.25},
        "ban": {"after": 3},
        "maintenance": {"at": "2021-05-09", "ms": 500},
        "clock_skew_ms": -700,
        "client_ids": "idempotent",
        "delistings": {"LTC/USDT": MAY_9},
    }
    assert parse_config(MINIMAL | {"hostility": asked}).hostility == HostilityConfig(
        private=EventShares(swapped=0.25),
        ban=BanConfig(after=3),
        maintenance=MaintenanceConfig(ms=500, at=MAY_9),
        clock_skew_ms=-700,
        client_ids="idempotent",
        delistings={"LTC/USDT": MAY_9},
    )


@pytest.mark.parametrize(
    ("hostility", "text"),
    [
        ({"lots": 0.1}, "did you mean 'lost'"),
        ({"lost": 1.5}, "hostility.lost: expected a share from 0 to 1, got 1.5"),
        ({"lost": True}, "got True"),
        ({"lost": 0.6, "late": 0.6}, "at most 1 together"),
        ({"past_window": 1}, "true or false"),
        ({"late_ms": 0}, "late_ms"),
        ({"cancels": {"lates": 0.1}}, "hostility.cancels has no key 'lates'; did you mean 'late'"),
        ({"private": {"lost": 0.6, "swapped": 0.6}}, "hostility.private: expected shares of at most 1"),
        ({"public": 1}, "hostility.public: expected a JSON object, got 1"),
        ({"client_ids": "often"}, "expected one of none, open, forever, idempotent, got 'often'"),
        ({"maintenance": {"ms": 5}}, "expected either at or after_ms"),
        ({"maintenance": {"after_ms": 5}}, "ms: expected a whole number from 1"),
        ({"maintenance": {"after_ms": 5, "ms": 9, "every_ms": 9}}, "expected every_ms above ms, got 9 and 9"),
        ({"maintenance": {"at": MAY_9, "ms": 9, "every_ms": 99}}, "beside after_ms only"),
        ({"delistings": {"LTC/USDT": "soon"}}, "hostility.delistings.LTC/USDT: expected a date"),
        ({"clock_skew_ms": 0.5}, "clock_skew_ms: expected a whole number"),
    ],
)
def test_mistake_in_the_switches_is_named(hostility: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text.replace("(", r"\(")):
        parse_config(MINIMAL | {"hostility": hostility})


def test_the_documentation_names_every_switch_and_its_example_is_one() -> None:
    example = re.search(r"```json\n(.*?)```", DOCS, re.DOTALL)
    assert example is not None
    config = parse_config(json.loads(example[1]))
    assert config.hostility.maintenance == MaintenanceConfig(ms=5000, after_ms=30_000)
    table = DOCS[DOCS.index("| switch |") :]
    for each in fields(HostilityConfig):
        assert f"`{each.name}`" in table, each.name
