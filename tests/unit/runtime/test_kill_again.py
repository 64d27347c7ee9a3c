"""A kill goes on until the venue has confirmed what worked, however long its line was cut."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from runtime import kill_file, kill_switch
from runtime.kill_switch import KillSwitch, Orders
from tests.kit.units import make_intent
from venues.port import Acked, Ambiguous


class Cut:
    """A gateway whose line to its venue is cut."""

    def __init__(self) -> None:
        self.left = [make_intent(1), make_intent(2)]
        self.is_cut = True
        self.asked: list[str] = []

    def working(self) -> list[Any]:
        return list(self.left)

    def is_known(self, iid: bytes) -> bool:
        return True

    async def written(self, intents: list[Any]) -> list[Any]:
        return intents

    async def cancel_now(self, cancel: Any) -> Any:
        self.asked.append(cancel.cid)
        if self.is_cut:
            return Ambiguous(cause="cut")
        self.left = [each for each in self.left if each.iid != cancel.iid]
        return Acked(venue_id="1", t_venue=1, event=None, fills=())

    async def cancelable(self, orders: list[Any], patience_s: float) -> list[Any]:
        return orders


@pytest.mark.parametrize("is_released", [False, True])
def test_kill_while_the_line_is_cut_cancels_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_released: bool
) -> None:
    monkeypatch.setattr(kill_switch, "_AGAIN_S", 0.05, raising=False)
    monkeypatch.setattr(kill_switch.sweep, "__kwdefaults__", {"patience_s": 0.2})
    monkeypatch.setattr(kill_switch.KillSwitch._begin, "__defaults__", (0.2,))
    path, orders = tmp_path / "kill.jsonl", Cut()

    async def run() -> None:
        switch = KillSwitch(path, "local", "main", cast(Orders, orders), lambda said: None, lambda link: None)
        kill_file.write(path, "kill", ("firm",), mode="cancel", reason="odd", by="me")
        switch.look()
        swept = await (switch.settled() or asyncio.sleep(0))
        assert swept is not None
        assert len(swept.unconfirmed) == 2
        if is_released:
            kill_file.write(path, "release", ("firm",), reason="fine", by="me")
        orders.is_cut = False
        since = len(orders.asked)
        orders.left.append(make_intent(3))  # an exit, say, that left since then
        for _ in range(40):  # the gateway looks with each beat
            switch.look()
            await asyncio.sleep(0.01)
        asked = {*orders.asked[since:]}
        assert asked == (set() if is_released else {make_intent(1).cid, make_intent(2).cid})

    asyncio.run(run())
