"""What the API answers, over a read model shipped from a journal whose every number is known beforehand."""

from __future__ import annotations

import http.client
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from api.wire import show_id
from parley.ids import show_round
from runtime.backlog import JournalBacklog, Status, write_status
from tests.kit import small_journal as small
from tests.kit.api_process import ApiProcess
from tests.kit.database import fresh_database, rows
from tests.kit.journal_load import begin, write_cycle
from tests.kit.shipping import ShipperProcess

NOBODY, BOUGHT, REFUSED, SOLD = (show_round(each) for each in small.ROUNDS)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """An API over the four rounds of `small_journal`."""
    folder = tmp_path_factory.mktemp("api")
    path = small.write_journal(folder / "desk.journal")
    database = fresh_database()
    shipper = ShipperProcess(folder, database, path).start()
    shipper.wait_shipped(path)
    assert shipper.stop() == 0
    process = ApiProcess(folder, database)
    try:
        yield process.start()
    finally:
        process.kill()


def test_round_that_bought_tells_why_and_what_came_of_it(api: ApiProcess) -> None:
    answer = api.get(f"/api/v1/rounds/{BOUGHT}")

    told = answer.body
    assert answer.status == 200
    assert (told["id"], told["outcome"], told["agent"]) == (BOUGHT, "accept", small.TREND)
    assert (told["qty_wanted"], told["qty"]) == ("4", "2")
    [bid] = told["bids"]
    assert (bid["agent"], bid["why"], bid["chosen"], bid["stop"], bid["take"]) == (
        small.TREND, "cross_up", True, "900", "1200",
    )  # fmt: skip
    assert bid["legs"] == [
        {"symbol": small.SYMBOL, "side": "buy", "qty": "4", "limit_px": "1001", "tif": "GTC",
         "post_only": False, "reduce_only": False}
    ]  # fmt: skip
    [evidence] = bid["evidence"]
    assert (evidence["agent"], evidence["why"], evidence["direction"]) == (small.TECHNICAL, "momentum", 0.4)
    assert [(vote["agent"], vote["score"], vote["weight"]) for vote in told["votes"]] == [
        (small.TECHNICAL, 0.4, 0.75), (small.TREND, 1.0, 0.25),
    ]  # fmt: skip
    assert [(bound["code"], bound["qty_max"]) for bound in told["bounds"]] == [
        ("budget", "2"),
        ("kelly", "3"),
    ]
    assert [(counter["agent"], counter["binding"], counter["qty_max"]) for counter in told["counters"]] == [
        (small.EXECUTION, False, None), ("desk", True, "2"),
    ]  # fmt: skip
    assert [(reply["agent"], reply["action"]) for reply in told["replies"]] == [(small.TREND, "accept")]
    assert [(verdict["ok"], verdict["max_qty"]) for verdict in told["verdicts"]] == [(True, "2")]
    [order] = told["orders"]
    assert (order["state"], order["filled"], order["avg_px"], order["fees"]) == (
        "filled", "2", "1001", {"ETH": "0.002"},
    )  # fmt: skip
    [fill] = order["fills"]
    assert (fill["trade_id"], fill["qty"], fill["px"], fill["fee"], fill["order"]) == (
        "t1", "2", "1001", "0.002", order["id"],
    )  # fmt: skip
    assert told["quote_asset"] == "USDT"


def test_rounds_that_did_not_trade_say_who_was_against(api: ApiProcess) -> None:
    nobody = api.get(f"/api/v1/rounds/{NOBODY}").body
    refused = api.get(f"/api/v1/rounds/{REFUSED}").body

    assert nobody["outcome"] == "hold"
    assert nobody["refusals"] == [{"agent": small.TREND, "code": "no_setup", "detail": "fast below slow"}]
    assert nobody["reason"] == {"agent": "desk", "code": "no_bids", "detail": ""}
    assert (nobody["bids"], nobody["orders"]) == ([], [])
    assert refused["reason"] == {"agent": small.RISK, "code": "max_position", "detail": "0.3 > 0.25"}
    assert refused["verdicts"][0]["breached"] == [{"limit": "max_position", "value": "0.3", "cap": "0.25"}]
    assert refused["orders"] == []


