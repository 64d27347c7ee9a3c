"""Read access to journals for people: which file, which run, which messages, which round.

Problem: commands that only read must turn every way a file can be wrong into one line, and must not decode
a million records to show ten of them. Everything here goes through `JournalReader`, also while the desk
writes.

Not here: what the messages add up to (`books`, `summary`, `explain`).

Invariant: nothing here writes, and a mistake of the user is a `UserError`.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from parley.errors import DataError, UserError
from parley.ids import parse_round, show_round
from parley.messages import KIND_OF, Message, decode, decode_envelope
from runtime.journal import JournalError, JournalReader
from runtime.run_config import RunConfig, run_config

JOURNAL_NAME: Final = "desk.journal"


class Entry(NamedTuple):
    """One record: its place, its envelope's addresses and times, the message and its bytes."""

    seq: int
    round: bytes
    sender: str
    cause: int
    t_recv: int
    body: bytes
    message: Message


def kinds(*names: str) -> tuple[int, ...]:
    """Give the journal's kinds of message names."""
    return tuple(KIND_OF[name] for name in names)


def home_folder() -> Path:
    """Return where runs are kept: PARLEY_HOME, `var` of a checkout, else the user's data folder."""
    given = os.environ.get("PARLEY_HOME")
    if given:
        return Path(given).expanduser()
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "Makefile").is_file():
        return checkout / "var"
    return Path.home() / ".local" / "share" / "parley"


def newest_journal(home: Path) -> Path:
    """Return the journal of the newest run below `home`.

    Raises
    ------
    UserError
        When there is none.
    """
    found = sorted((home / "runs").glob(f"*/{JOURNAL_NAME}"))
    if not found:
        raise UserError(
            f"no run in {str(home / 'runs')!r}: start one with 'parley run', or name a --journal FILE"
        )
    return found[-1]


def open_journal(path: Path) -> JournalReader:
    """Open a desk's journal for reading.

    Raises
    ------
    DataError
        When it is missing, no journal, damaged, of another version, or not a desk's.
    """
    try:
        reader = JournalReader(path)
        manifest = reader.run()
    except FileNotFoundError:
        raise DataError(f"there is no journal {str(path)!r}") from None
    except JournalError as error:
        raise DataError(str(error)) from error
    if manifest.get("unit") != "desk" or "config" not in manifest:
        raise DataError(f"{str(path)!r} must be a desk's journal, it is of unit {manifest.get('unit')!r}")
    return reader


def config_of(reader: JournalReader) -> RunConfig:
    """Return the run's configuration as the journal holds it; `DataError` when it cannot be read."""
    try:
        return run_config(reader.run()["config"])
    except msgspec.MsgspecError as error:
        raise DataError(f"{str(reader.path)!r} table run, key 'config': {error}") from error


def entries(
    reader: JournalReader, wanted: Iterable[int] | None = None, *, after: int = 0, round_: bytes | None = None
) -> Iterator[Entry]:
    """Iterate over decoded records in journal order.

    Parameters
    ----------
    wanted : kinds to read; None reads all
    after : last seq not wanted
    round_ : only this round, 16 bytes

    Raises
    ------
    DataError
        When a record cannot be read.
    """
    seq = after
    try:
        for record in reader.records(after, None if wanted is None else tuple(wanted), round_):
            seq = record.seq
            envelope = decode_envelope(record.body)
            yield Entry(
                record.seq, record.round, envelope.sender, envelope.cause, envelope.t_recv, envelope.body,
                decode(envelope.body),
            )  # fmt: skip
    except msgspec.MsgspecError as error:
        raise DataError(f"{str(reader.path)!r} record {seq}: {error}") from error
    except JournalError as error:
        raise DataError(str(error)) from error


def find_round(reader: JournalReader, text: str) -> bytes:
    """Find the round a person means by its id or the beginning of it, with or without ``rnd_``.

    Raises
    ------
    UserError
        When no round or more than one begins like that.
    """
    prefix = "rnd_" + text.strip().lower().removeprefix("rnd_")
    try:
        exact = parse_round(prefix)
    except ValueError:
        exact = None
    rounds: dict[bytes, None] = {}
    for record in reader.records(kinds=kinds("Decision")):
        if record.round == exact:
            return record.round
        if exact is None and show_round(record.round).startswith(prefix):
            rounds[record.round] = None
    if len(rounds) == 1:
        return next(iter(rounds))
    if not rounds:
        raise UserError(f"no round {text!r} in {str(reader.path)!r}: see 'parley rounds'")
    some = ", ".join(show_round(each) for each in list(rounds)[:3])
    raise UserError(f"{len(rounds)} rounds begin with {text!r}, such as {some}: give more of the id")
