"""`parley migrate`, `parley backup`, `parley restore`: database and journals of a home, as a whole.

Not here: what a backup is (`runtime.backup`), how a schema changes (`runtime.postgres.migrate`).

Invariant: a server that these started is stopped again; one that ran keeps running.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from runtime.backup import Manifest, Say, back_up, read_manifest
from runtime.backup import restore as bring_back
from runtime.history import home_folder
from runtime.output import console, print_json
from runtime.postgres import REVISION, Database
from runtime.postgres.migrate import migrate as bring_up_to_date
from runtime.postgres.opening import opened_database
from runtime.settings import load_settings


def migrate(folder: Path | None, *, as_json: bool) -> int:
    """Bring the database to this version's schema; returns the exit code."""
    with _opened(home_folder(), folder) as database:
        bring_up_to_date(database)
    if as_json:
        print_json({"revision": REVISION})
    else:
        console().print(f"the database is at revision {REVISION}")
    return 0


def backup(target: Path, folder: Path | None, *, as_json: bool) -> int:
    """Write a backup; returns the exit code."""
    home = home_folder().expanduser().resolve()
    with _opened(home, folder) as database, _told() as say:
        bring_up_to_date(database)
        manifest = back_up(home, database, target.expanduser().resolve(), say)
    _print(manifest, target, "backed up", as_json=as_json)
    return 0


def restore(source: Path, folder: Path | None, *, as_json: bool) -> int:
    """Bring a backup back; returns the exit code."""
    home = home_folder().expanduser().resolve()
    read_manifest(source)  # before a server is made for it
    with _opened(home, folder) as database, _told() as say:
        manifest = bring_back(source.expanduser().resolve(), home, database, say)
        bring_up_to_date(database)
    _print(manifest, home, "restored", as_json=as_json)
    return 0


def _opened(home: Path, folder: Path | None) -> AbstractContextManager[Database]:
    # What a run is told by PARLEY_DATABASE__FOLDER or __URL holds for its backup, too.
    said = load_settings().database
    if folder is None and not said.url:
        folder = said.folder
    return opened_database(home, folder, said.url)


@contextmanager
def _told() -> Iterator[Say]:
    with console(stderr=True).status("") as status:
        yield lambda what: status.update(what)


def _print(manifest: Manifest, where: Path, done: str, *, as_json: bool) -> None:
    size = sum(file.size for file in manifest.files)
    records = sum(journal.records for journal in manifest.journals)
    if as_json:
        print_json({"folder": str(where), "manifest": manifest, "bytes": size, "records": records})
        return
    console().print(
        f"{done}: {len(manifest.journals)} journals with {records:,} records, {size / 1e6:,.1f} MB,"
        f" in {where}",
        soft_wrap=True,
    )
