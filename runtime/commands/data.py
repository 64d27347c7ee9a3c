"""`parley data import|list|check|convert`: market data in files, in the store and in the database.

Not here: what is done (`runtime.marketstore`), how a venue is asked (`commands.download`).

Invariant: a mistake is one line and leaves store and target as they were; the database is reached before the
store changes, and one that goes away meanwhile is mended by importing again.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.progress import Progress

from parley.errors import UserError, nearest
from runtime.marketstore.check import CODES, GAP, Finding, check_file
from runtime.marketstore.database import copy_file, writing
from runtime.marketstore.exporting import Exported, Wish, export_files
from runtime.marketstore.formats import SUFFIX_OF, suffix
from runtime.marketstore.importing import Imported, find_sources, import_files
from runtime.marketstore.manifest import MANIFEST
from runtime.marketstore.overview import Overview, overview, store_findings
from runtime.marketstore.series import Given, Series, check_timeframe, suffix_of
from runtime.marketstore.store import MarketStore
from runtime.output import console, print_json, progress_bar, table
from runtime.postgres.database import Database, DatabaseDown
from runtime.postgres.embedded import EmbeddedServer, default_folder
from runtime.postgres.migrate import migrate
from runtime.postgres.opening import opened_database
from runtime.settings import Settings


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one file or series."""

    file: str
    series: str
    findings: tuple[Finding, ...]


def market_store(settings: Settings, folder: Path | None) -> MarketStore:
    """Open the store of a command: the one named, else that of the home."""
    root = (folder or settings.home / "market").expanduser()
    if root.exists() and not root.is_dir():
        raise UserError(f"a market store is a folder, {str(root)!r} is not")
    return MarketStore(root)


def import_data(
    settings: Settings,
    paths: Sequence[Path],
    words: Mapping[str, str],
    folder: Path | None,
    database: Path | None,
    *,
    as_json: bool,
) -> int:
    """Import files; returns the exit code."""
    sources, skipped = find_sources(paths, Given(**words))
    store = market_store(settings, folder)
    with configured_database(settings, database) as found, progress_bar("files") as bar:
        task = bar.add_task("import", total=len(sources))
        done, files = import_files(store, sources, lambda _: bar.advance(task))
        copied = copy_to_database(files, found)
    if as_json:
        print_json(
            {"store": str(store.root), "imported": done, "skipped": [*map(str, skipped)], "database": copied}
        )
        return 0
    out = console()
    out.print(_imported_table(done))
    _print_skipped(skipped)
    lines = [f"{sum(one.added for one in done):,} new rows in {str(store.root)!r}"]
    lines.append("no database is configured" if copied is None else f"{copied:,} new rows in the database")
    out.print("; ".join(lines), soft_wrap=True)
    return 0


def copy_to_database(files: Sequence[Path], database: Database | None) -> int | None:
    """Copy files of a store into the database; None when there is none.

    Raises
    ------
    ParleyError
        When the database went away or contradicts the store, which has the rows already.
    """
    if database is None:
        return None
    added = 0
    try:
        with writing(database) as connection, progress_bar("database") as bar:
            task = bar.add_task("copy", total=len(files))
            for path in files:
                added += copy_file(connection, path)
                bar.advance(task)
    except DatabaseDown as error:
        raise DatabaseDown(f"{error}; the store has the rows, import again to copy them") from error
    return added


@contextmanager
def configured_database(settings: Settings, folder: Path | None) -> Iterator[Database | None]:
    """Yield the database that shall have market data, at the newest schema; None when none is configured.

    That is the one of `folder`, else that of the settings (``database.url``, ``database.folder``) or of
    DATABASE_URL, else the home's own if it was ever started. ``database.enabled`` is about runs.

    Raises
    ------
    UserError, DatabaseDown
        When it cannot be reached; before anything was imported.
    """
    said = settings.database
    if folder is None and not said.url:
        folder = said.folder
    url = said.url if folder is None else ""
    own = EmbeddedServer(default_folder(settings.home))
    if folder is None and not url and Database.from_environment() is None and not own.data.exists():
        yield None
        return
    with opened_database(settings.home, folder, url) as database:
        migrate(database)
        yield database


def list_data(settings: Settings, exchange: str, pair: str, folder: Path | None, *, as_json: bool) -> int:
    """List the series of a store; returns the exit code."""
    store = market_store(settings, folder)
    parts = [each for each in store.series() if exchange in ("", each.exchange) and pair in ("", each.pair)]
    found = []
    with progress_bar("series") as bar:
        task = bar.add_task("look", total=len(parts))
        for series in parts:
            found.append(overview(store, series))
            bar.advance(task)
    if as_json:
        print_json({"store": str(store.root), "series": found})
        return 0
    out = console()
    if not found:
        out.print(f"there is nothing in {str(store.root)!r}: see 'parley data import --help'", soft_wrap=True)
        return 0
    out.print(_overview_table(found))
    return 0


