"""Settings: precedence of their sources, and every mistake one line that names key and place."""

from decimal import Decimal
from pathlib import Path

import pytest

from parley.errors import ConfigError
from runtime.settings import load_settings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PARLEY_HOME", "PARLEY_SEED", "PARLEY_PAIRS", "PARLEY_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def write(folder: Path, text: str) -> Path:
    path = folder / "desk.toml"
    path.write_text(text)
    return path


def test_without_anything_the_made_up_market_runs_at_a_speed_for_people() -> None:
    settings = load_settings()

    assert (settings.is_recorded, settings.candle, settings.pace) == (False, "5m", 3000.0)


def test_recorded_data_runs_as_fast_as_it_goes() -> None:
    settings = load_settings(None, {"data": "somewhere"})

    assert (settings.candle, settings.pace) == ("1m", "max")


def test_command_line_wins_over_environment_and_environment_over_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, 'seed = 1\ncapital = 1000\nquote = "EUR"\n')
    monkeypatch.setenv("PARLEY_SEED", "2")
    monkeypatch.setenv("PARLEY_CAPITAL", "2000")

    settings = load_settings(file, {"seed": 3, "capital": None})

    assert (settings.seed, settings.capital, settings.quote) == (3, Decimal(2000), "EUR")


def test_file_speaks_as_the_command_line_does(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        'pairs = ["BTC/USDT", "ETH/USDT"]\nfrom = 2021-05-08\nto = "2021-05-20"\nspeed = "max"\n'
        '[desk]\nmin_quorum = 0.3\n[agents."strategy/trend"]\nshare = 0.5\n',
    )

    settings = load_settings(file)

    assert settings.pairs == ("BTC/USDT", "ETH/USDT")
    assert [f"{moment:%Y-%m-%dT%H:%M%z}" for moment in (settings.start, settings.end) if moment] == [
        "2021-05-08T00:00+0000",
        "2021-05-20T00:00+0000",
    ]
    assert (settings.desk.min_quorum, settings.agents) == (0.3, {"strategy/trend": {"share": 0.5}})


def test_environment_reaches_tables_and_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_DESK__MAX_OPEN_TRADES", "3")
    monkeypatch.setenv("PARLEY_PAIRS", "BTC/USDT, ETH/USDT")

    settings = load_settings()

    assert (settings.desk.max_open_trades, settings.pairs) == (3, ("BTC/USDT", "ETH/USDT"))


def test_folder_of_test_data_starts_no_recorded_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_DATA", "/somewhere")

    assert load_settings().data is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('piars = ["A/B"]', "unknown key 'piars': did you mean 'pairs'?"),
        ("[desk]\nmin_qourum = 0.3", "unknown key 'desk.min_qourum': did you mean 'min_quorum'?"),
        ("seed = -1", "seed: input should be greater than or equal to 0, was -1"),
        ('speed = "fast"', "speed must be 'max' or market seconds per second above 0, was 'fast'"),
        ('from = "yesterday"', "from must be a date such as '2021-05-08' or an ISO time, was 'yesterday'"),
        ('timeframe = "1 m"', "timeframe: string should match pattern"),
        ("seed = = 1", "is no TOML"),
    ],
)
def test_mistake_in_the_file_names_file_and_key(tmp_path: Path, text: str, expected: str) -> None:
    file = write(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        load_settings(file)

    assert expected in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PARLEY_SEDE", "7", "unknown variable 'PARLEY_SEDE': did you mean 'PARLEY_SEED'?"),
        ("PARLEY_SEED", "x", "environment: seed: "),
        ("PARLEY_DATABSE__URL", "x", "'PARLEY_DATABSE__URL': did you mean 'PARLEY_DATABASE__URL'?"),
        ("PARLEY_DATABASE_URL", "x", "'PARLEY_DATABASE_URL': did you mean 'PARLEY_DATABASE__URL'?"),
        ("PARLEY_LIMITTS__MAX_ORDERS", "1", "did you mean 'PARLEY_LIMITS__MAX_ORDERS'?"),
        ("PARLEY_DESK__MIN_QOURUM", "0.3", "environment: unknown key 'desk.min_qourum': did you mean"),
    ],
)
def test_mistake_in_the_environment_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError) as caught:
        load_settings()

    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "in_the_file", "expected"),
    [
        ("MIN_QUORUM", "0.3", "max_open_tradez = 3", "{file}: unknown key 'desk.max_open_tradez': did you"),
        ("MIN_QUORUM", "0.3", "max_strikes = 0", "{file}: desk.max_strikes: input should be"),
        ("MIN_QOURUM", "0.3", "max_strikes = 2", "environment: unknown key 'desk.min_qourum': did you"),
        ("MAX_STRIKES", "0", "max_strikes = -1", "environment: desk.max_strikes: input should be"),
    ],
)
def test_mistake_in_a_table_that_two_places_fill_names_the_place_of_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: str, in_the_file: str, expected: str
) -> None:
    file = write(tmp_path, f"[desk]\n{in_the_file}")
    monkeypatch.setenv(f"PARLEY_DESK__{key}", value)

    with pytest.raises(ConfigError) as caught:
        load_settings(file)

    assert str(caught.value).startswith(expected.format(file=repr(str(file))))


