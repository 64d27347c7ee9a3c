"""Takes secrets out of text that is about to be shown or written: one redaction for all logs and errors.

Problem: a secret reaches a log in whatever somebody happened to print: a repr, JSON within JSON, a URL, a
header, a source line of a traceback, the answer of an exchange. So it is found in two ways. By shape: what a
name such as `api_key` is given, the password of a URL, a bearer token, a private key. And by value: secrets
that this process was given are known, and are hidden wherever and however escaped they appear.

Not here: which streams pass through it (`logs`), what a process inherits (`inheritance`).

Invariant: redacting twice changes nothing more. It costs nothing until somebody writes a line, and hides too
much rather than too little: the rest of an ambiguous value goes with it.
"""

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

HIDDEN: Final = "[redacted]"
# Shorter ones are words that every line may hold.
SHORTEST: Final = 6

_WORD: Final = (
    r"(?:pass(?:word|wd|phrase)|secret|token|api[_\- ]?key|authori[sz]ation|cookie|credential|signature"
    r"|(?:access|account|auth|client|cursor|encryption|hmac|listen|mac|master|private|signing)[_-]?key"
    r"|(?:amqp|broker|database|influx|mongo|postgres(?:ql)?|redis)[_-]{0,2}ur[il]"
    r"|(?:(?<![a-z])|(?<=\\[nrt]))(?:dsn|pwd|auth))(?:[_-]?(?:value|\d{1,3}))?s?"
)
# Something of every word above and of every shape below, so that most texts are passed over at little cost.
# It is looked for in lower case, which takes a fifth of the time of ignoring the case.
_HINT: Final = re.compile(
    r"pass|secret|token|key|auth|cookie|credential|signature|ur[il]|dsn|pwd"
    r"|://|bearer|digest|basic|eyj|sk-|gh[pousr]_|github_pat_|xox|akia|[a-z0-9]{64}"
)
_SECRET_NAME: Final = re.compile(rf"(?i){_WORD}$")

# What stands between a name and its value: `=`, `: `, `': '`, `\": \"`, `==`, an annotation, a pair's comma,
# or the word `value` of a list of names and values.
_TYPE: Final = r":\s*(?:str|bytes|object|Any|SecretStr)(?:\s*\|\s*None)?\s*=\s*"
_BETWEEN: Final = (
    rf"(?:\\{{0,15}}[\"']?\]?\s*(?:{_TYPE}|[=!]=|=>|:=|[:=])\s*"
    r"|\\{0,15}[\"']\s*,\s*(?:\\{0,15}[\"']?value\\{0,15}[\"']?\s*[:=]\s*)?(?=b?\\{0,15}[\"'])"
    r"|(?<=\w)\s+(?=\\{0,15}[\"']))"
)
# Up to the same quote with no more backslashes before it; without one, to the end.
_QUOTED: Final = r"[bBuUrRfF]{0,2}(?P<quote>\\{0,15}[\"']{1,3})(?s:.*?)(?:(?<!\\)(?P=quote)|\Z)"
# A quote, or a `&` before the next name, ends a bare value only where something else may begin. FILE stands
# for what a user has to fill in.
_BARE: Final = r"(?!FILE\b)(?:[^\s&\"']|&(?![\w.\-\[\]]+=)|[\"'](?![\s,;:)}\]]|$))+"
_PAIR: Final = re.compile(rf"(?im)(?P<name>{_WORD}{_BETWEEN})(?:{_QUOTED}|(?P<bare>{_BARE}))")
_OPTION: Final = re.compile(rf"(?i)(?P<name>--[\w-]{{0,40}}{_WORD})[ \t]+(?!-)[^\s]+")
# A header's value goes to the end of its line, or of the text it stands in.
_HEADER: Final = re.compile(
    r"(?im)(?P<name>(?:proxy-)?authori[sz]ation|(?:set-)?cookie)"
    rf"(?!\s*{_TYPE})(?P<is>\s*[:=](?!=)\s*)(?=[^\s\"'\\])[^\r\n\"']+"
)

_PRIVATE_KEY: Final = re.compile(r"(?:0[xX])?(?P<digits>[0-9a-fA-F]{64})")
_ESCAPES: Final = {"\n": "n", "\t": "t", "\r": "r", "\b": "b", "\f": "f"}
_SHAPES: Final = (
    (
        re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]{0,40}KEY-----|\Z)"),
        HIDDEN,
    ),
    # `user:password@` stands for what a user has to fill in.
    (
        re.compile(r"(?P<to>\b[A-Za-z][\w+.\-]{0,30}://(?!user:password@)[^\s:/?#\"@]{0,200}):[^\s\"]{1,400}@"),
        rf"\g<to>:{HIDDEN}@",
    ),
    (re.compile(r"(?i)\b(?P<how>bearer|digest)\s+(?!\[redacted)[^\s,;\"'\\]{6,}"), rf"\g<how> {HIDDEN}"),
    (re.compile(r"\b(?P<how>[Bb]asic)\s+(?=[\w+/]*[A-Z0-9=])[\w+/]{6,}=*"), rf"\g<how> {HIDDEN}"),
    (re.compile(r"\beyJ[\w-]{6,}\.[\w-]+\.[\w-]*"), HIDDEN),
    (re.compile(r"\b(?:sk-|gh[pousr]_|github_pat_|xox[abeprs]-|AKIA|AGE-SECRET-KEY-)[\w-]{12,}"), HIDDEN),
    # Keys of Binance; hashes are of one case.
    (
        re.compile(
            r"(?<![A-Za-z0-9])(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{64}(?![A-Za-z0-9])"
        ),
        HIDDEN,
    ),
)  # fmt: skip


