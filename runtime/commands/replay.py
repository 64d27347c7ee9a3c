"""`parley replay`: is the journal untouched, and does it come out again?

Not here: verifying (`runtime.journal.verify`), re-executing (`runtime.replay`). Invariant: exit code 0 only
when the chain holds and every decision and intent is byte-identical; that other code replays than wrote the
file is said, and changes no exit code.
"""

import sys
from dataclasses import asdict
from pathlib import Path

from parley.errors import DataError
from runtime.history import config_of, newest_journal, open_journal
from runtime.journal import JournalCorrupt, verify
from runtime.output import console, print_json, progress_bar
from runtime.provenance import differences, origin, told
from runtime.replay import replay
from runtime.run_config import Origin
from runtime.settings import Settings


def replay_journal(settings: Settings, path: Path | None, *, as_json: bool) -> int:
    """Verify and replay a journal; returns the exit code.

    Raises
    ------
    UserError
        When there is no such journal, or it is of another version.
    """
    file = path or newest_journal(settings.home)
    try:
        then = config_of(open_journal(file)).origin
    except DataError as error:
        if not isinstance(error.__cause__, JournalCorrupt):
            raise  # of a damaged file, the check below says where
        then = Origin()
    checked = verify(file)
    if not checked.ok:
        faults = [f"{fault.where}: {fault.detail}" for fault in checked.faults]
        if as_json:
            print_json({"journal": str(file), "ok": False, "chain_ok": False, "faults": faults})
        sys.stderr.write(f"parley: the chain of {str(file)!r} does not verify: {faults[0]}\n")
        return 1
    differs = list(differences(then, origin()))
    for text in differs:
        sys.stderr.write(f"parley: warning: other code than wrote the file: {text}\n")
    with progress_bar("replaying") as bar:
        task = bar.add_task("replay", total=checked.records)
        report = replay(file, lambda done, total: bar.update(task, completed=done, total=total))
    speed = report.envelopes / report.seconds if report.seconds else 0.0
    if as_json:
        result = asdict(report) | {
            "journal": str(file), "ok": report.ok, "chain_ok": True, "head": checked.head,
            "groups": checked.groups,
            "records_per_second": round(speed, 1), "origin": then, "origin_differs": differs,
        }  # fmt: skip
        print_json(result)
    else:
        out = console()
        out.print(f"journal    {file}", soft_wrap=True)
        out.print(f"written by {told(then)}", soft_wrap=True)
        out.print(f"chain      {checked.groups} groups, {checked.records} records, head {checked.head[:16]}")
        out.print(f"decisions  {report.decisions_identical} of {report.decisions} identical")
        out.print(f"intents    {report.intents_identical} of {report.intents} identical")
        out.print(f"records    {report.identical} of {report.envelopes} identical, {speed:,.0f} a second")
        if report.recorded_proposals:
            out.print(f"recorded   {report.recorded_proposals} proposals were taken from the journal")
    if not report.ok:
        first = report.mismatches[0] if report.mismatches else "records are missing"
        sys.stderr.write(f"parley: the replay differs: {first}\n")
        return 1
    return 0
