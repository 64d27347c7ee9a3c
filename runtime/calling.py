"""Run a command by the name of its function, and turn what it says into an exit code.

Problem: a help text must not cost the import of an exchange library, and a mistake must not end in a
traceback, whoever noticed it: Parley, the operating system or a database. A defect of ours must leave one,
but in a file and not on the user's screen.

Not here: which commands there are (`cli`, `cli_data`).

Invariant: exit codes are 0 done, 1 something is wrong with the run or file (said on standard error), 2 the
user can mend it, 130 stopped. What is said is one line and holds no secret.
"""

import errno
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Final, cast

import typer

from parley.errors import ParleyError, UserError
from runtime.host import load
from runtime.journal import JournalError
from runtime.redaction import learn_environment, redacted

# Set by `parley --debug`: show tracebacks instead of lines.
DEBUG: Final = ContextVar("DEBUG", default=False)
_LOAD_SETTINGS: Final = "runtime.settings:load_settings"
# What the operating system says when a folder, a port or a machine is not as it should be; a broken pipe is
# none of these: whoever reads has seen enough.
_MENDABLE: Final = frozenset({
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
    errno.ENOTEMPTY, errno.ENAMETOOLONG, errno.ELOOP, errno.EBUSY, errno.EFBIG, errno.ENOSPC, errno.EDQUOT,
    errno.EMFILE, errno.ENFILE, errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.ECONNREFUSED, errno.ECONNRESET,
    errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.ENOTCONN,
})  # fmt: skip
# By name: their packages are loaded by who needs them, and never here.
_OF_A_DATABASE: Final = frozenset({"psycopg.Error", "sqlalchemy.exc.SQLAlchemyError", "sqlite3.Error"})


def call(command: str, *arguments: object, **options: object) -> None:
    """Load a command's function, call it, and turn its result or its errors into an exit code."""
    _run(lambda: _function(command)(*arguments, **options))


def call_with_settings(config: Path | None, command: str, *arguments: object, **options: object) -> None:
    """Do so with the settings as the function's first argument; ``config`` is their file, if one is named."""
    _run(lambda: _function(command)(_function(_LOAD_SETTINGS)(config), *arguments, **options))


def _function(name: str) -> Callable[..., object]:
    return cast("Callable[..., object]", load(name))


def _run(work: Callable[[], object]) -> None:
    learn_environment()
    try:
        code = work()
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # rich's way to end when nobody reads on
            raise typer.Exit(1) from None
        # Nothing of ours ends the process from within: whatever its code says, the work is not done.
        said = traceback.format_exc() if DEBUG.get() else f"parley: {_ended(error)}\n"
        typer.echo(redacted(said), err=True, nl=False)
        raise typer.Exit(1) from None
    except Exception as error:  # noqa: BLE001 - the process's edge: each is told and makes an exit code
        if DEBUG.get():
            typer.echo(redacted(traceback.format_exc()), err=True, nl=False)
        else:
            typer.echo(f"parley: {redacted(told(error))}", err=True)
        raise typer.Exit(2 if _is_mendable(error) else 1) from None
    if code:
        raise typer.Exit(cast("int", code))


def _is_mendable(error: Exception) -> bool:
    return isinstance(error, UserError) or (isinstance(error, OSError) and error.errno in _MENDABLE)


def told(error: Exception) -> str:
    """Say in one line what went wrong; of a defect also where its traceback is."""
    match error:
        case ParleyError() | JournalError():
            return str(error)
        case OSError() if error.errno in _MENDABLE:
            what = error.strerror or os.strerror(error.errno)
            places = " and ".join(repr(str(name)) for name in (error.filename, error.filename2) if name)
            return f"cannot use {places}: {what}" if places else f"the operating system refused: {what}"
        case _ if _names(error) & _OF_A_DATABASE:
            said = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")
            return f"the database refused: {said}"
        case _:
            where = _write_down(error)
            return f"a defect of Parley, {type(error).__name__}: {_first_line(error)}; {where}"


def _ended(error: SystemExit) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"something ended the process before the work was done, SystemExit({error.code!r}) from"
        f" {place.filename}, line {place.lineno}"
    )


def _names(error: Exception) -> set[str]:
    return {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "no reason")


def _write_down(error: Exception) -> str:
    """Put the traceback into a file that only the user can read, and say which."""
    text = "".join(traceback.format_exception(error))
    written = f"{time.strftime('%Y-%m-%d %H:%M:%S %Z')}\n{' '.join(sys.argv)}\n{sys.version}\n\n{text}"
    try:
        descriptor, path = tempfile.mkstemp(prefix="parley-defect-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(redacted(written))
    except OSError:
        return "'parley --debug ...' shows where"
    return f"its traceback is in {path}"