class Redaction:
    """Redacts with the secrets it was told, in all forms in which they may be written."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._known: re.Pattern[str] | None = None
        self.learn(*secrets)

    def learn(self, *secrets: str) -> None:
        """Know these, too; those that are too short to be told from words are left to their names."""
        told = [form for secret in secrets for form in (secret, *_digits_of(secret))]
        self._secrets.update(secret for secret in told if len(secret) >= SHORTEST)
        # The longest first: one secret may begin with another.
        ordered = sorted(self._secrets, key=len, reverse=True)
        self._known = re.compile("|".join(map(_any_form, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """Return a text without its secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        if _HINT.search(text.lower()) is None:
            return text
        for pattern, instead in _SHAPES:
            text = pattern.sub(instead, text)
        text = _OPTION.sub(rf"\g<name> {HIDDEN}", text)
        text = _PAIR.sub(_without_value, text)
        return _HEADER.sub(rf"\g<name>\g<is>{HIDDEN}", text)

    def value(self, value: object) -> object:
        """Return a value for JSON without its secrets, by the names and the looks of its parts."""
        match value:
            case str():
                return self.text(value)
            case None | bool() | int() | float():
                return value
            case Mapping():
                return {
                    self.text(str(key)): HIDDEN if each and is_secret(str(key)) else self.value(each)
                    for key, each in value.items()
                }
            case list() | tuple() | set() | frozenset():
                return [self.value(each) for each in value]
            case _:
                return self.text(str(value))


def _digits_of(secret: str) -> tuple[str, ...]:
    """Return the digits of a private key as libraries write them: without its 0x, in either case."""
    found = _PRIVATE_KEY.fullmatch(secret)
    return (found["digits"].lower(), found["digits"].upper()) if found else ()


def _without_value(found: re.Match[str]) -> str:
    mark = found["quote"] or ""
    return f"{found['name']}{mark}{HIDDEN}{mark}"


@lru_cache(maxsize=1024)  # names are few, and come with every line
def is_secret(name: str) -> bool:
    """Whether what has this name is a secret."""
    return _SECRET_NAME.search(name) is not None


def _any_form(secret: str) -> str:
    """Return a pattern of a secret as it is, in base 64, and behind any number of escapes."""
    in_base_64 = base64.b64encode(secret.encode("utf-8", "surrogatepass")).decode()
    return f"(?:{''.join(map(_as_written, secret))}|{re.escape(in_base_64)})"


def _as_written(char: str) -> str:
    """Return a pattern of one character as reprs, JSON and URLs write it, also one within the other."""
    if char.isascii() and char.isalnum():
        return char  # nobody escapes these, and a pattern that begins with one is found fast
    raw, code = char.encode("utf-8", "surrogatepass"), ord(char)
    units = char.encode("utf-16-be", "surrogatepass").hex()
    ways = [
        re.escape(char),
        "".join(f"%{byte:02X}" for byte in raw),
        "".join(rf"\\{{1,15}}x{byte:02x}" for byte in raw),
        "".join(rf"\\{{1,15}}u{units[n : n + 4]}" for n in range(0, len(units), 4)),
        rf"\\{{1,15}}U{code:08x}",
        *([rf"\\{{1,15}}x{code:02x}"] if code < 256 else []),
        *([rf"\\{{1,15}}{_ESCAPES[char]}"] if char in _ESCAPES else []),
        *([r"\+"] if char == " " else []),
    ]
    return rf"\\{{0,15}}(?:{'|'.join(dict.fromkeys(ways))})"


# What this process was given, and whoever reads a file of keys adds to it. One per process, as its standard
# error is.
OWN: Final = Redaction()


def learn_environment(environment: Mapping[str, str] | None = None) -> None:
    """Know the secrets among this process's variables, and the passwords in their URLs."""
    found = os.environ if environment is None else environment
    for name, value in found.items():
        OWN.learn(*_passwords(value), *([value] if is_secret(name) and not _is_place(value) else []))


def _is_place(value: str) -> bool:
    # PWD is named like a password; a path that is taken out of every line helps nobody.
    return os.path.isabs(value) and os.path.exists(value)


def _passwords(value: str) -> list[str]:
    _, scheme, rest = value.partition("://")
    login = rest.rpartition("@")[0] if scheme else ""
    return [login.partition(":")[2]] if ":" in login else []


def secrets_in(raw: bytes) -> list[str]:
    """Return what a file of secrets holds: values of secret names if it is JSON, else all of it."""
    try:
        return list(_by_name(json.loads(raw)))
    except ValueError:
        return [raw.decode(errors="replace").strip()]


def _by_name(value: object, name: str = "") -> Iterator[str]:
    match value:
        case str() if is_secret(name):
            yield value
        case dict():
            for key, each in value.items():
                yield from _by_name(each, str(key))
        case list():
            for each in value:
                yield from _by_name(each, name)
        case _:
            pass


def redacted(text: str) -> str:
    """Return a text without secrets: those that look like some, and those of this process."""
    return OWN.text(text)
