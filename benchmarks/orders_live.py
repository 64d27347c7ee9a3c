"""A desk at an exchange nobody started for it, and a bare script of ccxt at the same one: wire to wire.

From the packet in which a candle ends to the packet with the order, as the kernel stamped both (`wire`):
the exchange's own time is in neither. Desks run as with real money, every guard on, one as by default, one
that rehearses, one with its processes before all others (`runtime.realtime`), and one that rehearses with
cores that do not sleep (`runtime.awake`), where the machine allows it. They hold their stops
themselves: with stops at the exchange an exit first takes one back, which is another question. A desk's first
order is left out: its candle came while the desk began. At a real Binance a candle is known to be closed when
the next one is told, up to two seconds later: that is the exchange's, and in no figure.

Not here: the way through a desk stage by stage (`bench_orders`). Invariant: no figure of a run whose ledger
does not equal the exchange.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.wire import Wire, answered_us, watched_wire
from benchmarks.yardsticks import percentiles
from runtime.awake import allowed
from runtime.realtime import refused
from tests.kit.outside_exchange import Outside, outside_exchange

ROOT: Final = Path(__file__).resolve().parent.parent
_CANDLE: Final = b'"x":true'  # the last word of a candle; its successor opens in the same packet
_LEAST: Final = 20
_WAYS: Final = {
    "by_default": "",
    "rehearsed": "rehearse = true",
    "realtime": "realtime = true",
    "rehearsed_awake": "rehearse = true\nawake = true",
}
_DESK: Final = """
[desk]
venue_stops = false
{ways}

[agents."meta/main"]
theta = -100.0
margin = -1000.0
full_score = -99.0
"""


def measure_live(folder: Path, seconds: float) -> dict[str, Any]:
    """Run each desk and then the bare script for so long; returns their figures, us.

    Raises
    ------
    SystemExit
        When a run failed, its ledger does not equal the exchange, or there were too few orders.
    """
    found: dict[str, Any] = {}
    for name, ways in _WAYS.items():
        if (name == "realtime" and refused()) or (name == "rehearsed_awake" and not allowed()):
            continue
        with _exchange(folder / name) as exchange, watched_wire() as wire:
            if wire.refused:
                return {"refused": wire.refused}
            _run_desk(folder / name, exchange, ways, seconds)
            found[name] = _figures(wire, exchange)
    with _exchange(folder / "bare_ccxt") as exchange, watched_wire() as wire:
        _run_bare(exchange, seconds)
        alone = found["bare_ccxt"] = _figures(wire, exchange)
    return {
        name: figures | {"ratio_p50": round(figures["p50_us"] / alone["p50_us"], 2)}
        for name, figures in found.items()
    }


@contextmanager
def _exchange(folder: Path) -> Iterator[Outside]:
    folder.mkdir()
    with outside_exchange(folder) as exchange:
        yield exchange


def _run_desk(folder: Path, exchange: Outside, ways: str, seconds: float) -> None:
    path = exchange.settings(folder / "desk.toml", folder / "home", pairs=["BTC/USDT"])
    text = path.read_text().replace("tests.chaos.busy:make", "strategies.pulse:make")
    text = text.replace("[limits]", "[limits]\nmax_daily_trades = 100000\nmax_repeats = 100000")
    path.write_text(f"{text}share = 0.02\nrisk = 0.02\n{_DESK.format(ways=ways)}")
    said = _run("runtime.cli", *f"trade --mode live --desk {path} --real-money binance --json".split(),
                "--duration", str(seconds), seconds=seconds)  # fmt: skip
    if json.loads(said)["ledger_equals_exchange"] is not True:
        raise SystemExit("the live run's ledger does not equal the exchange: no figure is worth printing")


def _run_bare(exchange: Outside, seconds: float) -> None:
    _run(
        "benchmarks.bare_ccxt", exchange.rest, exchange.ws, str(exchange.keys), str(seconds), seconds=seconds
    )


def _run(*command: str, seconds: float) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=seconds + 180, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"the live run failed: {done.stderr[-2000:]}")
    return done.stdout


def arrivals_of(exchange: Outside) -> set[str]:
    """Ids of all orders in the exchange's truth log."""
    lines = (json.loads(line) for line in exchange.truth.read_text().splitlines())
    return {line["client_order_id"] for line in lines if line["event"] == "order"}


def _figures(wire: Wire, exchange: Outside) -> dict[str, float]:
    if wire.refused:
        raise SystemExit(f"there is no figure: {wire.refused}")
    answered = list(answered_us(wire.passed, int(exchange.rest.rpartition(":")[2]), _CANDLE).values())[1:]
    sent = len(arrivals_of(exchange))
    if len(answered) + 1 != sent:
        raise SystemExit(f"{sent} orders came to the exchange, {len(answered) + 1} were seen on the wire")
    if len(answered) < _LEAST:
        raise SystemExit(f"at least {_LEAST} orders are needed on the wire, there were {len(answered)}")
    return {"orders": len(answered), **percentiles(answered)}
