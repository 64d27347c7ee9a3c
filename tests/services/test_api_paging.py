"""Cursors while rows are added: every row that was there is seen once, whatever the size of the pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.services.test_api_stream import Desk, running_desk

STEPS = st.lists(st.tuples(st.integers(1, 7), st.booleans()), min_size=1, max_size=5)
FILTERS = {
    "rounds": ["", "&outcome=accept", "&has_proposals=false"],
    "orders": ["", "&side=buy"],
    "fills": ["", "&side=sell"],
    "equity": ["", "&account=main"],
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with running_desk(tmp_path_factory.mktemp("paging")) as made:
        made.grow(5)
        yield made


def name_of(item: dict[str, object]) -> object:
    return item.get("id", item["version"])


@settings(
    max_examples=12, derandomize=True, database=None, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(st.sampled_from(sorted(FILTERS)), st.integers(0, 2), st.sampled_from(["", "-"]), STEPS)
def test_every_row_is_seen_once_while_rows_are_added(
    desk: Desk, resource: str, nth: int, order: str, steps: list[tuple[int, bool]]
) -> None:
    filters = FILTERS[resource][nth % len(FILTERS[resource])]
    base = f"/api/v1/{resource}?sort={order}created_at{filters}"
    there = [name_of(item) for item in desk.api.items(f"{base}&limit=200")]
    seen: list[object] = []
    cursor: str | None = ""
    at = 0
    while cursor is not None:
        limit, grows = steps[at % len(steps)] if at < 8 else (200, False)
        at += 1
        answer = desk.api.get(f"{base}&limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
        assert answer.status == 200, answer.body
        seen += [name_of(item) for item in answer.body["items"]]
        cursor = answer.body["next_cursor"]
        if grows:
            desk.grow(1, wait=False)

    assert len(seen) == len(set(seen))
    assert [name for name in seen if name in set(there)] == there
    if order:
        assert seen[-len(there) :] == there  # the newest first: what is added comes before
    else:
        assert seen[: len(there)] == there  # what is added comes at the end
