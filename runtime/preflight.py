"""A look at a live account before anybody is asked to confirm that it is traded.

Problem: what only the exchange knows (rights of the key, modes, what the account holds) the gateway asks it
before it serves, which is after somebody typed the exchange's name. A person who is asked should know that
the answer means something. So a process of its own, with the key that the command line never reads, asks the
same questions first, and ends.

Run as ``python -m runtime.preflight --config FILE.json``, a gateway's configuration; exit code 2 and one line
that names every reason when the account may not be traded.

Not here: the questions (`real_money`), which the gateway asks again. Invariant: it takes no lock, writes
nothing and sends nothing that changes the account.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path

import msgspec

from parley.errors import UserError
from parley.messages import Balance
from runtime.funding_watch import before_opening, counted
from runtime.gateway_config import GatewayConfig, make_venue, unusable
from runtime.gateway_log import Recovered, recover
from runtime.journal import JournalError
from runtime.lastlook import Counters
from runtime.orphans import refusals
from runtime.real_money import qualify, rounding
from runtime.unit import die_with_parent, path_of, read_config, run_unit
from venues.port import VenueError


async def look(config: GatewayConfig) -> None:
    """Ask whether the account may be traded; with a journal, as the run of it left the account.

    Raises
    ------
    UserError
        When it may not, or the venue does not say.
    """
    path = path_of(config.journal)
    try:
        earlier = recover(path) if path.is_file() else None
    except (JournalError, OSError, msgspec.MsgspecError, ArithmeticError) as error:
        raise UserError(f"the gateway's journal {str(path)!r} cannot be used: {error}") from error
    left = earlier or Recovered(counters=Counters())
    venue = make_venue(config)
    try:
        await venue.connect()
        assets, done = await before_opening(venue)
        now = counted(left.counters, done if earlier else (), left.funding)
        balance = Balance(account=config.account, venue=config.venue.name, assets=assets, t=time.time_ns())
        if config.real_money is not None:
            rounded = rounding(now.contracts)
            await qualify(
                venue, config.real_money, balance, now.positions, is_settled=not left.alive,
                rounded=rounded,
                reasons=await refusals(config, venue, earlier.orders if earlier else None),
            )  # fmt: skip
    except VenueError as error:
        raise unusable(config, error) from error
    finally:
        await venue.close()


def main() -> int:
    """Run the look and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runtime.preflight", description="May this account be traded with real money?"
    )
    parser.add_argument("--config", required=True, type=Path, help="JSON file, see GatewayConfig")
    arguments = parser.parse_args()

    async def run(stop: asyncio.Event) -> None:
        die_with_parent()
        asking = asyncio.ensure_future(look(read_config(arguments.config, GatewayConfig)))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((asking, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not asking.done():
            asking.cancel()
            raise UserError("stopped before the exchange had answered")
        asking.result()

    return run_unit("preflight", run)


if __name__ == "__main__":
    sys.exit(main())