def check_data(
    settings: Settings, paths: Sequence[Path], words: Mapping[str, str], allow: str, folder: Path | None, *,
    as_json: bool,
) -> int:  # fmt: skip
    """Check files or the store; returns 1 when something is wrong that is neither normal nor allowed."""
    allowed = {code for code in allow.split(",") if code}
    for code in sorted(allowed - set(CODES)):
        raise UserError(f"there is no finding {code!r} to allow; {nearest(code, list(CODES))}")
    given, checked = Given(**words), []
    roots = [path for path in paths if (path / MANIFEST).is_file()]
    files = [path for path in paths if path not in roots]
    stores = [market_store(settings, path) for path in (roots if paths else [folder])]
    skipped: list[Path] = []
    with progress_bar("files") as bar:
        if files:
            sources, skipped = find_sources(files, given)
            checked += _check_files(sources, bar)
        for store in stores:
            checked += _check_store(store, bar)
    failed = [
        one for each in checked for one in each.findings if not one.is_normal and one.code not in allowed
    ]
    if as_json:
        print_json(
            {"ok": not failed, "checked": len(checked), "skipped": [*map(str, skipped)],
             "found": [each for each in checked if each.findings]}
        )  # fmt: skip
        return 1 if failed else 0
    _print_findings(checked, allowed)
    _print_skipped(skipped)
    return 1 if failed else 0


def _check_files(sources: Sequence[tuple[Path, Series]], bar: Progress) -> list[Checked]:
    task = bar.add_task("check", total=len(sources))
    done = []
    for path, series in sources:
        done.append(Checked(file=str(path), series=str(series), findings=tuple(check_file(path, series))))
        bar.advance(task)
    return done


def _check_store(store: MarketStore, bar: Progress) -> list[Checked]:
    parts = store.parts()
    if not parts:
        raise UserError(f"there is nothing to check in {str(store.root)!r}")
    task = bar.add_task("check", total=len(parts))
    done = []
    for part in parts:
        # Gaps between files would be missed file by file, so they are looked for in whole series.
        found = tuple(each for each in check_file(part.path, part.series) if each.code != GAP)
        done.append(Checked(file=str(part.path), series=str(part.series), findings=found))
        bar.advance(task)
    for series, found in store_findings(store):
        done.append(Checked(file=str(store.root), series=series, findings=found))
    return done


def convert_data(
    source: Path,
    target: Path,
    words: Mapping[str, str],
    *,
    to: str,
    to_timeframe: str,
    names: str,
    as_json: bool,
) -> int:
    """Write files in another form; returns the exit code."""
    if to_timeframe:
        check_timeframe(to_timeframe)
    ending = suffix_of(target) if not target.is_dir() else None
    wish = Wish(
        suffix=suffix(to) if to else ending or SUFFIX_OF["parquet"], names=names, timeframe=to_timeframe
    )
    if ending is not None and ending != wish.suffix:
        raise UserError(f"{str(target)!r} does not end in {wish.suffix!r}, which {to!r} does")
    sources, skipped = find_sources([source], Given(**words))
    with progress_bar("series") as bar:
        task = bar.add_task("convert", total=None)
        done = export_files(sources, target, wish, lambda _: bar.advance(task))
    if as_json:
        print_json({"written": done, "skipped": [*map(str, skipped)]})
        return 0
    _print_exported(done)
    _print_skipped(skipped)
    return 0


def _imported_table(done: Sequence[Imported]) -> object:
    shown = table("exchange", "pair", "kind", "tf", "rows", "new", "duplicates", "missing", "file")
    for one in done:
        shown.add_row(
            one.exchange, one.pair, one.kind, one.timeframe, f"{one.rows:,}", f"{one.added:,}",
            str(one.duplicates or ""), str(one.missing or ""), one.file,
        )  # fmt: skip
    return shown


def _overview_table(found: Sequence[Overview]) -> object:
    shown = table("exchange", "pair", "kind", "tf", "from", "to", "rows", "gaps", "missing", "MB", "files")
    for one in found:
        shown.add_row(
            one.exchange, one.pair, one.kind, one.timeframe, _time(one.first_ms), _time(one.last_ms),
            f"{one.rows:,}", str(one.gaps or ""), str(one.missing or ""), f"{one.bytes / 1e6:.1f}",
            str(one.files),
        )  # fmt: skip
    return shown


def _print_findings(checked: Sequence[Checked], allowed: set[str]) -> None:
    out = console()
    for each in checked:
        for one in each.findings:
            mark = "normal" if one.is_normal else "allowed" if one.code in allowed else "wrong"
            out.print(
                f"{mark}: {each.series}: {one.code}: {one.text} ({one.count:,}) in {each.file}",
                soft_wrap=True,
            )
            for place in one.places:
                out.print(f"    {place}", soft_wrap=True)
    bad = sum(1 for each in checked if each.findings)
    out.print(f"{len(checked)} checked, {bad} with findings")


def _print_exported(done: Sequence[Exported]) -> None:
    out = console()
    for one in done:
        notes = [f"{one.cut} incomplete at the ends left out"] if one.cut else []
        notes += [f"{one.thin} made of fewer candles than they span"] if one.thin else []
        words = "; ".join([f"{one.series}: {one.rows:,} rows in {one.file}", *notes])
        out.print(words, soft_wrap=True)


def _print_skipped(skipped: Sequence[Path]) -> None:
    for path in skipped:
        console().print(f"skipped, no market data by its name: {path}", soft_wrap=True)


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
