"""What stands in for freqtrade's trade and its custom data, beside freqtrade's own classes."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from freqtrade.enums import TradingMode
from freqtrade.persistence import CustomDataWrapper, LocalTrade, Order

from backtest.errors import NotSupported
from backtest.order_view import OrderView
from backtest.shown import Notes, Shown
from backtest.trade_view import TradeView

VALUES: tuple[Callable[[], Any], ...] = (
    lambda: 1, lambda: 0.1, lambda: "x", lambda: True, lambda: None, lambda: [1, (2,)], lambda: {3: "c"},
    lambda: np.float64(0.5), lambda: np.int64(3), lambda: np.bool_(True), lambda: {1, 2}, datetime.now,
    lambda: float("nan"), lambda: "1", lambda: "true", lambda: {(1, 2): 3},
)  # fmt: skip
KEYS: tuple[Any, ...] = ("a", "A", "straße", "STRASSE", None, 7)


class Tables:
    """As much as a view needs to say what it is."""

    trade_floats = trade_ints = order_floats = order_ints = ()

    def __init__(self) -> None:
        self.shown = Shown("spot")
        self.shown.as_of(LocalTrade, Order, TradingMode.SPOT)


def outcome(act: Callable[[], Any]) -> tuple[str, str]:
    try:
        found = act()
    except Exception as error:  # noqa: BLE001 - whatever freqtrade raises
        return type(error).__name__, str(error)
    return type(found).__name__, repr(found)


@pytest.fixture
def wrapper(monkeypatch: pytest.MonkeyPatch) -> type[CustomDataWrapper]:
    monkeypatch.setattr(CustomDataWrapper, "use_db", False)
    monkeypatch.setattr(CustomDataWrapper, "custom_data", [])
    return CustomDataWrapper


@pytest.mark.parametrize("seed", range(20))
def test_notes_are_freqtrades_custom_data(seed: int, wrapper: type[CustomDataWrapper]) -> None:
    dice, notes = random.Random(seed), Notes()

    def theirs(trade: int, key: str, default: Any) -> Any:
        found = wrapper.get_custom_data(trade_id=trade, key=key)
        return found[0].value if found else default

    for _ in range(80):
        trade, key, value = dice.randrange(2), dice.choice(KEYS), dice.choice(VALUES)()
        match dice.randrange(8):
            case 0:
                assert outcome(lambda: notes.delete(trade, key)) == outcome(  # noqa: B023 - called here
                    lambda: wrapper.delete_custom_data(trade, key)  # noqa: B023
                )
            case 1 | 2 | 3:
                assert outcome(lambda: notes.set(trade, key, value)) == outcome(  # noqa: B023
                    lambda: wrapper.set_custom_data(trade, key, value)  # noqa: B023
                )
            case _:
                assert outcome(lambda: notes.get(trade, key, 5)) == outcome(  # noqa: B023
                    lambda: theirs(trade, key, 5)  # noqa: B023
                )


@pytest.mark.parametrize(("view", "kind"), [(TradeView, LocalTrade), (OrderView, Order)])
def test_what_freqtrade_has_and_a_view_lacks_is_refused(view: Any, kind: type) -> None:
    def seen() -> Any:
        tables: Any = Tables()
        return TradeView(tables, 0) if view is TradeView else OrderView(TradeView(tables, 0), 0)

    assert isinstance(seen(), kind)
    # From freqtrade's class, so that a name of a later freqtrade is asked for too.
    lacking = {name for name in dir(kind) if name not in dir(view)}
    lacking -= {"get_trades_proxy", "get_open_trades", "get_open_trade_count", "trade"}
    assert len(lacking) > 10
    for name in lacking:
        with pytest.raises(NotSupported, match=name):
            getattr(seen(), name)
    with pytest.raises(AttributeError, match=f"'{kind.__name__}' object has no attribute 'mine'"):
        seen().mine  # noqa: B018 - reading is what fails
    for take in (copy.copy, copy.deepcopy, pickle.dumps, vars):
        with pytest.raises(NotSupported):
            take(seen())


def test_a_refusal_the_strategy_catches_is_known_afterwards() -> None:
    tables: Any = Tables()

    with suppress(Exception):
        TradeView(tables, 0).to_json()

    assert tables.shown.refused == "not simulated: a callback asks for to_json of a trade"


@pytest.mark.parametrize(
    ("answers", "refused"),
    [
        ((5, 3.5, 5), False), ((2, 2.0), True), ((np.float64(2),), True), ((True,), True),
        ((80, 70, 50.0), False), ((0.5, 1.0), False), ((1, 0.5), True),
    ],
)  # fmt: skip
def test_a_leverage_is_one_kind_of_number(answers: tuple[Any, ...], *, refused: bool) -> None:
    shown = Shown("futures")

    with suppress(NotSupported):
        for answer in answers:
            shown.note_leverage(answer, 50.0)

    assert (shown.refused is not None) == refused