def test_lists_show_what_is_in_the_tables(api: ApiProcess) -> None:
    rounds = api.items("/api/v1/rounds")
    orders = api.items("/api/v1/orders?sort=created_at")
    fills = api.items("/api/v1/fills?sort=created_at")
    equity = api.items("/api/v1/equity?sort=created_at")

    assert [each["id"] for each in rounds] == [SOLD, REFUSED, BOUGHT, NOBODY]
    assert [each["outcome"] for each in rounds] == ["accept", "reject", "accept", "hold"]
    assert [(each["side"], each["qty"], each["state"]) for each in orders] == [
        ("buy", "2", "filled"), ("sell", "1.998", "filled"),
    ]  # fmt: skip
    assert [each["id"] for each in orders] == [each["order"] for each in fills]
    assert [(each["px"], each["fee"], each["fee_asset"]) for each in fills] == [
        ("1001", "0.002", "ETH"), ("1100", "2.1978", "USDT"),
    ]  # fmt: skip
    assert [each["equity"] for each in equity] == ["10000", "9996", "9796.2", "10193.6022"]
    assert rounds[0]["created_at"] == "2021-05-08T00:04:00.000Z"


def test_agents_show_counts_weights_and_no_life_that_is_not_there(api: ApiProcess) -> None:
    agents = {each["id"]: each for each in api.items("/api/v1/agents")}

    assert agents.keys() == {
        small.TREND, small.TECHNICAL, small.CAPITAL, small.RISK, small.EXECUTION, small.META,
    }  # fmt: skip
    assert (agents[small.TREND]["proposals"], agents[small.TREND]["refusals"]) == (3, 1)
    assert agents[small.TECHNICAL]["weight"] == 0.75
    assert {each["live"] for each in agents.values()} == {None}
    assert [each["id"] for each in api.items("/api/v1/agents?role=risk")] == [small.RISK]


def test_system_shows_run_journal_and_account(api: ApiProcess) -> None:
    told = api.get("/api/v1/system").body

    assert told["is_ready"] is True
    assert [(run["id"], run["is_live"]) for run in told["runs"]] == [("small", False)]
    assert [journal["stream"] for journal in told["journals"]] == ["desk"]
    assert told["accounts"][0]["equity"] == "10193.6022"
    assert told["accounts"][0]["cash"] == [{"asset": "USDT", "total": "10193.6022", "reserved": "0"}]
    assert told["units"] == []
    assert told["killed"] == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("outcome=accept", [SOLD, BOUGHT]),
        ("outcome=hold", [NOBODY]),
        ("has_proposals=false", [NOBODY]),
        ("symbol=BTC/USDT", []),
        ("agent=strategy/trend&outcome=reject", [REFUSED]),
        ("created_at.gte=2021-05-08T00:03:00Z", [SOLD, REFUSED]),
        ("created_at.lt=2021-05-08T02:02:00%2B02:00&sort=created_at", [NOBODY]),
        ("run=small&limit=1", [SOLD, REFUSED, BOUGHT, NOBODY]),
    ],
)
def test_filters_leave_what_fits(api: ApiProcess, query: str, expected: list[str]) -> None:
    assert [each["id"] for each in api.items(f"/api/v1/rounds?{query}")] == expected


def test_orders_and_fills_are_found_by_round_and_order(api: ApiProcess) -> None:
    [order] = api.items(f"/api/v1/orders?round={BOUGHT}")
    [fill] = api.items(f"/api/v1/fills?order={order['id']}")

    assert (order["side"], fill["side"]) == ("buy", "buy")
    assert api.items("/api/v1/orders?round=rnd_nonsense") == []


