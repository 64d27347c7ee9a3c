"""No planted secret survives redaction, whatever its shape and whatever it was written into.

Every secret is built of marks that occur nowhere else, with anything between them, so that a part that was
left over is found however it was escaped.
"""

from __future__ import annotations

import base64
import json
import re
import traceback
from collections.abc import Callable
from dataclasses import make_dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.redaction import HIDDEN, Redaction, is_secret, learn_environment, redacted

NAMES = [
    "password", "passwd", "passphrase", "secret", "token", "api_key", "apiKey", "API-KEY", "X-MBX-APIKEY",
    "client_secret", "clientSecret", "access_token", "AWS_SECRET_ACCESS_KEY", "private_key", "PGPASSWORD",
    "DATABASE_URL", "signature", "authorization", "Proxy-Authorization", "Cookie", "cursor_key", "dsn",
    "PARLEY_DATABASE__URL", "listenKey", "redis_url",
]  # fmt: skip
MARK = re.compile(r"zq\d\dqz")
ODD = "'\"\\`@:/?#[]!$&()*+,;=%{}<>|^~ \t\n\r\x00äß€\U0001f600"
# What a writer who quotes nothing can put into one word.
PLAIN = "@:/?#!$()*+,;=%{}<>|^~-_.äß€\U0001f600"
named = st.sampled_from(NAMES)


def secrets(between: str) -> st.SearchStrategy[str]:
    """Draw texts of at least two marks with any of some characters around and between them."""
    gap = st.text(between, max_size=4)
    mark = st.integers(10, 99).map(lambda n: f"zq{n}qz")
    return st.builds(
        lambda first, parts: first + "".join(mark + gap for mark, gap in parts),
        gap, st.lists(st.tuples(mark, gap), min_size=2, max_size=5),
    )  # fmt: skip


def _struct(name: str, secret: str) -> str:
    made = make_dataclass("Keys", [("venue", str), (re.sub(r"\W", "_", name), str), ("size", int)])
    return repr(made("binance", secret, 3))


def _source_line(name: str, secret: str) -> str:
    field = re.sub(r"\W", "_", name)
    return f'File "x.py", line 3, in connect\n    {field}: str = {secret!r}\nValueError: no'


# How programs quote: what stands around is kept apart from the secret by rules.
QUOTING: dict[str, Callable[[str, str], str]] = {
    "repr of a dict": lambda name, secret: repr({"venue": "x", name: secret, "n": 1}),
    "repr of bytes": lambda name, secret: repr({name.encode(): secret.encode(), b"n": b"1"}),
    "json": lambda name, secret: json.dumps({"venue": "x", name: secret, "n": [1]}),
    "json, compact": lambda name, secret: json.dumps({name: secret, "n": 1}, separators=(",", ":")),
    "json, as it is": lambda name, secret: json.dumps({name: secret}, ensure_ascii=False),
    "headers": lambda name, secret: repr([("accept", "*/*"), (name, secret)]),
    "raw headers": lambda name, secret: repr([(b"accept", b"*/*"), (name.encode(), secret.encode())]),
    "names and values": lambda name, secret: json.dumps([{"name": name, "value": secret}]),
    "struct": _struct,
    "source line": _source_line,
    "comparison": lambda name, secret: f"    if {re.sub(r'[^0-9A-Za-z_]', '_', name)} == {secret!r}:",
    "query": lambda name, secret: f"GET https://host:8443/x?a=1&{urlencode({name: secret})}&b=2 failed",
}
# How people and simple programs write: a word after a name.
SAYING: dict[str, Callable[[str, str], str]] = {
    "assignment": lambda name, secret: f"connecting with {name}={secret} to host",
    "yaml": lambda name, secret: f"venue: x\n{name}: {secret}\nn: 1",
    "environment": lambda name, secret: f"HOME=/root\n{name}={secret}\nPATH=/bin",
    "option": lambda name, secret: f"python x.py --{name} {secret.lstrip('-')} --n 1",
    "connection": lambda name, secret: f"host=h user=u {name}={secret} dbname=d",
}
WRAPPING: dict[str, Callable[[str], str]] = {
    "nothing": lambda text: text,
    "repr": repr,
    "json": json.dumps,
    "json in json": lambda text: json.dumps({"body": json.dumps({"said": text})}),
    "repr of json": lambda text: repr(json.dumps({"said": text})),
    "log line": lambda text: f"desk WARNING runtime.desk said {text} and went on",
}


def _unwrapped(text: str) -> str:
    # Escapes must not hide a mark.
    return text.replace("\\", "")


@pytest.mark.parametrize("container", QUOTING)
@given(name=named, secret=secrets(ODD), wrapping=st.sampled_from(sorted(WRAPPING)))
def test_quoted_secret_is_taken_out(container: str, name: str, secret: str, wrapping: str) -> None:
    text = WRAPPING[wrapping](QUOTING[container](name, secret))

    told = Redaction().text(text)

    assert not MARK.search(_unwrapped(told)), told
    assert HIDDEN in told
    assert Redaction().text(told) == told


