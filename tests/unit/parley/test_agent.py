"""What the host of an agent relies on: parameters, randomness, roles."""

import msgspec
import numpy as np
import pytest

from parley.agent import ROLES, AgentEnv, AgentSpec, Context, params_of, roles_of
from parley.errors import ConfigError
from parley.view import FirmView
from tests.kit.builders import make_instrument, make_state


class Params(msgspec.Struct, frozen=True, kw_only=True):
    fast: int = 12
    threshold: float = 0.5
    name: str = "ema"


def spec(**params: object) -> AgentSpec:
    return AgentSpec(id="strategy/ema", role="strategy", factory="agents.strategy:make", params=params)


def context(*, seq: int = 1, seed: int = 1, agent: str = "strategy/ema") -> Context:
    return Context(now=5, view=FirmView(make_state()), seq=900 + seq, seed=seed, agent=agent, nth=seq)


def test_parameters_left_out_keep_their_defaults() -> None:
    assert params_of(spec(), Params) == Params()
    assert params_of(spec(fast=7), Params) == Params(fast=7)


def test_text_from_a_settings_file_becomes_a_number() -> None:
    assert params_of(spec(fast="7", threshold="0.25"), Params) == Params(fast=7, threshold=0.25)


def test_an_unknown_parameter_names_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"no parameter 'treshold': did you mean 'threshold'\?"):
        params_of(spec(treshold=1), Params)


def test_an_unknown_parameter_like_no_other_lists_all() -> None:
    with pytest.raises(ConfigError, match="known are fast, name, threshold"):
        params_of(spec(zzz=1), Params)


def test_a_parameter_of_the_wrong_type_names_itself() -> None:
    with pytest.raises(ConfigError, match="fast"):
        params_of(spec(fast="seven"), Params)


def test_the_same_message_draws_the_same_numbers() -> None:
    first, again = context().rng.random(8), context().rng.random(8)
    assert np.array_equal(first, again)


def test_another_seed_agent_or_message_draws_other_numbers() -> None:
    draws = {
        tuple(c.rng.random(4).tolist())
        for c in (context(), context(seq=2), context(seed=2), context(agent="strategy/rsi"))
    }
    assert len(draws) == 4


def test_neighbouring_messages_draw_from_streams_that_do_not_overlap() -> None:
    one, two = context(seq=1).rng.random(4_096), context(seq=2).rng.random(4_096)
    assert not set(one.tolist()) & set(two.tolist())


def test_draws_are_pinned() -> None:
    assert context().rng.integers(0, 1_000_000, 4).tolist() == [281_322, 437_084, 641_529, 902_296]


def test_roles_are_complete_and_sorted() -> None:
    agents = (("capital/main", "capital"), ("strategy/a", "strategy"), ("strategy/b", "strategy"))
    env = AgentEnv(
        tenant="default",
        account="main",
        quote="USDT",
        symbols=("BTC/USDT",),
        instruments={"BTC/USDT": make_instrument()},
        tf_ns=60,
        agents=agents,
    )
    roles = roles_of(env)
    assert tuple(roles) == ROLES
    assert roles["strategy"] == ("strategy/a", "strategy/b")
    assert roles["risk"] == ()
