"""The operating system's user a PostgreSQL server runs as, and what that user can reach.

Problem: PostgreSQL refuses to run as root, which is who runs Parley in most containers. There it runs as a
system user of its own, made at the first start. The package that brings the binaries would loosen every
folder above the data to 0755 for that; here nothing that exists is loosened, and a path that the user cannot
enter is an error that names the folder.

Not here: starting the server (`embedded`).

Invariant: no permission of a folder that was there before is changed.
"""

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any, Final, NamedTuple

from parley.errors import UserError

USER: Final = "parley-pg"


class Owner(NamedTuple):
    """Who owns the data; `name` is None when that is the current user and no switch is needed."""

    uid: int
    gid: int
    name: str | None

    def run_as(self) -> dict[str, Any]:
        """Return the arguments of `subprocess` that run a command as this user."""
        if self.name is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def take(self, path: Path) -> None:
        """Make a path this user's."""
        if self.name is not None:
            os.chown(path, self.uid, self.gid)


def server_owner() -> Owner:
    """Return whom the server runs as; as root, make the system user if there is none.

    Raises
    ------
    UserError
        When it cannot be made.
    """
    if os.geteuid() != 0:
        return Owner(os.geteuid(), os.getegid(), None)
    try:
        found = pwd.getpwnam(USER)
    except KeyError:
        found = _make_user()
    return Owner(found.pw_uid, found.pw_gid, found.pw_name)


def _make_user() -> pwd.struct_passwd:
    if shutil.which("useradd"):
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        command += ["--shell", "/usr/sbin/nologin", USER]
    elif shutil.which("adduser"):  # busybox
        command = ["adduser", "-S", "-D", "-H", "-h", "/nonexistent", "-s", "/sbin/nologin", USER]
    else:
        raise UserError(
            f"PostgreSQL does not run as root and needs the user {USER!r}, but there is neither useradd nor"
            f" adduser: make that user, run Parley as another user, or set DATABASE_URL"
        )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return pwd.getpwnam(USER)  # another process may have been quicker
    except KeyError:
        said = done.stderr.strip().splitlines()
        raise UserError(
            f"PostgreSQL does not run as root, and its user {USER!r} could not be made:"
            f" {said[-1] if said else f'{command[0]} ended with {done.returncode}'}"
        ) from None


def obstacle(path: Path, owner: Owner) -> Path | None:
    """Return the first folder above `path` that the owner cannot enter, None when it can reach the path."""
    if owner.name is None:
        return None
    for folder in reversed(path.resolve().parents):
        if not folder.exists():
            return None
        found = folder.stat()
        mode = found.st_mode
        if found.st_uid == owner.uid:
            enters = mode & stat.S_IXUSR
        elif found.st_gid == owner.gid:
            enters = mode & stat.S_IXGRP
        else:
            enters = mode & stat.S_IXOTH
        if not enters:
            return folder
    return None
