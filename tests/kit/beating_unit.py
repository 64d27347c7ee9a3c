"""A unit that its supervisor listens to: ``python -m tests.kit.beating_unit --config FILE [--again]``.

It says that it is ready, writes its process and its options into ``FILE.lives``, a line each life, and beats
in ``FILE.beats``. ``FILE`` holds, as JSON, one object for each life: ``serves_s`` before it ends with
``exit``, ``says`` on standard error before that.

Not here: what it would do meanwhile.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

FOR_EVER_S = 60.0


def main() -> int:
    config = Path(sys.argv[sys.argv.index("--config") + 1])
    lives, beats = Path(f"{config}.lives"), Path(f"{config}.beats")
    before = len(lives.read_text().splitlines()) if lives.exists() else 0
    with lives.open("a") as file:
        file.write(f"{os.getpid()} {' '.join(sys.argv[3:])}\n")
    plan = (json.loads(config.read_text()) + [{}] * 99)[before]
    print(json.dumps({"ready": True}), flush=True)
    began = time.monotonic()
    while time.monotonic() - began < plan.get("serves_s", FOR_EVER_S):
        beats.write_text(str(time.monotonic_ns()))
        time.sleep(0.01)
    if plan.get("says"):
        sys.stderr.write(plan["says"] + "\n")
        sys.stderr.flush()
    return int(plan.get("exit", 0))


if __name__ == "__main__":
    sys.exit(main())
