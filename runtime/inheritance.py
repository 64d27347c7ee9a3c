"""What a child process inherits of this one's environment: what it needs to run, and no secret.

Problem: an environment is readable by every process of the same user, is written into crash reports, and goes
to all children by itself. A password that one unit needs must not lie in ten others, among them agents and
what Ray starts. So variables are handed on by name: those of the system, of the interpreter and of numeric
libraries, and our own; whatever is named like a secret, or holds a URL with a password, stays here.

Not here: what is a secret's name (`redaction`), what Ray needs on top (`ray_config`).

Invariant: only a process that reaches the database is given DATABASE_URL and libpq's own variables.
"""

import os
import re
from collections.abc import Mapping
from typing import Final

from runtime.redaction import is_secret

_NEEDED: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|HOSTNAME|PWD|TZ|TERM|COLUMNS|LINES|NO_COLOR|LANG|LANGUAGE|TMPDIR|TMP|TEMP"
    r"|VIRTUAL_ENV|(REQUESTS|CURL)_CA_BUNDLE|SSL_CERT_(FILE|DIR)"
    r"|(LC|LD|XDG|PARLEY|RAY|CUDA|NVIDIA|OMP|OPENBLAS|MKL|NUMEXPR|NUMBA|MALLOC|ARROW|COVERAGE|COV)_\w+"
    r"|PYTHON\w*|(?i:(https?|all|no)_proxy)"
)
_LOGIN: Final = re.compile(r"://[^/\s]*:[^/\s]*@")


def inherited(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that any child may have."""
    found = os.environ if environment is None else environment
    return {
        name: value
        for name, value in found.items()
        if _NEEDED.fullmatch(name) and not is_secret(name) and not _LOGIN.search(value)
    }


def with_database(url: str) -> dict[str, str]:
    """Return those of a child that uses the database: DATABASE_URL is `url`, else what is set here."""
    own = {name: value for name, value in os.environ.items() if name.startswith("PG")}
    known = url or os.environ.get("DATABASE_URL", "")
    return inherited() | own | ({"DATABASE_URL": known} if known else {})
