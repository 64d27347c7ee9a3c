"""An order goes on after both its own record and its desk's word, in any order of the two."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.errors import ProtocolError
from runtime.held_orders import DROP, RELEASE, HeldOrders, read_word, word_of


@given(
    st.lists(st.sampled_from(["expect", "durable", "forget", RELEASE, DROP, "lost"]), max_size=12),
)
def test_sent_at_most_once_and_only_when_durable_and_released_first(steps: list[str]) -> None:
    held, sent, dropped = HeldOrders(), [], []
    is_expected = is_durable = False
    word = ""
    for step in steps:
        if step == "expect" and not is_expected:
            held.expect(7)
            is_expected, is_durable, word = True, False, ""
            sent.clear()
            dropped.clear()
        elif step == "durable" and is_expected and not is_durable:
            is_durable = True
            held.durable(7, partial(sent.append, 7), partial(dropped.append, 7))
        elif step == "forget" and is_expected and not is_durable:
            held.forget(7)
            is_expected = False
        elif step in (RELEASE, DROP):
            held.say(step, [7])
            word = word or (step if is_expected else "")
        elif step == "lost":
            held.drop_all()
            word = word or (DROP if is_expected else "")
        assert len(sent) == (is_expected and is_durable and word == RELEASE)
        assert len(dropped) == (is_expected and is_durable and word == DROP)
        if sent or dropped:
            is_expected, is_durable, word = False, False, ""
            sent.clear()
            dropped.clear()


def test_number_in_use_is_refused() -> None:
    held = HeldOrders()
    held.expect(1)
    with pytest.raises(ProtocolError, match="1 is in use"):
        held.expect(1)


@pytest.mark.parametrize(
    "body", [b"", b"go:1", b"release", b"release:", b"release:x", b"drop:1,,2", b"\xff:1"]
)
def test_word_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"gateway knows|sequence numbers"):
        read_word(body)


@pytest.mark.parametrize(("word", "n"), list(itertools.product([RELEASE, DROP], [1, 3])))
def test_word_is_read_as_it_was_said(word: str, n: int) -> None:
    assert read_word(word_of(word, range(n)).encode()) == (word, list(range(n)))
