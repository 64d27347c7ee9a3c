"""A reference that hangs or ends, for the tests of the worker that has to survive it.

Not here: the real one (`reference`).

Invariant: what it does is in the case's note; any other note gets an empty outcome.
"""

from __future__ import annotations

import os
import time

from tests.differential.case import Case
from tests.differential.outcome import Outcome


def run(case: Case) -> Outcome:
    """Hang, end the process or answer, as the note of `case` says."""
    match case.note:
        case "hang":
            time.sleep(3600)
        case "end":
            os._exit(3)
        case "print":
            os.write(1, b"a library that prints where the answers go")
    return Outcome(counts={"process": os.getpid()})