@pytest.mark.parametrize("container", SAYING)
@given(name=named, secret=secrets(PLAIN), wrapping=st.sampled_from(sorted(WRAPPING)))
def test_secret_that_is_said_in_a_word_is_taken_out(
    container: str, name: str, secret: str, wrapping: str
) -> None:
    told = Redaction().text(WRAPPING[wrapping](SAYING[container](name, secret)))

    assert not MARK.search(_unwrapped(told)), told
    assert HIDDEN in told


@given(
    scheme=st.sampled_from(["postgresql", "postgres", "redis", "https", "amqp+ssl"]),
    user=st.sampled_from(["", "me", "parley_app"]),
    secret=secrets("':/?#[]!$&()*+,;=%{}@"),
    wrapping=st.sampled_from(sorted(WRAPPING)),
    before=st.sampled_from(["", "cannot reach ", "url=", "(", "'"]),
)
def test_password_of_a_url_is_taken_out(
    scheme: str, user: str, secret: str, wrapping: str, before: str
) -> None:
    text = f"{before}{scheme}://{user}:{secret}@host:5432/name?sslmode=require"

    told = Redaction().text(WRAPPING[wrapping](text))

    assert not MARK.search(_unwrapped(told)), told
    assert "@host:5432/name" in told


@given(secret=secrets("-_.~+/"), how=st.sampled_from(["Bearer", "bearer", "Digest"]))
def test_bearer_is_taken_out_wherever_it_stands(secret: str, how: str) -> None:
    for text in (f"sent {how} {secret}", json.dumps({"h": f"{how} {secret}"}), f"x: {how} {secret}\r\ny: 1"):
        assert not MARK.search(Redaction().text(text)), text


@given(secret=secrets(ODD), wrapping=st.sampled_from(sorted(WRAPPING)), said=st.text(max_size=20))
def test_known_secret_is_taken_out_of_anything(secret: str, wrapping: str, said: str) -> None:
    redaction = Redaction([secret])
    try:
        {}[secret]
    except KeyError:
        failure = traceback.format_exc()

    for text in (
        secret, f"{said}{secret}{said}", repr(secret), json.dumps([secret]), failure, quote(secret, safe=""),
        repr(secret.encode()),
    ):  # fmt: skip
        assert not MARK.search(_unwrapped(redaction.text(WRAPPING[wrapping](text)))), text
    assert base64.b64encode(secret.encode()).decode() not in redaction.text(
        f"sent {base64.b64encode(secret.encode()).decode()}"
    )


@given(name=named, secret=secrets(ODD), deep=st.integers(0, 3))
def test_secret_in_a_value_is_taken_out_by_name(name: str, secret: str, deep: int) -> None:
    value: object = {name: secret, "n": 1}
    for turn in range(deep):
        value = [value] if turn % 2 else {"inner": value, "set": {1}}

    told = json.dumps(Redaction().value(value))

    assert not MARK.search(told)
    assert '"n": 1' in told


@pytest.mark.parametrize("name", NAMES)
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "text",
    [
        "round rnd_l4souuxqqxcnzu3n6klcwu4l4u accept BTC/USDT at 378.4 by strategy/trend",
        "unknown key 'desk.min_qourum': did you mean 'min_quorum'?",
        "http://127.0.0.1:8000/api/v1/rounds?limit=1&outcome=accept",
        "cannot read the keys in '/home/me/keys.json': Permission denied",
        "DATABASE_URL must look like postgresql://user:password@host:5432/name",
        "the address is tcp://10.0.0.1:7000?token_file=/home/me/token, mail me@host",
        "set desk.listen to 'tcp://host:port?token=FILE'",
        "groups 12 head 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        '{"event": "request", "ms": 1.5, "path": "/livez", "status": 200}',
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redaction().text(text) == text


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN EC PRIVATE KEY-----\nMHQCAQEEIzq11qz\nzq12qz\n-----END EC PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nzq11qz, cut off",
        "eyJhbGciOiJIUzI1NiJ9.zq11qz.zq12qz",
        "ghp_zq11qz0123456789", "github_pat_zq11qz0123456789", "sk-zq11qz0123456789", "xoxb-zq11qz0123456789",
        "AKIAzq11qz01234567", "AGE-SECRET-KEY-1zq11qz0123456789", "Basic enExMXF6Onpxzq11qz==",
        "zq11qz" + "aB3" * 19 + "x",
    ],
)  # fmt: skip
def test_what_is_a_secret_by_its_looks_is_taken_out(secret: str) -> None:
    for text in (secret, f"sent {secret} to", repr(secret), json.dumps({"x": secret})):
        told = Redaction().text(text)
        assert not MARK.search(told), told
        assert HIDDEN in told


def test_a_place_is_no_password_although_pwd_is_named_like_one(tmp_path: Path) -> None:
    learn_environment({"PWD": str(tmp_path), "DB_PWD": "zq10qzzq10qz"})

    assert redacted(f"see {tmp_path}/log") == f"see {tmp_path}/log"
    assert "zq10qzzq10qz" not in redacted("it was zq10qzzq10qz")