def test_mistake_of_the_command_line_is_not_blamed_on_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PARLEY_SEED", "2")

    with pytest.raises(ConfigError, match=r"^settings: seed: "):
        load_settings(None, {"seed": -1})


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*none\.toml"):
        load_settings(tmp_path / "none.toml")


def test_table_given_as_text_and_as_keys_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_DESK", "1")
    monkeypatch.setenv("PARLEY_DESK__PLACEMENT", "packed")

    with pytest.raises(ConfigError, match="'PARLEY_DESK' and 'PARLEY_DESK__PLACEMENT' exclude each other"):
        load_settings()


def test_file_named_by_the_environment_is_read_by_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_CONFIG", str(write(tmp_path, "seed = 5")))
    other = tmp_path / "other.toml"
    other.write_text("seed = 6")

    assert load_settings().seed == 5
    assert load_settings(other).seed == 6
    monkeypatch.setenv("PARLEY_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*none\.toml"):
        load_settings()


def test_home_is_the_same_for_all_who_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert load_settings(write(tmp_path, 'home = "~/desks"')).home == tmp_path / "desks"
    monkeypatch.setenv("PARLEY_HOME", "~/runs")
    assert load_settings().home == tmp_path / "runs"


def test_empty_variable_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PARLEY_HOME", "PARLEY_SEED", "PARLEY_DESK__DASHBOARD", "PARLEY_PAIRS"):
        monkeypatch.setenv(name, "")

    assert load_settings().model_dump() == load_settings(None, {"seed": 1}).model_dump()
    monkeypatch.setenv("PARLEY_SEDE", "")
    with pytest.raises(ConfigError, match="unknown variable 'PARLEY_SEDE'"):
        load_settings()


SECRET = "zq11qz"
URL = f"postgresql://me:{SECRET}@host/parley"


@pytest.mark.parametrize(
    "text",
    [
        f'[database]\nurl = ["{URL}"]',
        f'[database]\nurl = {{password = "{SECRET}"}}',
        f'database = "{URL}"',
        f'database = "me:{SECRET}@host"',
        f'database = ["{SECRET}"]',
        f'[database]\n"{URL}" = 1',
        f'[database]\nenabled = "{URL}"',
        f'speed = "{URL}"',
        f'from = "password={SECRET}"',
        f'home = ["{URL}"]',
        f'api = "{SECRET}"',
    ],
)
def test_no_mistake_shows_a_password(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, text))

    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARLEY_DATABASE", URL),
        ("PARLEY_DATABASE__ENABLED", URL),
        ("PARLEY_DATABASE__EMBEDDED", f"password={SECRET}"),
        ("PARLEY_SPEED", URL),
    ],
)
def test_no_mistake_in_the_environment_shows_a_password(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError) as caught:
        load_settings()

    assert SECRET not in str(caught.value)
