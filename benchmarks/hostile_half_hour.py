"""Half an hour of live trading at an exchange with every hostility there is: are the books its truth log's?

Problem: each bad day of an exchange has its test; that they can all happen in one hour, beside each other and
to a whole desk, has to be shown of a run as people have them. ``python -m benchmarks.hostile_half_hour
--venue binance --save`` takes half an hour (``--minutes 3`` is the same in small): a sandbox that speaks the
venue's protocol over real sockets, an unmodified ccxt.pro client, and `parley trade --mode live` with all its
processes. A run that ends is gone on with by ``--resume last``, as its owner would, and counted.

Not here: what each hostility is (docs/venues.md), kills (`tests.chaos`).

Invariant: the result is written also when it failed; the exit code is 0 only if the stand-alone check finds
ledger and truth log equal, no order was sent twice, journals verify, the replay is equal, every kind of
hostility was met, the desk bought something in every fifth of the run (one that closed itself and waits for
a person trades on no bad day), a doubt about the account came and ended, and the last life ended well.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from benchmarks.yardsticks import machine
from parley.messages import Fill, decode, decode_envelope
from runtime.book_check import check_books
from runtime.history import kinds
from runtime.journal import JournalReader, verify
from runtime.replay import replay
from tests.kit.fates import attempts, on_the_exchange
from tests.kit.outside_exchange import Outside, outside_exchange

RESULTS: Final = Path(__file__).parent / "results" / "hostile_half_hour.json"
ROOT: Final = Path(__file__).resolve().parent.parent
MINUTES: Final = 30.0
ASSETS: Final = ("BTC", "ETH", "LTC", "SOL")
DELISTED: Final = "SOL/USDT"
ACCOUNT: Final = "main"
# All there is: the stand-alone check knows of no money but the desk's.
CAPITAL: Final = {"balances": {"USDT": "10000"}}
PATIENCE_S: Final = 120.0
MOST_RESUMES: Final = 20
PARTS: Final = 5
# What must have been met at least once, by the names of the truth log.
MET: Final = frozenset({
    "lost", "failed", "late", "dropped", "throttled", "cancel_lost", "cancel_failed", "event_lost",
    "event_duplicated", "event_swapped", "difference_lost", "difference_duplicated", "trade_duplicated",
    "banned", "maintenance", "delisted",
})  # fmt: skip


# Who asks too much of Bybit is told so and let in again; a ban (403) is for whoever goes on all the same, and
# keeps a client of ours out for ten minutes, a third of the run. tests/contract/test_venue_limits.py has it.
NOT_MET: Final = {"bybit": frozenset({"banned"})}


def hostility(minutes: float, begun: datetime) -> dict[str, object]:
    """Everything at once; maintenance every fifth of the run, a delisting in its middle."""
    middle = (begun + timedelta(minutes=minutes / 2)).strftime("%Y-%m-%dT%H:%M:%S")
    fifth = int(minutes * 60_000 / 5)
    p = 0.09
    return {
        "lost": p, "failed": p, "late": p, "late_ms": 900, "dropped": p, "throttled": 0.02,
        "first": ["lost", "failed", "late", "dropped", "throttled"], "first_cancels": ["lost", "failed"],
        "lookup_lag_ms": 200, "page_limit": 20, "clock_skew_ms": -150,
        "cancels": {"lost": 0.3, "failed": 0.3, "late": 0.1, "dropped": 0.1, "throttled": 0.02},
        "private": {"lost": p, "duplicated": 0.1, "swapped": 0.1},
        "public": {"lost": 0.05, "duplicated": 0.1},
        "ban": {"after": 1, "ms": 3_000},
        "maintenance": {"after_ms": fifth // 2, "every_ms": fifth, "ms": 3_000},
        "delistings": {DELISTED: middle},
    }  # fmt: skip


def trade(settings: Path, venue: str, seconds: float, *more: str) -> tuple[int, dict[str, Any], str]:
    """Run `parley trade --mode live`; returns its exit code, its answer and its last words."""
    named = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    words = ("trade", "--mode", "live", "--desk", str(settings), "--real-money", venue, "--json")
    done = subprocess.run(
        [sys.executable, "-m", "runtime.cli", *words, "--duration", f"{seconds:.0f}", *more],
        cwd=ROOT, env=named, text=True, capture_output=True, check=False,
        timeout=seconds + 2 * PATIENCE_S,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if line.startswith("parley: ")]
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, " | ".join(said)


def lived(exchange: Outside, folder: Path, venue: str, minutes: float) -> dict[str, Any]:
    """Trade for so long, going on with a run that ended; returns what every life said.

    Raises
    ------
    SystemExit
        When there was not even a first run; its last words are the reason.
    """
    settings = exchange.settings(
        folder / "desk.toml", folder / "home", pairs=[f"{asset}/USDT" for asset in ASSETS],
        timeframe="1m",
    )  # fmt: skip
    with settings.open("a") as file:
        file.write('[desk]\nplacement = "packed"\n')
        # it would learn within minutes that this strategy only pays fees, and rank it no more
        file.write('[agents."meta/main"]\ntheta = -100.0\nmargin = -1000.0\nfull_score = -99.0\n')
        # these two would close the desk for most of the time, and who is closed meets nothing
        file.write("[limits.breakers]\napi_errors_per_min = 1000\nreject_share = 1.0\n")
    ends_at = time.monotonic() + minutes * 60
    lives: list[dict[str, Any]] = []
    while (left := ends_at - time.monotonic()) > 1 and len(lives) <= MOST_RESUMES:
        code, told, said = trade(settings, venue, left, *(("--resume", "last") if lives else ()))
        lives.append({"code": code, "said": said, "audit": told.get("ledger_check"), "told": told})
        if not any(folder.glob("home/runs/*/desk.journal")):
            raise SystemExit(f"no run began: {said}")
        print(f"{datetime.now(UTC):%H:%M:%S} life {len(lives)} ended with {code} {said}", file=sys.stderr)
    return {"lives": len(lives), "codes": [each["code"] for each in lives], "said": [
        each["said"] for each in lives if each["said"]
    ], "last": lives[-1]["told"] if lives else {}}  # fmt: skip


def bought(fills: Iterable[Fill], began: datetime, minutes: float) -> list[int]:
    """Count the fills that bought something, by fifth of the run; market time is wall time here."""
    found = [0] * PARTS
    for fill in fills:
        part = int((fill.t / 1e9 - began.timestamp()) / (minutes * 60 / PARTS))
        if fill.side == "buy" and 0 <= part < PARTS:
            found[part] += 1
    return found


def lacking(found: Mapping[str, Any]) -> list[str]:
    """Say what of the proof is missing."""
    messages = found["messages"]
    wanted = {
        "the ledger is not the exchange's": found["ledger_equals_exchange"],
        "a journal does not verify": found["journals_verify"],
        "the replay differs": found["replay"]["ok"],
        "an order was sent twice, or none": (
            found["most_orders_of_an_id"] == found["most_attempts_of_an_order"] == 1
        ),
        f"never met: {found['never_met']}": not found["never_met"],
        f"bought by fifths of the run: {found['bought']}": all(found["bought"]),
        "no doubt about the account came and ended": messages.get("Gap") and messages.get("Compared"),
        f"the lives ended with {found['codes']}": found["codes"] and found["codes"][-1] == 0,
    }
    return [why for why, holds in wanted.items() if not holds]


def judged(exchange: Outside, folder: Path, began: datetime, minutes: float) -> dict[str, Any]:
    """Hold journals and truth log against each other."""
    (journal,) = folder.glob("home/runs/*/desk.journal")
    gateway = journal.with_name("gateway.journal")
    books = check_books(exchange.truth, journal)
    with JournalReader(journal) as reader:
        counted = Counter(
            name for name in ("Decision", "Intent", "Fill", "Gap", "Compared", "Unknown", "VenueReject")
            for _ in reader.records(kinds=kinds(name))
        )  # fmt: skip
        fills = [decode(decode_envelope(each.body).body) for each in reader.records(kinds=kinds("Fill"))]
    lines = [json.loads(line) for line in exchange.truth.read_text().splitlines()]
    met = Counter(line["what"] for line in lines if line["event"] == "hostile")
    again = replay(journal)
    placed = on_the_exchange(exchange.truth, ACCOUNT)
    return {
        "ledger_equals_exchange": books["ledger_equals_exchange"],
        "ledger_check": books["ledger_check"],
        "most_orders_of_an_id": max(placed.values(), default=0),
        "most_attempts_of_an_order": max(attempts(gateway).values(), default=0),
        "orders": len(placed),
        "journals_verify": verify(journal).ok and verify(gateway).ok,
        "replay": {"ok": again.ok, "identical": again.identical, "of": again.envelopes},
        "messages": dict(counted),
        "bought": bought((each for each in fills if isinstance(each, Fill)), began, minutes),
        "hostile": dict(sorted(met.items())),
        "never_met": sorted(MET - met.keys()),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run it, print and keep the result; returns the exit code."""
    parser = argparse.ArgumentParser(prog="hostile_half_hour", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--venue", default="binance", help="protocol of the exchange (default: binance)")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--save", action="store_true", help=f"write the venue's part of {RESULTS.name}")
    parser.add_argument("--keep", type=Path, help="an empty folder for journals, logs and the truth log")
    options = parser.parse_args(arguments)

    folder = options.keep or Path(tempfile.mkdtemp(prefix="parley-hostile-"))
    folder.mkdir(parents=True, exist_ok=True)
    began = datetime.now(UTC)
    feed = {"assets": list(ASSETS), "timeframe": "1m", "candles": int(options.minutes) + 10}
    moods = hostility(options.minutes, began)
    account = {**CAPITAL, "api_key": f"hostile-{options.venue}"}
    with outside_exchange(folder, account, feed=feed, protocol=options.venue, hostility=moods) as exchange:
        found = lived(exchange, folder, options.venue, options.minutes)
        exchange.end()
        when = {"date": began.isoformat(timespec="seconds"), "minutes": options.minutes}
        found = {"venue": options.venue, **when, **found, **judged(exchange, folder, began, options.minutes)}
        found["never_met"] = sorted(set(found["never_met"]) - NOT_MET.get(options.venue, frozenset()))
        found["machine"] = machine()
    found["lacking"] = lacking(found)
    found["ok"] = not found["lacking"]
    print(json.dumps(found, indent=2))
    if options.save:
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps({**kept, options.venue: found}, indent=2) + "\n")
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
