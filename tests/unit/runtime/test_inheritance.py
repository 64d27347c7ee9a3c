"""What a child may know of its parent's environment: what it needs, and no secret."""

from __future__ import annotations

import pytest

from runtime.inheritance import inherited, with_database

SECRETS = {
    "DATABASE_URL": "postgresql://me:zq11qz@host/parley", "PGPASSWORD": "zq11qz", "BINANCE_API_KEY": "zq11qz",
    "PARLEY_DATABASE__URL": "host=h password=zq11qz dbname=d", "AWS_SECRET_ACCESS_KEY": "zq11qz",
    "GITHUB_TOKEN": "zq11qz", "REDIS_URL": "redis://:zq11qz@host", "MY_THING": "zq11qz",
    "HTTPS_PROXY": "http://me:zq11qz@proxy:3128", "RAY_AUTH_TOKEN": "zq11qz",
    "PYTHON_KEYRING_PASSWORD": "zq11qz",
}  # fmt: skip
NEEDED = {
    "PATH": "/bin", "HOME": "/root", "LANG": "C.UTF-8", "LC_ALL": "C", "TZ": "UTC", "TMPDIR": "/tmp",
    "PYTHONPATH": "/x", "PYTHONHASHSEED": "1", "VIRTUAL_ENV": "/v", "LD_LIBRARY_PATH": "/l",
    "OMP_NUM_THREADS": "1",
    "PARLEY_HOME": "/h", "https_proxy": "http://proxy:3128", "SSL_CERT_FILE": "/c",
    "XDG_RUNTIME_DIR": "/run/user/1",
}  # fmt: skip


def test_child_has_what_it_needs_and_no_secret() -> None:
    assert inherited(SECRETS | NEEDED) == NEEDED


def test_only_who_uses_the_database_is_told_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)

    told = {name: value for name, value in with_database("").items() if "zq11qz" in value}

    assert told == {name: SECRETS[name] for name in ("DATABASE_URL", "PGPASSWORD")}
    assert with_database("postgresql://other/parley")["DATABASE_URL"] == "postgresql://other/parley"
