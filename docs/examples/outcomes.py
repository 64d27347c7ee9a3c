"""Print how the rounds of a home's runs ended: a query of the read model, as one tenant sees it."""

import sys

from runtime.history import home_folder
from runtime.postgres import connect, tenant_id
from runtime.postgres.database import as_tenant
from runtime.postgres.opening import opened_database

QUERY = "SELECT outcome, count(*) FROM parley.rounds WHERE outcome <> '' GROUP BY outcome ORDER BY outcome"

with (
    opened_database(home_folder(), None) as database,
    connect(database, "example") as connection,
    connection.transaction(),
):
    as_tenant(connection, tenant_id("local"))
    for outcome, rounds in connection.execute(QUERY):
        sys.stdout.write(f"{outcome} {rounds}\n")
