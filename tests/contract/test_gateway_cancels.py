"""A gateway that dies between a cancel's record and its answer: who asked for it hears that nobody knows.

Found by `make chaos`: a desk that came back waited a minute for the answer, ended, and waited again.
Not here: orders in doubt (`test_gateway_in_doubt`).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
from pathlib import Path

import pytest

from parley.messages import KIND_OF, Ack, Unknown
from runtime.journal import JournalReader
from runtime.resync import RESYNCED, Resync
from tests.contract.test_gateway_in_doubt import hostile, orders
from tests.kit.units import FakeDesk, make_cancel, short_folder, unit

pytestmark = pytest.mark.timeout(120)


def cancels_written(journal: Path) -> int:
    with JournalReader(journal) as reader:
        return len(list(reader.records(kinds=[KIND_OF["CancelIntent"]])))


def test_cancel_without_an_answer_is_unknown_after_a_restart() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with hostile(folder, {}) as (venue, gateway, first):
                (order,) = await orders(venue, 1, resting=True)
                first.send(order)
                await first.hear(Ack)
                venue.process.send_signal(signal.SIGSTOP)
                try:
                    cancel = make_cancel(order)
                    first.send(cancel)
                    config = json.loads((folder / "gateway.json").read_text())
                    for _ in itertools.takewhile(
                        lambda _: not cancels_written(Path(config["journal"])), range(500)
                    ):
                        await asyncio.sleep(0.01)
                    gateway.process.send_signal(signal.SIGKILL)
                    await gateway.process.wait()
                finally:
                    venue.process.send_signal(signal.SIGCONT)
                async with unit("gateway", config, folder) as second:
                    desk = await FakeDesk.connect(second.socket)
                    asked = Resync(epoch=2, orders=(order.iid,), cancels=((order.iid, cancel.n),))
                    desk.say(asked.text())
                    await desk.until(lambda: RESYNCED in desk.controls)
                    assert Unknown(iid=order.iid, cause="gateway_restarted", cancel=True) in desk.messages
                    desk.link.close("the test is over")

    asyncio.run(run())
