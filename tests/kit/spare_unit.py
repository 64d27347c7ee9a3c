"""A unit that a spare follows: ``python -m tests.kit.spare_unit --config FILE [--introduced] [--spare]``.

With ``--spare`` it waits for its turn first. Then it says that it is ready, writes what it was told of its
desk into ``FILE.heard`` and beats in ``FILE.beats``. ``FILE`` holds, as JSON, one object for each turn:
``serves_s`` before it ends with ``exit``. Turns taken stand in ``FILE.turns``, a pid each.

Not here: what it would do with an account.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from runtime.gateway_door import Introductions

FOR_EVER_S = 60.0


def main() -> int:
    config = sys.argv[sys.argv.index("--config") + 1]
    heard, beats, turns = (Path(f"{config}.{each}") for each in ("heard", "beats", "turns"))
    introductions = Introductions()
    if "--spare" in sys.argv:
        print(json.dumps({"spare": True}), flush=True)
        if not asyncio.run(introductions.turn()):
            return 0
    taken = turns.read_text().split() if turns.exists() else []
    turns.write_text(" ".join((*taken, str(os.getpid()))))
    plan = (json.loads(Path(config).read_text()) + [{}] * 99)[len(taken)]
    print(json.dumps({"ready": True}), flush=True)
    began = time.monotonic()
    while time.monotonic() - began < plan.get("serves_s", FOR_EVER_S):
        if (desk := introductions.last()) is not None:
            heard.write_text(json.dumps([os.getpid(), desk.pid, desk.key]))
        beats.write_text(str(time.monotonic_ns()))
        time.sleep(0.01)
    return int(plan.get("exit", 0))


if __name__ == "__main__":
    sys.exit(main())