def test_page_counts_links_and_says_where_the_stream_stands(api: ApiProcess) -> None:
    answer = api.get("/api/v1/rounds?limit=3&count=exact")

    assert (len(answer.body["items"]), answer.body["total"]) == (3, 4)
    link = answer.headers["link"]
    assert link.endswith('; rel="next"')
    rest = api.get(link[1 : link.index(">")])
    assert [each["id"] for each in rest.body["items"]] == [NOBODY]
    assert rest.body["next_cursor"] is None
    assert "link" not in rest.headers
    assert answer.headers["x-stream-position"].startswith("rounds;epoch=small;off=")
    assert api.get("/api/v1/rounds?count=estimate").body["total"] >= 1


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/rounds/rnd_aaaaaaaaaaaaaaaaaaaaaaaaaa", 404, "not-found"),
        ("/api/v1/rounds/nonsense", 404, "not-found"),
        (f"/api/v1/rounds/{BOUGHT}?run=other", 404, "not-found"),
        ("/api/v1/rounds?run=other", 404, "not-found"),
        ("/nowhere", 404, "not-found"),
        ("/problems/nowhere", 404, "not-found"),
        ("/api/v1/rounds?limit=0", 422, "invalid-parameter"),
        ("/api/v1/rounds?limit=201", 422, "invalid-parameter"),
        ("/api/v1/rounds?symbl=BTC", 422, "invalid-parameter"),
        ("/api/v1/rounds?sort=outcome", 422, "invalid-parameter"),
        ("/api/v1/rounds?symbol=%00", 422, "invalid-parameter"),
        ("/api/v1/rounds?created_at.gte=yesterday", 422, "invalid-parameter"),
        ("/api/v1/orders?state=nearly", 422, "invalid-parameter"),
        ("/api/v1/rounds?cursor=AAAA", 400, "invalid-cursor"),
        ("/api/v1/rounds?cursor=%F0%9F%98%80", 400, "invalid-cursor"),
    ],
)
def test_each_mistake_is_a_problem(api: ApiProcess, path: str, status: int, code: str) -> None:
    answer = api.get(path)

    assert (answer.status, answer.body["code"]) == (status, code)
    assert answer.body["instance"] == path.partition("?")[0]
    page = api.get(answer.body["type"])
    assert (page.status, page.body["status"]) == (200, status)


def test_wrong_parameters_are_all_named(api: ApiProcess) -> None:
    answer = api.get("/api/v1/rounds?limit=0&symbl=BTC")

    assert {each["pointer"] for each in answer.body["errors"]} == {"/query/limit", "/query/symbl"}


def test_cursor_is_good_for_its_own_list_only(api: ApiProcess) -> None:
    cursor = api.get("/api/v1/rounds?limit=1").body["next_cursor"]
    forged = ("B" if cursor[0] == "A" else "A") + cursor[1:]

    for path in (
        f"/api/v1/orders?limit=1&cursor={cursor}", f"/api/v1/rounds?limit=1&outcome=hold&cursor={cursor}",
        f"/api/v1/rounds?limit=1&sort=created_at&cursor={cursor}", f"/api/v1/rounds?cursor={cursor[:-1]}",
        f"/api/v1/rounds?cursor={forged}",
    ):  # fmt: skip
        assert api.get(path).body["code"] == "invalid-cursor", path
    assert api.get(f"/api/v1/rounds?limit=200&cursor={cursor}").status == 200


