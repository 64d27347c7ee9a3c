"""`parley run --trades`: the exchange plays real prints, and the desk decides on the candles they make."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.integration.test_run_recorded import parley

pytestmark = pytest.mark.timeout(200)


def test_recorded_trades_are_played_to_their_end_and_the_books_agree(
    tmp_path: Path, market_data: Path
) -> None:
    file = market_data / "trades" / "kraken-BTC_USDT-trades-202311.parquet"
    window = ("2023-11-21 06:00", "2023-11-22 02:00")

    done = parley(
        tmp_path, "run", "--trades", f"BTC/USDT={file}", "--from", window[0], "--to", window[1], "--json"
    )

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["ledger_equals_exchange"] is True
    assert set(result["candles"].values()) == {minutes(file, *window)}
    assert result["rounds"] == minutes(file, *window)
    assert result["fills"] > 0
    assert result["trades"] == {"BTC/USDT": str(file)}


def minutes(file: Path, start: str, end: str) -> int:
    """Count the minutes in which anything was traded, from the file itself."""
    times = pq.read_table(file)["timestamp"].to_numpy()
    first, last = (int(np.datetime64(each.replace(" ", "T"), "ms").astype(int)) for each in (start, end))
    return len(np.unique(times[(times >= first) & (times < last)] // 60_000))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--trades", "BTC/USDT"], "a different A/B=FILE for each pair"),
        (["--trades", "BTC/USDT=/nowhere.parquet"], "it cannot be read"),
        (["--trades", "BTC/USDT=/nowhere.parquet", "--data", "/tmp"], "not both"),
        (["--trades", "BTC/EUR=/nowhere.parquet"], "set --quote"),
    ],
)
def test_trades_that_cannot_be_played_are_refused_in_one_line(
    tmp_path: Path, options: list[str], says: str
) -> None:
    done = parley(tmp_path, "run", *options)

    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()
