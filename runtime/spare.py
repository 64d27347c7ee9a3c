"""A gateway that has imported everything and waits for its turn: ``python -m runtime.spare --spare ...``.

Problem: what speaks to exchanges takes seconds to import, and a run whose gateway died would be blind for
as long. So a second process is ready to begin. It imports in a thread of the lowest priority, so that it
takes no time from those that work.

Not here: what it does then (`gateway`), who gives it its turn (`supervisor`).

Invariant: before its turn it holds no lock, reads no key and no configuration, and speaks to nobody.
"""

import os
import sys
import threading
from collections.abc import Callable
from typing import Final, cast

from runtime.host import load
from runtime.unit import die_with_parent

_GATEWAY: Final = "runtime.gateway:main"
_LOWEST: Final = 19


def _imported() -> None:
    # a priority is of the thread, and only a privileged one could raise its own again
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)
    load(_GATEWAY)


def main() -> int:
    """Import the gateway, then be one."""
    die_with_parent()
    importing = threading.Thread(target=_imported, name="import", daemon=True)
    importing.start()
    importing.join()
    return cast("Callable[[], int]", load(_GATEWAY))()


if __name__ == "__main__":
    sys.exit(main())
