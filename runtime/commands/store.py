"""`parley migrate`, `backup`, `restore`, `rebuild`: database and journals of a home, as a whole.

Not here: what a backup is (`runtime.backup`), how a schema changes (`runtime.postgres.migrate`), what comes
from the journals (`runtime.shipper.rebuild`).

Invariant: a server that these started is stopped again; one that ran keeps running.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from rich.progress import TextColumn

from runtime.backup import Manifest, Say, back_up, read_manifest
from runtime.backup import restore as bring_back
from runtime.output import console, print_json, progress_bar
from runtime.postgres import REVISION, Database
from runtime.postgres.migrate import migrate as bring_up_to_date
from runtime.postgres.opening import opened_database
from runtime.settings import Settings
from runtime.shipper.rebuild import rebuild as make_anew

AFTERWARDS: Final = (
    "note: what was ordered and filled after {made_at} is not in it. No desk goes on with a restored run;"
    " before a desk trades on an account of these runs, compare its open orders and balances with the venue's"
    " (docs/database.md, 'After a restore')."
)


def migrate(settings: Settings, folder: Path | None, *, as_json: bool) -> int:
    """Bring the database to this version's schema; returns the exit code."""
    with _opened(settings, folder) as database:
        bring_up_to_date(database)
    if as_json:
        print_json({"revision": REVISION})
    else:
        console().print(f"the database is at revision {REVISION}")
    return 0


def backup(settings: Settings, target: Path, folder: Path | None, *, as_json: bool) -> int:
    """Write a backup; returns the exit code."""
    home = settings.home.resolve()
    with _opened(settings, folder) as database, _told() as say:
        bring_up_to_date(database)
        manifest = back_up(home, database, target.expanduser().resolve(), say)
    _print(manifest, target, "backed up", as_json=as_json)
    return 0


def restore(settings: Settings, source: Path, folder: Path | None, *, as_json: bool) -> int:
    """Bring a backup back; returns the exit code."""
    home = settings.home.resolve()
    read_manifest(source)  # before a server is made for it
    with _opened(settings, folder) as database, _told() as say:
        manifest = bring_back(source.expanduser().resolve(), home, database, say)
    _print(manifest, home, "restored", as_json=as_json)
    console(stderr=True).print(AFTERWARDS.format(made_at=manifest.made_at), soft_wrap=True)
    return 0


def rebuild(settings: Settings, folder: Path | None, *, unasked: bool, as_json: bool) -> int:
    """Make the read model anew from the home's journals; returns the exit code."""
    home = settings.home.resolve()
    with _opened(settings, folder) as database, progress_bar("") as bar:
        bring_up_to_date(database)
        task = bar.add_task("rebuild", total=None)

        def tell(what: str, done: int, total: int) -> None:
            bar.columns = (TextColumn(what), *bar.columns[1:])
            bar.update(task, completed=done, total=total)

        found = make_anew(home, database, tell, unasked=unasked)
    if as_json:
        print_json({"home": str(home), **found._asdict()})
    else:
        console().print(
            f"rebuilt: {found.runs} runs from {found.journals} journals with {found.records:,} records"
        )
    return 0


def _opened(settings: Settings, folder: Path | None) -> AbstractContextManager[Database]:
    # What a run is told of its database holds for its backup, too.
    said = settings.database
    if folder is None and not said.url:
        folder = said.folder
    return opened_database(settings.home.resolve(), folder, said.url)


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
