"""One example of every message, filled from its schema, and strategies for random ones.

Every field of an example has a value of its own that is not its default, so bytes
change when fields are reordered, renamed to another meaning by position or retyped.

``python -m tests.kit.message_examples`` appends the bytes of examples that changed to
`GOLDEN`. That is right after a field was appended, and wrong after anything else: the
older lines stay, and must still decode.
"""

import json
from decimal import Decimal
from pathlib import Path

import msgspec
from hypothesis import strategies as st

from parley.messages import TYPES, Message, encode

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "messages" / "messages.json"

inspect = msgspec.inspect


def example(kind: type[msgspec.Struct]) -> Message:
    """The fixed example of a message type."""
    made = _filled(inspect.type_info(kind), kind.__name__)
    assert isinstance(made, Message)
    return made


def _filled(kind: inspect.Type, name: str) -> object:
    n = 1 + sum(name.encode()) % 97  # depends on the name alone
    match kind:
        case inspect.StrType():
            return name
        case inspect.IntType():
            return 1_000 + n
        case inspect.FloatType():
            return n + 0.25
        case inspect.BoolType():
            return name not in ("ok", "binding", "definitive")  # those have no default
        case inspect.BytesType():
            return bytes([n]) * 16
        case inspect.DecimalType():
            return Decimal(n) + Decimal("0.50")
        case inspect.UnionType(types=types):
            return _filled(next(t for t in types if not isinstance(t, inspect.NoneType)), name)
        case inspect.VarTupleType(item_type=item):
            return (_filled(item, name + "0"), _filled(item, name + "1"))
        case inspect.TupleType(item_types=items):
            return tuple(_filled(item, f"{name}{i}") for i, item in enumerate(items))
        case inspect.StructType(cls=cls, fields=fields):
            return cls(**{field.name: _filled(field.type, field.name) for field in fields})
    raise AssertionError(f"{name}: no example for {kind}")


def messages(kind: type[msgspec.Struct]) -> st.SearchStrategy[object]:
    """Random values of a message type."""
    return _random(inspect.type_info(kind))


def _random(kind: inspect.Type) -> st.SearchStrategy[object]:
    match kind:
        case inspect.StrType():
            return st.text(max_size=8)
        case inspect.IntType():
            return st.integers(-(2**63), 2**64 - 1)
        case inspect.FloatType():
            return st.floats(allow_nan=False)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.BytesType():
            return st.binary(max_size=16)
        case inspect.DecimalType():
            return st.decimals(allow_nan=False)
        case inspect.UnionType(types=types):
            return st.one_of([_random(t) for t in types])
        case inspect.VarTupleType(item_type=item):
            return st.lists(_random(item), max_size=2).map(tuple)
        case inspect.TupleType(item_types=items):
            return st.tuples(*[_random(item) for item in items])
        case inspect.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{field.name: _random(field.type) for field in fields})
    raise AssertionError(f"no strategy for {kind}")


def golden() -> dict[str, list[str]]:
    """The committed bytes as hex per message name, oldest schema first."""
    known: dict[str, list[str]] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    return known


def main() -> None:
    known = golden()
    for kind in TYPES:
        lines = known.setdefault(kind.__name__, [])
        now = encode(example(kind)).hex()
        if not lines or lines[-1] != now:
            lines.append(now)
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    GOLDEN.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
