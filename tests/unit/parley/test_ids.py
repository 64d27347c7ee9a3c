"""Ids are constants of what they name: those pinned here may never change, or a restart trades twice."""

import hmac
from hashlib import blake2s

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley import ids

ROUND = ids.round_id("default", 0, "bar/BTC/USDT/1m", 42, 1)
PID = ids.proposal_id(ROUND, "strategy/ema")
IID = ids.intent_id(ROUND, PID, 0, 0)
KEY = ids.account_key("default", "main")


def test_ids_are_pinned() -> None:
    assert ROUND.hex() == "2bcf96273d2088ac7b9a3edebfeeb8c4"
    assert PID.hex() == "6f83df8f4d70e95229ea35c3073e1c5c"
    assert ids.proposal_id(ROUND, "strategy/ema", 1).hex() == "243219508588743cd1c7c243233324fe"
    opinion = ids.opinion_id("signal/trend", "BTC/USDT", 1_767_225_600_000_000_000)
    assert opinion.hex() == "9a6ee21164a42f303e2f1c38fe22b14b"
    assert IID.hex() == "f189476469b7c0087dd05a2ece3598b0"
    assert KEY.hex() == "663c9dce809af2037682d3c7758e74fee37bc104e5dc9f62cc820d3a014b5315"
    assert ids.tenant_tag("default") == "b76g3"
    assert ids.client_order_id(KEY, ids.tenant_tag("default"), IID) == "b76g3dk72uuw67piexeekiyu7ruawgi"
    assert ids.show_round(ROUND) == "rnd_fphzmjz5eceky642h3pl73vyyq"


def test_a_round_id_is_the_hash_of_its_length_prefixed_parts() -> None:
    whole = b"".join(
        len(part).to_bytes(4, "big") + part
        for part in (b"round", b"default", b"0", b"bar/BTC/USDT/1m", b"42", b"1")
    )
    assert hmac.compare_digest(ROUND, blake2s(whole, digest_size=16).digest())


def test_any_other_part_gives_another_id() -> None:
    rounds = {
        ROUND,
        ids.round_id("other", 0, "bar/BTC/USDT/1m", 42, 1),
        ids.round_id("default", 1, "bar/BTC/USDT/1m", 42, 1),
        ids.round_id("default", 0, "bar/ETH/USDT/1m", 42, 1),
        ids.round_id("default", 0, "bar/BTC/USDT/1m", 43, 1),
        ids.round_id("default", 0, "bar/BTC/USDT/1m", 42, 2),
    }
    assert len(rounds) == 6
    assert len({ids.intent_id(ROUND, PID, leg, child) for leg in range(3) for child in range(3)}) == 9


def test_parts_cannot_run_into_each_other() -> None:
    assert ids.round_id("a", 1, "b", 1, 1) != ids.round_id("a1", 1, "b", 1, 1)
    assert ids.opinion_id("ab", "c", 1) != ids.opinion_id("a", "bc", 1)


@given(st.binary(min_size=16, max_size=16))
def test_a_round_is_read_as_it_is_shown(raw: bytes) -> None:
    shown = ids.show_round(raw)
    assert len(shown) == 30
    assert ids.parse_round(shown) == raw


@pytest.mark.parametrize("text", ["", "rnd_", "rnd_abc", "rnd_" + "1" * 26, "x" * 30, "rnd_ä"])
def test_what_is_no_round_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="round id"):
        ids.parse_round(text)


@given(st.binary(min_size=16, max_size=16), st.text(min_size=1))
def test_a_client_order_id_fits_every_venue(iid: bytes, tenant: str) -> None:
    cid = ids.client_order_id(ids.account_key(tenant, "main"), ids.tenant_tag(tenant), iid)
    assert len(cid) == 31
    assert cid.isascii()
    assert cid.isalnum()
    assert cid == cid.lower()
    assert cid.startswith(ids.tenant_tag(tenant))


def test_the_same_intent_has_another_client_order_id_in_another_account() -> None:
    other = ids.account_key("default", "second")
    tag = ids.tenant_tag("default")
    assert ids.client_order_id(KEY, tag, IID) != ids.client_order_id(other, tag, IID)
