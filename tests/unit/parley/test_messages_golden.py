"""The bytes of every message: what was written once must be read for ever.

Expected bytes are committed in tests/golden/messages; a changed line there is a broken
contract, an added one is a field appended (see `tests.kit.message_examples`).
"""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.messages import (
    KIND_OF,
    KINDS,
    NAMES,
    TYPES,
    Bar,
    Envelope,
    Fill,
    Vote,
    Wire,
    decode,
    decode_envelope,
    encode,
)
from tests.kit.message_examples import example, golden, messages

every_type = pytest.mark.parametrize("kind", TYPES, ids=lambda t: t.__name__)


def test_golden_bytes_are_there_for_exactly_the_messages_there_are() -> None:
    assert sorted(golden()) == sorted(t.__name__ for t in TYPES)


@every_type
def test_encoding_gives_the_golden_bytes(kind: type[msgspec.Struct]) -> None:
    assert encode(example(kind)).hex() == golden()[kind.__name__][-1]


@every_type
def test_golden_bytes_of_every_age_decode(kind: type[msgspec.Struct]) -> None:
    lines = [bytes.fromhex(line) for line in golden()[kind.__name__]]
    assert decode(lines[-1]) == example(kind)
    for line in lines:
        assert type(decode(line)) is kind


@every_type
def test_an_older_reader_ignores_an_appended_field(kind: type[msgspec.Struct]) -> None:
    newer = [*msgspec.msgpack.decode(encode(example(kind))), "appended", {"and": "more"}]
    assert decode(msgspec.msgpack.encode(newer)) == example(kind)


@every_type
def test_an_example_sets_every_field_to_something_else_than_its_default(kind: type[msgspec.Struct]) -> None:
    made = example(kind)
    for field in msgspec.structs.fields(kind):
        if field.default is not msgspec.NODEFAULT:
            assert getattr(made, field.name) != field.default, field.name


@every_type
def test_messages_are_frozen_arrays_that_skip_unknown_fields(kind: type[msgspec.Struct]) -> None:
    config = kind.__struct_config__
    assert issubclass(kind, Wire)
    assert (config.frozen, config.array_like, config.forbid_unknown_fields) == (True, True, False)


@given(st.sampled_from(TYPES).flatmap(messages))
def test_decoding_gives_back_what_was_encoded(message: Wire) -> None:
    again = decode(encode(message))
    assert again == message
    assert encode(again) == encode(message)


def test_tags_are_unique_and_pinned() -> None:
    assert len(KINDS) == len(set(KINDS.values())) == len(NAMES) == len(KIND_OF) == len(TYPES)
    some = {
        "Bar": 1,
        "Opinion": 20,
        "Proposal": 31,
        "Decision": 42,
        "StateView": 45,
        "Intent": 53,
        "Fill": 61,
    }
    assert {name: KIND_OF[name] for name in some} == some
    for name, lines in golden().items():
        for line in lines:
            assert msgspec.msgpack.decode(bytes.fromhex(line))[0] == KIND_OF[name]


@pytest.mark.parametrize("raw", [[999, "x"], [], ["Bar"], [True], {"tag": 1}, 1, None], ids=str)
def test_what_has_no_known_tag_is_rejected(raw: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(msgspec.msgpack.encode(raw))


def test_a_message_that_ends_too_early_is_rejected() -> None:
    raw = encode(example(Vote))
    with pytest.raises(msgspec.DecodeError):
        decode(raw[:-1])
    with pytest.raises(msgspec.ValidationError):
        decode(msgspec.msgpack.encode(msgspec.msgpack.decode(raw)[:3]))


def test_money_travels_as_text_and_keeps_its_digits() -> None:
    for text in ("0.10", "1E-8", "123456789012345678901234567890.123456789", "-0"):
        raw = encode(msgspec.structs.replace(example(Fill), px=Decimal(text)))
        assert text in msgspec.msgpack.decode(raw)
        again = decode(raw)
        assert isinstance(again, Fill)
        assert str(again.px) == text


def test_a_bar_byte_by_byte() -> None:
    bar = Bar(symbol="A/B", tf_ns=60, t_open=1, open=1.0, high=2.0, low=0.5, close=1.5, volume=0.0)
    parts = (
        "99",  # array of nine
        "01",  # tag
        "a3412f42",  # "A/B"
        "3c",
        "01",
        "cb3ff0000000000000",
        "cb4000000000000000",
        "cb3fe0000000000000",
        "cb3ff8000000000000",
        "cb0000000000000000",
    )
    assert encode(bar).hex() == "".join(parts)


def test_an_envelope_byte_by_byte() -> None:
    envelope = Envelope(
        kind=1, tenant="t", desk=2, epoch=3, seq=4, round=b"r", sender="s", to="d", cause=5, t_event=6,
        t_mono=7, deadline=8, body=b"\x90", t_recv=9,
    )  # fmt: skip
    raw = bytes.fromhex("9f0101a174020304c40172a173a16405060708c4019009")
    assert encode(envelope) == raw
    assert decode_envelope(raw) == envelope
