"""What an API may be told, and above all where it may listen."""

from __future__ import annotations

import pytest

from api.config import ApiConfig, bind_address, check
from parley.errors import ConfigError, UserError
from runtime.postgres import Database


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.10", "example.org", "", "127.0.0.1.evil", "*"])
def test_address_of_others_is_refused(host: str) -> None:
    with pytest.raises(UserError, match="loopback address only") as raised:
        check(ApiConfig(host=host))

    assert repr(host) in str(raised.value)


@pytest.mark.parametrize(
    ("host", "address"),
    [("localhost", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("127.0.0.2", "127.0.0.2"), ("::1", "::1")],
)
def test_own_address_is_taken(host: str, address: str) -> None:
    config = ApiConfig(host=host)

    check(config)

    assert bind_address(config) == address


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (ApiConfig(port=70000), "'port' must lie between 0 and 65535, was 70000"),
        (ApiConfig(port=-1), "'port' must lie between 0 and 65535, was -1"),
        (ApiConfig(connections=0), "'connections' must lie between 1 and 50, was 0"),
        (ApiConfig(cursor_key="xyz"), "'cursor_key' must be a hexadecimal text"),
        (ApiConfig(log_level="loud"), "'log_level' must be"),
        (ApiConfig(tenant=""), "'tenant' must name one"),
    ],
)
def test_value_that_cannot_be_meant_is_named(config: ApiConfig, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check(config)


def test_database_must_be_named_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(ConfigError, match="DATABASE_URL"):
        Database.named(ApiConfig().database)

    monkeypatch.setenv("DATABASE_URL", "postgresql://me:secret@localhost/parley")
    assert not Database.named(ApiConfig().database).is_embedded
