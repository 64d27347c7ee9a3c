"""The read model's tables as SQLAlchemy sees them: for queries of the API and for `alembic check`.

Problem: who reads the read model needs its columns by name and type, and the migrations are the only place
that makes them. This is the readable statement of what they add up to; a test compares both.

``t`` is market time in ns, ``seq`` the place in the desk's journal, ``*_at`` wall time. Amounts are exact.
Row-level security and grants are in the migrations. `orders.image` is the fold's own memory, for the shipper.

Invariant: every table's keys start with the tenant; the rows are a pure function of the journals.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

SCHEMA = "parley"
METADATA = MetaData(schema=SCHEMA)

_INTEGER, _TEXT, _BYTES, _FLAG = BigInteger(), Text(), LargeBinary(), Boolean()
_AMOUNT, _JSON, _MOMENT = Numeric(), JSONB(), DateTime(timezone=True)
_FLOAT: TypeEngine[Any] = Double()


def _columns(words: str, kind: TypeEngine[Any]) -> list[Column[Any]]:
    return [Column(name, kind, nullable=False) for name in words.split()]


def _table(name: str, keys: str, *parts: Any, of_run: bool = True) -> Table[Any]:
    key_kinds: dict[str, TypeEngine[Any]] = {
        "round": _BYTES, "iid": _BYTES, "seq": _INTEGER, "gid": _INTEGER, "file_first_seq": _INTEGER,
        "committed_at": _MOMENT,
    }  # fmt: skip
    own = [
        Column("tenant_id", Uuid(), primary_key=True),
        Column("run_id", _TEXT, primary_key=True),
        *(
            Column(key, key_kinds.get(key, _TEXT), primary_key=True, autoincrement=False)
            for key in keys.split()
        ),
    ]
    runs = [f"{SCHEMA}.runs.tenant_id", f"{SCHEMA}.runs.run_id"]
    foreign = [ForeignKeyConstraint(["tenant_id", "run_id"], runs)] if of_run else []
    flat: list[Any] = [each for part in parts for each in (part if isinstance(part, list) else [part])]
    return Table(name, METADATA, *[*own, *flat, *foreign])


tenants = Table(
    "tenants", METADATA, Column("tenant_id", Uuid(), primary_key=True), Column("name", _TEXT, nullable=False),
    UniqueConstraint("name"),
)  # fmt: skip
runs = Table(
    "runs", METADATA,
    Column("tenant_id", Uuid(), ForeignKey(f"{SCHEMA}.tenants.tenant_id"), primary_key=True),
    Column("run_id", _TEXT, primary_key=True),
    *_columns("desk account", _TEXT), Column("config", _JSON), *_columns("started_at", _MOMENT),
)  # fmt: skip
cursors = _table(
    "cursors", "stream", _columns("path", _TEXT), _columns("file_first_seq gid seq", _INTEGER),
    _columns("head", _BYTES), _columns("t_commit t_market bytes", _INTEGER),
    Column("updated_at", _MOMENT, nullable=False, server_default=func.now()),
)  # fmt: skip
journal = _table(
    "journal", "stream seq committed_at", _columns("gid kind", _INTEGER), _columns("round", _BYTES),
    Column("sender", _TEXT), _columns("body", _BYTES), of_run=False,
)  # fmt: skip
journal_groups = _table(
    "journal_groups", "stream file_first_seq gid",
    _columns("epoch first_seq last_seq t_commit", _INTEGER), _columns("prev_hash hash", _BYTES), of_run=False,
)  # fmt: skip
rounds = _table(
    "rounds", "round", _columns("opened_seq t", _INTEGER), _columns("symbol trigger", _TEXT),
    _columns("asked", _JSON), _columns("outcome agent", _TEXT), _columns("proposals", _INTEGER),
    _columns("reason_by reason_code reason_detail", _TEXT), Column("decided_seq", _INTEGER),
)  # fmt: skip
decisions = _table(
    "decisions", "seq", _columns("round", _BYTES), _columns("t", _INTEGER), _columns("symbol", _TEXT),
    _columns("pid", _BYTES), _columns("agent action", _TEXT), _columns("qty qty_wanted", _AMOUNT),
    Column("px", _AMOUNT), _columns("score margin_of_win", _FLOAT), _columns("weights_version", _INTEGER),
    _columns("quorum", _FLOAT), _columns("proposals", _INTEGER),
    _columns("reasons bounds votes dissent plan", _JSON),
)  # fmt: skip
orders = _table(
    "orders", "iid", _columns("cid", _TEXT), _columns("seq changed_seq", _INTEGER),
    _columns("round pid", _BYTES), _columns("agent", _TEXT), _columns("leg child", _INTEGER),
    _columns("account venue symbol side style tif", _TEXT), _columns("reduce_only", _FLAG),
    _columns("qty", _AMOUNT), Column("px", _AMOUNT), Column("ref_px", _AMOUNT), _columns("state", _TEXT),
    _columns("filled quote", _AMOUNT), _columns("fees", _JSON), _columns("venue_id cause", _TEXT),
    _columns("t", _INTEGER), _columns("image", _BYTES), UniqueConstraint("tenant_id", "run_id", "cid"),
)  # fmt: skip
fills = _table(
    "fills", "venue account symbol trade_id", _columns("seq", _INTEGER), _columns("iid", _BYTES),
    _columns("venue_id side", _TEXT), _columns("qty px fee", _AMOUNT), _columns("fee_asset liquidity", _TEXT),
    _columns("t", _INTEGER),
)  # fmt: skip
positions = _table(
    "positions", "account symbol", _columns("seq t", _INTEGER),
    _columns("qty avg_px realised unrealised mark", _AMOUNT),
)  # fmt: skip
accounts = _table(
    "accounts", "account", _columns("seq t state_version", _INTEGER), _columns("quote trading", _TEXT),
    _columns("equity", _AMOUNT), _columns("cash holdings reservations blocked", _JSON),
)  # fmt: skip
equity = _table(
    "equity", "account seq", _columns("t", _INTEGER), _columns("equity peak day_open realised fees", _AMOUNT),
    _columns("trading", _TEXT),
)  # fmt: skip
agents = _table(
    "agents", "agent", _columns("role factory", _TEXT),
    _columns("words opinions proposals refusals silences lates faults strikes", _INTEGER),
    _columns("quarantined", _FLAG), Column("weight", _FLOAT), _columns("last_seq", _INTEGER),
    Column("last_at", _MOMENT),
)  # fmt: skip


def _shared(name: str, keys: str, values: str, *texts: Any) -> Table[Any]:
    # Market data is no tenant's: `t` is the time of a candle, trade or settlement.
    key_columns = [
        Column(key, _MOMENT if key == "t" else _TEXT, primary_key=True, autoincrement=False)
        for key in keys.split()
    ]
    return Table(name, METADATA, *key_columns, *texts, *_columns(values, _FLOAT))


candles = _shared("candles", "exchange pair kind timeframe t", "open high low close volume")
market_trades = _shared(
    "market_trades", "exchange pair kind t trade_id", "price amount", *_columns("side", _TEXT)
)
funding_rates = _shared("funding_rates", "exchange pair t", "rate")


def _index(name: str, table: Table[Any], *columns: str, where: str | None = None) -> None:
    Index(
        name, *(table.c[column] for column in ("tenant_id", "run_id", *columns)),
        postgresql_where=text(where) if where else None,
    )  # fmt: skip


_index("journal_by_round", journal, "round", "seq", where="round <> ''::bytea")
_index("rounds_by_seq", rounds, "opened_seq")
_index("decisions_by_round", decisions, "round")
_index("decisions_by_pid", decisions, "pid", where="pid <> ''::bytea")
_index("orders_by_seq", orders, "seq")
_index("orders_by_round", orders, "round")
_index("fills_by_seq", fills, "seq")
_index("fills_by_order", fills, "iid")
_index("rounds_by_symbol", rounds, "symbol", "opened_seq")
_index("rounds_by_outcome", rounds, "outcome", "opened_seq")
_index("rounds_by_agent", rounds, "agent", "opened_seq")
_index("orders_by_state", orders, "state", "seq")
_index("orders_by_agent", orders, "agent", "seq")
_index("orders_by_symbol", orders, "symbol", "seq")
_index("fills_by_symbol", fills, "symbol", "seq")
_index("equity_by_seq", equity, "seq", "account")
