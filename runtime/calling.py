"""Run a command by the name of its function, and turn what it says into an exit code.

Problem: a help text must not cost the import of an exchange library, and a mistake must not end in a
traceback.

Not here: which commands there are (`cli`, `cli_data`).

Invariant: exit codes are 0 done, 1 something is wrong with the run or file (said on standard error), 2 the
user can mend it, 130 stopped.
"""

from typing import cast

import typer

from parley.errors import ParleyError, UserError
from runtime.host import load
from runtime.journal import JournalError


def call(command: str, *arguments: object, **options: object) -> None:
    """Load a command's function, call it, and turn its result or its errors into an exit code."""
    try:
        code = cast("int | None", load(command)(*arguments, **options))  # type: ignore[operator]
    except UserError as error:
        typer.echo(f"parley: {error}", err=True)
        raise typer.Exit(2) from None
    except (ParleyError, JournalError) as error:
        typer.echo(f"parley: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if code:
        raise typer.Exit(code)
