"""The campaign against the full stack: ``python -m tests.chaos.full --kills 500 --results FILE``.

As `campaign`, but a bout is a whole run with Ray, its agents, a database and its shipper, and bouts are
fought one after the other. SIGTERM and Ctrl-C let the bout that is fought come to its end, so that it counts;
a second time cuts it off.

Not here: a bout (`full_bout`), the judge (tools/chaos). Invariant: as of `campaign`.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Final

from tests.chaos.campaign import Fought, add, judged, keep_files
from tests.chaos.full_bout import FullBout, kills_so_far, plan_of
from tests.chaos.lanes import Lanes
from tests.chaos.progress import Bar, Stopping
from tests.chaos.record import FULL, load, save

_KILLS: Final = 80  # of one bout
_POLL_S: Final = 0.5


def fight(seed: int, folder: Path, kills: int, deadline: float, keep: Path | None) -> Fought:
    """Fight one bout and have it judged."""
    bout = FullBout(plan_of(seed, kills), folder)
    signal.signal(signal.SIGTERM, lambda *_: bout.cut_short())
    outcome = bout.fight(deadline)
    verdict = judged(bout.judged)
    if keep is not None and (not verdict["holds"] or outcome.strange):
        keep_files(folder, keep / f"full-{seed}")
    return outcome, verdict


def main() -> int:
    """Fight until enough and return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.chaos.full", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, help="file to go on with; without one nothing is kept")
    parser.add_argument("--kills", type=int, default=sys.maxsize, help="enough, with those of the file")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="hit nobody after this")
    parser.add_argument("--each", type=int, default=_KILLS, help="kills of one bout")
    parser.add_argument("--seed", type=int, help="first bout, in place of the file's next")
    parser.add_argument("--keep", type=Path, help="folder for the files of bouts with something wrong")
    options = parser.parse_args()
    if options.kills == sys.maxsize and options.seconds == float("inf"):
        parser.error("say how much is enough: --kills or --seconds")
    record = load(options.results, FULL)
    if options.seed is not None:
        record.next_seed = options.seed
    began, before = time.monotonic(), record.seconds
    deadline = began + options.seconds
    bar = Bar("kills", options.kills, options.seconds, record.killed)

    def work(seed: int, folder: Path) -> Fought:
        wanted = min(options.each, max(1, options.kills - record.killed))
        return fight(seed, folder, wanted, deadline, options.keep)

    lanes = Lanes(1, work)
    with Stopping() as stopping:
        try:
            while True:
                is_enough = record.killed >= options.kills or time.monotonic() >= deadline or stopping.is_set
                if lanes.has_room and is_enough:
                    break
                if lanes.has_room:
                    lanes.begin(record.next_seed)
                if stopping.is_set:
                    lanes.ask_to_end()
                for seed, fought in lanes.ended(_POLL_S):
                    line = add(record, seed, fought)
                    record.seconds = before + time.monotonic() - began
                    save(options.results, FULL, record)
                    bar.say(line)
                fresh = sum(kills_so_far(folder) for folder in lanes.folders)
                bar.show(record.killed + fresh, len(record.violations), len(record.strange))
        finally:
            lanes.stop()
            bar.end()
    for line in (*record.violations, *record.strange):
        print(line)
    print(json.dumps(record.summary(), indent=1))
    return 0 if record.killed > 0 and not record.violations and not record.strange else 1


if __name__ == "__main__":
    raise SystemExit(main())
