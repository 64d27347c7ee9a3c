"""Ray's programs, looked for before a run begins: Ray itself only says that its session ended.

Not here: starting them (`ray_session`). Invariant: nothing of Ray is imported here.
"""

import importlib.util
import os
from pathlib import Path
from typing import Final

from parley.errors import UserError

PACKAGE: Final = "ray"
_NEEDED: Final = ("raylet/raylet", "gcs/gcs_server")
_OTHERWISE: Final = "or let the agents be in the desk's process, 'parley run --placement packed'"


def check_programs() -> None:
    """Look for what a Ray of this machine is started from.

    Raises
    ------
    UserError
        When something is missing.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError(f"Ray is not installed: pip install 'parley[desk]', {_OTHERWISE}")
    folder = Path(spec.origin).parent / "core" / "src" / "ray"
    for place in _NEEDED:
        program = folder / place
        if not os.access(program, os.X_OK):
            raise UserError(
                f"Ray's program {program.name!r} is missing from {str(program.parent)!r}: install ray again,"
                f" {_OTHERWISE}"
            )
