"""The API's process: ``python -m api --config FILE.json``.

Not here: the application (`app`), the server (`server`).

Invariant: it says that it is ready only when it answers; a mistake in its configuration, a taken port and a
database that refuses end it with one line and exit code 2; a database that is down does not.
"""

import argparse
import asyncio
import contextlib
import importlib.metadata
import secrets
import sys
from pathlib import Path
from typing import Final

import structlog

from api.app import create_app
from api.config import ApiConfig, bind_address, check, cursor_key
from api.live import LiveRun
from api.logs import set_up
from api.metrics import Metrics
from api.pages import Cursors
from api.server import listen, make_server
from api.services import Services
from api.stream.broker import LOOK_EVERY_S, Broker
from runtime.postgres import Database, DatabaseDown, connect, tenant_id
from runtime.postgres.reading import ReadPool
from runtime.standing_kills import KillWatch
from runtime.unit import announce, die_with_parent, first_of, path_of, read_config, run_unit

CHANNEL: Final = "parley_journal"
_POLL_S: Final = 0.02
log = structlog.get_logger("api")


async def serve(path: Path, stop: asyncio.Event) -> None:
    """Serve until `stop`.

    Raises
    ------
    UserError
        When the configuration is wrong, the port is taken, or the database refuses.
    """
    config = read_config(path, ApiConfig)
    if config.parent_pid:
        die_with_parent()
    check(config)
    version = importlib.metadata.version("parley")
    set_up(config.log_level, version)
    listener = listen(bind_address(config), config.port)
    with contextlib.closing(listener):
        services = await _services(config, version)
        host, port = listener.getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        server = make_server(create_app(services))
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        try:
            while not server.started and not serving.done():
                await asyncio.sleep(_POLL_S)
            if server.started:
                announce({"ready": True, "unit": "api", "url": url, "port": port})
                log.info("serving", url=url, tenant=config.tenant)
            # Either of them ends only by an error.
            await first_of(stop, asyncio.shield(serving), services.broker.watch())
        finally:
            services.is_stopping = True
            server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
            await services.pool.close()
            log.info("ended")


async def _services(config: ApiConfig, version: str) -> Services:
    database = Database.named(config.database, config.name)
    try:
        (await asyncio.to_thread(connect, database, "parley api check")).close()
    except DatabaseDown as error:
        log.warning("database_down", why=str(error))  # /readyz says so until it is there
    pool = ReadPool(database, "parley api", config.connections)
    await pool.open()
    metrics = Metrics(version)
    tenant = tenant_id(config.tenant)
    broker = Broker(lambda: pool.transaction(tenant), lambda: pool.notices(CHANNEL, LOOK_EVERY_S), metrics)
    return Services(
        version=version, tenant_name=config.tenant, tenant=tenant, pool=pool,
        cursors=Cursors(cursor_key(config) or secrets.token_bytes(32)),
        live=LiveRun(path_of(config.home) if config.home else None), metrics=metrics, broker=broker,
        shipper=path_of(config.shipper) if config.shipper else None,
        journals=tuple([str(path_of(each)) for each in config.journals]), backlog_s=config.backlog_s,
        desk=path_of(config.desk) if config.desk else None,
        home=path_of(config.home) if config.home else None,
        kills=KillWatch(path_of(config.home), config.tenant) if config.home else None,
    )  # fmt: skip


def main() -> int:
    """Run an API; returns the exit code."""
    parser = argparse.ArgumentParser(prog="api", description="HTTP and WebSocket over the read model.")
    parser.add_argument("--config", required=True, type=Path, help="JSON file of an ApiConfig")
    arguments = parser.parse_args()
    return run_unit("api", lambda stop: serve(arguments.config, stop))


if __name__ == "__main__":
    sys.exit(main())
