"""Requests of random shape, made from the OpenAPI document: mostly meant, partly nonsense.

Not here: sending them. Invariant: what is drawn depends on the document and on hypothesis alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

METHODS = ("GET", "GET", "GET", "GET", "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "BREW")
# A smiling face, a sign that turns the writing around, and what once broke something somewhere.
ODD = [
    "", "null", "NaN", "-1", "1e309", "0", "201", "true", "' OR 1=1 --", "%00", "\x00", "../../etc", "[]",
    "{}", "9" * 400, "9" * 5000, "-" + "9" * 30, "0x10", "1_000", "\u0661\u0662", "1e-400", "+1", " 1 ",
    "\U0001f600", "\u202e", "ord_", "rnd_" + "a" * 26, "rnd_" + "A" * 26, "2021-13-01T00:00:00Z",
    "99999-01-01T00:00:00Z", "0000-00-00", "9223372036854775808", "-infinity", "tomorrow",
]  # fmt: skip
NONSENSE = st.one_of(st.text(max_size=30), st.integers().map(str), st.floats().map(str), st.sampled_from(ODD))
HEADERS = {
    "traceparent": ["00-" + "a" * 32 + "-" + "b" * 16 + "-01", "00-" + "0" * 32 + "-x", "nonsense"],
    "Accept": ["application/xml", "*/*", "application/json;q=0"],
    "Accept-Encoding": ["gzip", "identity;q=0", "br, *"],
    "If-None-Match": ['"v1"', "*"],
    "Range": ["bytes=0-1", "bytes=9-1"],
    "Content-Type": ["application/json", "text/plain", "x", "multipart/form-data; boundary=", "\xff"],
    "X-Forwarded-Host": ["evil.example"],
    "X-HTTP-Method-Override": ["DELETE"],
    "Host": ["evil.example", "", "localhost:99999", "[::1]", "127.0.0.1", "[", "a" * 2000, "localhost, evil"],
    "Origin": ["https://evil.example", "null", "\xe4"],
    "Cookie": ["a=b; c=" + "d" * 3000, "\xff=\xfe"],
    "Authorization": ["Bearer x", "Basic ?", ""],
    "Content-Length": ["0", "-1", "x", "9" * 30],
    "Content-Encoding": ["gzip", "x"],
    "Transfer-Encoding": ["chunked", "gzip, chunked", "x"],
    "Expect": ["100-continue", "x"],
    "Connection": ["Upgrade", "close", "x, y"],
    "Upgrade": ["websocket", "h2c"],
    "X-Odd": ["x" * 8000, "\t", "%0d%0aSet-Cookie: a=b"],
}


HANDSHAKE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "12", "Sec-WebSocket-Key": "x",
}  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """A request, ready to send."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def requests(document: dict[str, Any], pages: Mapping[str, str] | None = None) -> st.SearchStrategy[Drawn]:
    """Return a strategy of requests against a document's paths; ``pages`` are cursors by their query."""
    known = dict(pages or {})
    given = _cursors(sorted(known.values()))
    meant = st.sampled_from(sorted(document["paths"])).flatmap(lambda path: _of_path(document, path, given))
    astray = st.builds(
        Drawn, st.sampled_from(METHODS),
        st.lists(st.one_of(NONSENSE, st.sampled_from(["api", "v1", "rounds", "stream"])), max_size=5).map(
            lambda parts: "/" + "/".join(quote(part, safe="") for part in parts)
        ),
        _headers(), st.binary(max_size=100),
    )  # fmt: skip
    following = st.sampled_from(sorted(known.items())).map(
        lambda page: Drawn("GET", f"{page[0]}&cursor={quote(page[1], safe='')}")
    )
    return st.one_of(meant, meant, meant, meant, meant, astray, *([following] if known else []))


def _cursors(known: Sequence[str]) -> st.SearchStrategy[str]:
    """Draw cursors as they were given, and such with a part cut, doubled or changed."""
    if not known:
        return NONSENSE
    whole = st.sampled_from(sorted(known))
    part = st.builds(lambda text, n: text[:n], whole, st.integers(0, 200))
    changed = st.builds(
        lambda text, n, char: text[: n % len(text)] + char + text[n % len(text) + 1 :],
        whole, st.integers(0, 500), st.sampled_from("AZaz09-_=.%"),
    )  # fmt: skip
    return st.one_of(whole, whole, part, changed, whole.map(lambda text: text * 2), NONSENSE)


@st.composite
def _of_path(draw: st.DrawFn, document: dict[str, Any], path: str, cursors: st.SearchStrategy[str]) -> Drawn:
    # the method is drawn by itself below: what a path does not do is refused, whatever comes with it
    operations = document["paths"][path]
    operation = operations[draw(st.sampled_from(sorted(operations)))]
    known = {each["name"]: each for each in operation.get("parameters", [])}
    for name, parameter in known.items():
        if parameter["in"] == "path":
            value = draw(st.one_of(st.sampled_from(parameter["schema"].get("examples", ["x"])), NONSENSE))
            path = path.replace("{" + name + "}", quote(value, safe=""))
    query: list[tuple[str, str]] = []
    for name, parameter in known.items():
        if name == "cursor" and draw(st.booleans()):
            query.append((name, draw(cursors)))
        elif parameter["in"] == "query" and draw(st.booleans()):
            query.append(
                (name, draw(st.one_of(_value(parameter["schema"]), _value(parameter["schema"]), NONSENSE)))
            )
    if draw(st.integers(0, 9)) == 0:
        query.append((draw(NONSENSE), draw(NONSENSE)))
    if query and draw(st.integers(0, 9)) == 0:
        query.append(query[0])
    text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    body = draw(st.one_of(st.just(b""), st.just(b""), st.just(b"null"), st.binary(max_size=200)))
    return Drawn(draw(st.sampled_from(METHODS)), f"{path}?{text}" if text else path, draw(_headers()), body)


def _headers() -> st.SearchStrategy[dict[str, str]]:
    one = st.sampled_from(sorted(HEADERS)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(HEADERS[name]))
    )
    several = st.lists(one, max_size=3).map(dict)
    return st.one_of(several, several, several, st.builds(lambda more: HANDSHAKE | more, several))


def _value(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if "anyOf" in schema:
        kinds = [each for each in schema["anyOf"] if each.get("type") != "null"]
        return st.one_of(*(_value(each) for each in kinds))
    if "enum" in schema:
        return st.sampled_from([str(each) for each in schema["enum"]])
    match schema.get("type"):
        case "integer":
            return st.integers(schema.get("minimum"), schema.get("maximum")).map(str)
        case "boolean":
            return st.sampled_from(["true", "false", "1", "no"])
        case "string" if schema.get("format") == "date-time":
            moments = st.datetimes().map(lambda moment: moment.isoformat() + "Z")
            return st.one_of(moments, st.sampled_from(["2021-05-08T00:02:00Z", "0001-01-01T00:00:00+23:59"]))
        case _:
            known = st.sampled_from(["ETH/USDT", "small", "main", "risk", "strategy/trend"])
            return st.one_of(known, st.text(max_size=schema.get("maxLength", 20)))
