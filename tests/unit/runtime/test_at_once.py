"""What must not wait for the event loop: frames written at once, and coroutines begun at once."""

import asyncio
import tempfile
from pathlib import Path

import pytest
import uvloop

from parley.messages import Envelope
from runtime.frames import Link, connect, control, listen, pack
from runtime.unit import Begun

COUNT = 400


def numbered(n: int, size: int) -> Envelope:
    return control(f"{n}:" + "x" * size, sender="a", to="b")


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_frames_written_at_once_keep_their_order_when_the_socket_is_full(runner: object) -> None:
    async def play(folder: Path) -> list[int]:
        heard: list[int] = []
        done = asyncio.Event()
        peers: list[Link] = []

        def hear(envelope: Envelope) -> None:
            heard.append(int(envelope.body.partition(b":")[0]))
            if len(heard) == COUNT:
                done.set()

        def meet(link: Link) -> None:
            link.on_envelope = hear
            peers.append(link)

        server = await listen(folder / "s", meet)
        near = await connect(folder / "s", lambda envelope: None)
        for n in range(COUNT):  # nobody reads meanwhile: the socket takes part of one of these
            (near.send if n % 5 == 0 else lambda e: near.send_now(pack(e)))(numbered(n, 5000))
        await asyncio.wait_for(done.wait(), 10)
        near.close("end")
        server.close()
        return heard

    with tempfile.TemporaryDirectory() as name:
        assert runner(play(Path(name))) == list(range(COUNT))  # type: ignore[operator]


def test_a_frame_for_a_peer_that_is_gone_is_dropped_and_the_loss_told() -> None:
    async def play(folder: Path) -> list[str]:
        lost: list[str] = []
        gone = asyncio.Event()
        server = await listen(folder / "s", lambda link: link.close("leave", abort=True))

        def note(why: str) -> None:
            lost.append(why)
            gone.set()

        near = await connect(folder / "s", lambda envelope: None, note)
        await asyncio.wait_for(gone.wait(), 10)
        near.send_now(pack(numbered(1, 10)))
        assert not near.is_open
        server.close()
        return lost

    with tempfile.TemporaryDirectory() as name:
        assert len(uvloop.run(play(Path(name)))) == 1


def test_begun_work_runs_to_its_first_wait_before_it_is_awaited() -> None:
    async def play() -> list[str]:
        said: list[str] = []
        go = asyncio.Event()

        async def work(name: str) -> str:
            said.append(f"{name} starts")
            async with asyncio.timeout(5):  # needs the task it runs in
                await go.wait()
                await asyncio.sleep(0)
            return name

        async def ready() -> str:
            return "at once"

        async def failing() -> str:
            await asyncio.sleep(0)
            raise ValueError("no")

        begun = Begun(work("slow"))
        said.append("after")
        asyncio.get_running_loop().call_soon(go.set)
        said.append(await begun)
        said.append(await Begun(ready()))
        with pytest.raises(ValueError, match="no"):
            await Begun(failing())
        return said

    assert uvloop.run(play()) == ["slow starts", "after", "slow", "at once"]


def test_cancelled_begun_work_sees_the_cancellation() -> None:
    async def play() -> list[str]:
        said: list[str] = []

        async def work() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                said.append("cancelled")
                raise

        async def waits() -> None:
            await Begun(work())

        task = asyncio.ensure_future(waits())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return said

    assert uvloop.run(play()) == ["cancelled"]
