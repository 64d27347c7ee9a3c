"""Start the sandbox exchange: `python -m venues.sandbox --config FILE.json`.

One JSON line on standard output says when and where it is ready. Exit codes: 0 stopped by signal,
2 the configuration or the recorded data cannot be used, or an address or file of it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from venues.recorded import CandleError
from venues.sandbox.config import ConfigError, read_config
from venues.sandbox.process import check, is_alive, make_feed, serve


def main() -> int:
    """Read the configuration and the data, then serve."""
    parser = argparse.ArgumentParser(
        prog="python -m venues.sandbox",
        description="A sandbox exchange: Binance, Bybit v5 or OKX v5 spot, or Binance USD-M contracts.",
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="JSON configuration")
    parser.add_argument(
        "--check", action="store_true", help="only read the configuration and the data, then exit"
    )
    arguments = parser.parse_args()
    try:
        config = read_config(arguments.config)
        feed = make_feed(config.feed, config.seed)
        check(config, feed)
    except (ConfigError, CandleError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    for note in feed.notes:
        sys.stderr.write(f"warning: {note}\n")
    if arguments.check or not is_alive(config.parent_pid):
        return 0
    try:
        asyncio.run(serve(config, feed))
    except OSError as error:  # a file, port or socket path that cannot be used
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
