"""The shipper's process: ``python -m runtime.shipper --config FILE.json``.

Not here: what it does (`ship`). Invariant: SIGTERM ends it behind a whole batch.
"""

import argparse
import asyncio
import sys
import threading
from pathlib import Path

from runtime.shipper.config import ShipperConfig, check
from runtime.shipper.ship import Shipper
from runtime.shipper.status import StatusBoard
from runtime.unit import announce, die_with_parent, path_of, read_config, run_unit


async def serve(path: Path, stop: asyncio.Event) -> None:
    """Ship until `stop`.

    Raises
    ------
    UserError
        When the configuration is wrong, or the database refuses.
    """
    config = read_config(path, ShipperConfig)
    if config.parent_pid:
        die_with_parent()
    check(config)
    board = StatusBoard(path_of(config.status), [path_of(each) for each in config.journals])
    ended = threading.Event()
    shipper = Shipper(config, board, ended)
    board.start()
    announce({"ready": True, "unit": "shipper", "status": config.status})
    work = asyncio.ensure_future(asyncio.to_thread(shipper.run))
    waiting = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.set()
        waiting.cancel()
        try:
            await work
        finally:
            await asyncio.to_thread(board.stop)


def main() -> int:
    """Run a shipper; returns the exit code."""
    parser = argparse.ArgumentParser(prog="runtime.shipper", description="Journals to the read model.")
    parser.add_argument("--config", required=True, type=Path, help="JSON file of a ShipperConfig")
    arguments = parser.parse_args()
    return run_unit("shipper", lambda stop: serve(arguments.config, stop))


if __name__ == "__main__":
    sys.exit(main())
