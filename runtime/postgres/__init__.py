"""The one database: an embedded PostgreSQL, or the server that DATABASE_URL names.

`EmbeddedServer` starts and stops the one in the wheel, `Database` says how to reach either, `migrate` brings
its schema to the revision this code knows. What is in it is written down in `runtime.tables` and
`runtime.migrations`; who fills it is `runtime.shipper`.

Invariant: nothing but `migrate`, backup, restore and the import of market data connects as anything other
than `parley_app`.
"""

from runtime.postgres.database import REVISION, Database, DatabaseDown, connect, tenant_id
from runtime.postgres.embedded import EmbeddedServer, default_folder
from runtime.postgres.programs import Programs, find_programs

__all__ = [
    "REVISION",
    "Database",
    "DatabaseDown",
    "EmbeddedServer",
    "Programs",
    "connect",
    "default_folder",
    "find_programs",
    "tenant_id",
]
