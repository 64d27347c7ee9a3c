"""A unit with as many lives as its configuration says: ``python -m tests.kit.brief_unit --config FILE``.

The file lists one object per life: ``ready`` (default true), ``serves_s``, ``exit`` (negative: a signal it
sends itself), ``says`` on standard error, ``until`` a file it waits for, ``tidies_s`` after that. Which life
this is stands in ``FILE.life``.

Not here: what a unit does meanwhile; it sleeps.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main() -> int:
    config = Path(sys.argv[sys.argv.index("--config") + 1])
    counter = config.with_suffix(".life")
    life = int(counter.read_text()) if counter.exists() else 0
    counter.write_text(str(life + 1))
    plan = json.loads(config.read_text())[life]
    if plan.get("ready", True):
        print(json.dumps({"ready": True, "life": life + 1}), flush=True)
    time.sleep(plan.get("serves_s", 0.0))
    while plan.get("until") and not Path(plan["until"]).exists():
        time.sleep(0.005)
    time.sleep(plan.get("tidies_s", 0.0))
    if plan.get("says"):
        sys.stderr.write(plan["says"] + "\n")
        sys.stderr.flush()
    code = int(plan.get("exit", 0))
    if code < 0:
        os.kill(os.getpid(), -code)
        time.sleep(60)
    return code


if __name__ == "__main__":
    sys.exit(main())
