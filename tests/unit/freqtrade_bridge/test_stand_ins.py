"""The bridge brings freqtrade's strategies without freqtrade's simulator, in an interpreter of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.kit.freqtrade_folder import STRATEGIES, spot_candles, write_config

ROOT = Path(__file__).resolve().parent.parent.parent.parent

RUN = """
import json, sys
from pathlib import Path
from freqtrade_bridge.analysis import analyse
from freqtrade_bridge.options import Options
from freqtrade_bridge.preparing import prepare
folder = Path(sys.argv[1])
options = Options(
    user_data_dir=folder, config=(folder / "config.json",), datadir=folder / "data",
    strategy_list=("TrendCross", "TunedCross", "GuardedDips"), timeframe="5m",
    strategy_path=Path(sys.argv[2]), enable_protections=True,
    settings={"exchange": {"pair_whitelist": ["BTC/USDT", "AAA/USDT"]}},
)
prepared = prepare(options)
for strategy in prepared.strategies:
    analyse(prepared, strategy)
import freqtrade_bridge.report, freqtrade_bridge.hooks
names = sorted(name for name in sys.modules if name.startswith("freqtrade.optimize"))
import freqtrade
from freqtrade.optimize.hyperopt_tools import HyperoptTools
print(json.dumps([names, hasattr(freqtrade, "optimise"), HyperoptTools.__module__, len(prepared.strategies)]))
"""


def python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=110,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_loading_and_analysing_brings_nothing_of_the_simulator(tmp_path: Path) -> None:
    spot_candles(tmp_path / "data", 400)
    for timeframe in ("5m", "1h"):
        source = tmp_path / "data" / f"AAA_USDT-{timeframe}.feather"
        source.with_name(f"BTC_USDT-{timeframe}.feather").write_bytes(source.read_bytes())
    write_config(tmp_path / "config.json")

    names, _, owner, strategies = json.loads(python(RUN, str(tmp_path), str(STRATEGIES)))

    assert names == []
    assert strategies == 3
    # A strategy that asks for freqtrade's own module afterwards gets that, not the stand-in.
    assert owner == "freqtrade.optimize.hyperopt_tools"


def test_a_process_that_has_the_simulator_keeps_it() -> None:
    code = (
        "import sys, freqtrade.optimize.hyperopt_tools as before, freqtrade_bridge\n"
        "print(sys.modules['freqtrade.optimize.hyperopt_tools'] is before)"
    )

    assert python(code) == "True"