def test_head_is_answered_as_get_without_the_body(api: ApiProcess) -> None:
    def ask(method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            alike = {k: v for k, v in answer.getheaders() if k not in ("x-request-id", "date")}
            return answer.status, alike, answer.read()
        finally:
            connection.close()

    for path, status in (
        ("/livez", 200), ("/readyz", 200), ("/api/v1/openapi.json", 200), ("/api/v1/rounds", 200),
        (f"/api/v1/rounds/{BOUGHT}", 200), ("/api/v1/rounds?limit=0", 422), ("/nowhere", 404),
    ):  # fmt: skip
        got, told = ask("GET", path), ask("HEAD", path)
        assert (told[0], told[2]) == (status, b""), path
        if status == 200:  # a problem names its request, which differs
            assert told[:2] == got[:2], path


def test_methods_hosts_and_bodies_that_are_not_taken(api: ApiProcess) -> None:
    refused = api.get("/api/v1/rounds", method="POST")
    assert (refused.body["code"], refused.headers["allow"]) == ("method-not-allowed", "GET, HEAD")
    assert api.get("/api/v1/rounds", Host="evil.example").body["code"] == "wrong-host"
    assert api.get("/api/v1/rounds", Host=f"localhost:{api.port}").status == 200
    told = api.raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n")
    assert b" 413 " in told.splitlines()[0]


def test_trace_of_the_caller_is_the_request_id(api: ApiProcess) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    answer = api.get("/nowhere", traceparent=f"00-{trace}-00f067aa0ba902b7-01")

    assert answer.headers["x-request-id"] == trace
    lines = [json.loads(line) for line in api.log.read_text().splitlines()]
    assert [line["status"] for line in lines if line.get("trace_id") == trace] == [404]


def test_metrics_count_requests_by_route(api: ApiProcess) -> None:
    api.get(f"/api/v1/rounds/{BOUGHT}")
    api.get("/nowhere/1")

    text = api.get("/metrics").body

    assert 'parley_http_requests_total{code="200",method="GET",route="/api/v1/rounds/{id}"}' in text
    assert 'route="unmatched"' in text
    assert "nowhere" not in text
    assert "parley_build_info{" in text


def test_alive_and_ready(api: ApiProcess) -> None:
    assert api.get("/livez").body == {"status": "ok", "checks": []}
    assert api.get("/readyz").body["status"] == "ready"


def test_other_tenant_sees_nothing(api: ApiProcess, tmp_path: Path) -> None:
    fields = json.loads(api.config.read_text())
    other = ApiProcess(tmp_path, name=fields["name"], tenant="somebody-else")
    try:
        other.start()

        assert other.items("/api/v1/rounds") == []
        assert other.get(f"/api/v1/rounds/{BOUGHT}").status == 404
        assert other.get("/api/v1/rounds?run=small").status == 404
        assert other.get("/api/v1/system").body["runs"] == []
        assert other.stop() == 0
    finally:
        other.kill()
    assert api.get(f"/api/v1/rounds/{BOUGHT}").status == 200


def test_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = small.write_journal(tmp_path / "desk.journal")
    database = fresh_database()
    shipper = ShipperProcess(tmp_path, database, path).start()
    shipper.wait_shipped(path)
    shipper.stop()
    [(seq,)] = rows(database, "journal", "min(seq)")
    with psycopg.connect(database.admin) as connection:
        connection.execute(
            "UPDATE parley.journal SET body = '\\x00' WHERE round = %s AND kind = 31", (small.ROUNDS[1],)
        )
    process = ApiProcess(tmp_path, database)
    try:
        told = process.start().get(f"/api/v1/rounds/{BOUGHT}")
    finally:
        process.kill()

    assert told.status == 200
    assert [each["code"] for each in told.body["faults"]] == ["unreadable"]
    assert seq == 1


def test_newest_run_is_shown_and_older_ones_are_found_by_name(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    first = small.write_journal(old / "desk.journal")
    notes = begin(new / "desk.journal")
    for cycle in range(2):
        write_cycle(notes, cycle)
    notes.writer.close()
    database = fresh_database()
    shipper = ShipperProcess(tmp_path, database, first).start()
    shipper.wait_shipped(first)
    shipper.stop()
    with psycopg.connect(database.admin) as connection:  # both journals call their run `small`
        for table in (
            "rounds",
            "orders",
            "fills",
            "decisions",
            "positions",
            "accounts",
            "equity",
            "agents",
            "cursors",
        ):
            connection.execute(f"ALTER TABLE parley.{table} DROP CONSTRAINT {table}_tenant_id_run_id_fkey")  # type: ignore[arg-type]
            connection.execute(f"UPDATE parley.{table} SET run_id = 'older'")  # type: ignore[arg-type]
        connection.execute("UPDATE parley.runs SET run_id = 'older', started_at = '2020-01-01Z'")
        connection.execute("UPDATE parley.journal SET run_id = 'older'")
        connection.execute("UPDATE parley.journal_groups SET run_id = 'older'")
    shipper = ShipperProcess(tmp_path, database, new / "desk.journal").start()
    shipper.wait_shipped(new / "desk.journal")
    shipper.stop()
    process = ApiProcess(tmp_path, database)
    try:
        process.start()

        assert len(process.items("/api/v1/rounds")) == 8
        assert len(process.items("/api/v1/rounds?run=older&limit=3")) == 4
        # The same trigger names the same round in both runs.
        assert process.get(f"/api/v1/rounds/{BOUGHT}").body["run"] == "small"
        assert process.get(f"/api/v1/rounds/{BOUGHT}?run=older").body["run"] == "older"
        assert [run["id"] for run in process.get("/api/v1/system").body["runs"]] == ["small", "older"]
    finally:
        process.kill()
    shutil.rmtree(old)


def test_readiness_follows_the_shipper(tmp_path: Path) -> None:
    database = fresh_database()
    status, journal = tmp_path / "shipper.status", tmp_path / "desk.journal"
    process = ApiProcess(tmp_path, database, shipper=str(status), journals=[str(journal)])

    def say(**over: object) -> None:
        entry = JournalBacklog(
            path=str(journal), run_id="r", stream="desk", seq=1, head="", records=2, bytes=3,
            oldest_ns=over.pop("oldest_ns", 0), error=over.pop("error", ""),  # type: ignore[arg-type]
        )  # fmt: skip
        fields = {"t": time.time_ns(), "pid": 1, "database": "up", "journals": (entry,)}
        write_status(status, Status(**(fields | over)))  # type: ignore[arg-type]

    def why() -> str:
        answer = process.get("/readyz")
        assert answer.status == (503 if answer.body.get("code") == "not-ready" else 200)
        return str(answer.body.get("detail", ""))

    try:
        process.start()
        assert "cannot be read" in why()
        say()
        assert why() == ""
        assert 'parley_journal_lag{projection="desk"} 2.0' in process.get("/metrics").body
        say(oldest_ns=time.time_ns() - 1000 * 10**9)
        assert "1000 s old" in why()
        say(t=time.time_ns() - 60 * 10**9)
        assert "said nothing for 60 s" in why()
        say(error="hash differs")
        assert "refuses a journal: hash differs" in why()
        say(journals=())
        assert "does not follow" in why()
        assert process.get("/livez").status == 200
    finally:
        process.kill()


def test_readiness_is_that_of_the_run_by_its_own_limit(tmp_path: Path) -> None:
    status, own, past = (tmp_path / name for name in ("shipper.status", "own.journal", "past.journal"))
    process = ApiProcess(tmp_path, fresh_database(), shipper=str(status), journals=[str(own)], backlog_s=30.0)

    def say(own_age_s: float, past_age_s: float, error: str = "") -> None:
        now = time.time_ns()
        entries = [
            JournalBacklog(
                path=str(path), run_id=path.stem, stream="desk", seq=1, head="", records=records, bytes=3,
                oldest_ns=now - int(age_s * 1e9), error=text,
            )
            for path, age_s, records, text in ((own, own_age_s, 2, ""), (past, past_age_s, 7, error))
        ]  # fmt: skip
        write_status(status, Status(t=now, pid=1, database="up", journals=tuple(entries)))

    try:
        process.start()
        say(1.0, 86_400.0, "hash differs")
        assert process.get("/readyz").status == 200
        metrics = process.get("/metrics").body
        assert "parley_journals_refused 1.0" in metrics
        assert 'parley_journal_lag{projection="desk"} 2.0' in metrics  # not the past's
        say(31.0, 0.0)
        answer = process.get("/readyz")
        assert (answer.status, "31 s old, the limit is 30 s" in answer.body["detail"]) == (503, True)
    finally:
        process.kill()


def test_ids_are_those_of_the_journal() -> None:
    assert show_id("rnd_", small.ROUNDS[0]) == NOBODY
