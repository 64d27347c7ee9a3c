"""Our adapter for Kraken: numbered requests, tokens, a clock of seconds, and answers that no sandbox gives.

Not here: what holds for every venue (`test_adapter_on_venues`), and requests that are broken
(`test_kraken_requests`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace

import pytest

from parley.messages import Gap
from tests.kit.adapters import WINDOW_MS, Adapted, adapter, following, heard, statuses
from tests.kit.kraken import SECRET
from tests.kit.shared_stage import Shared, shared
from tests.kit.units import make_intent
from venues.adapters import venue_of
from venues.ccxt_venue import CcxtVenue
from venues.kraken_ids import wire_id
from venues.port import Absent, Acked, KeyRights, VenueError
from venues.words import Account

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def friendly() -> Iterator[Shared[Adapted]]:
    """An adapter at an exchange that is not hostile, for several tests."""
    with shared(adapter("kraken")) as adapted:
        yield adapted


def test_what_may_not_rest_and_would_not_trade_is_found_expired(friendly: Shared[Adapted]) -> None:
    async def story(adapted: Adapted) -> None:
        for tif in ("IOC", "FOK"):
            order = adapted.orders.limit(tif=tif)
            assert isinstance(await adapted.venue.send(order), Acked)
            found = await adapted.venue.look_up(order)
            assert isinstance(found, Acked)
            assert found.event is not None
            assert (found.event.status, found.event.cum_qty) == ("expired", Decimal(0))

    friendly.play(story)


@pytest.mark.long
def test_a_private_stream_that_was_refused_is_begun_anew_with_another_token() -> None:
    async def run() -> None:
        async with adapter("kraken") as adapted:
            venue, client = adapted.venue, adapted.venue._client
            old = {"token": "spoilt", "start": client.seconds(), "expires": 900}
            client.client(client.urls["api"]["ws"]["private"]).subscriptions["authenticated"] = old
            async with following(venue) as facts:
                assert any(isinstance(each, Gap) for each in facts)  # it was refused at first
                order = adapted.orders.limit()
                assert isinstance(await venue.send(order), Acked)
                await heard(lambda: "open" in statuses(facts, order))

    asyncio.run(run())


def test_requests_that_are_made_at_once_are_all_taken_in_their_order(friendly: Shared[Adapted]) -> None:
    async def story(adapted: Adapted) -> None:
        venue, orders = adapted.venue, adapted.orders
        before = len(adapted.placed())
        sent = [orders.limit() for _ in range(12)]
        asked = [venue.look_up(orders.market()) for _ in range(4)]
        answers = await asyncio.gather(*(venue.send(each) for each in sent), *asked)
        assert [type(each) for each in answers] == [Acked] * 12 + [Absent] * 4
        placed = [line["client_order_id"] for line in adapted.placed()[before:]]
        assert placed == [wire_id(each.cid) for each in sent]

    friendly.play(story)


@pytest.mark.long
@pytest.mark.parametrize("skew_ms", [0, -1700, 340])
def test_a_clock_of_whole_seconds_is_known_to_less_than_a_tenth_of_one(skew_ms: int) -> None:
    async def run() -> None:
        async with adapter("kraken", hostility={"clock_skew_ms": skew_ms}) as adapted:
            assert await adapted.venue.clock_offset_ms() == pytest.approx(skew_ms, abs=100)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("said", "trades", "withdraws"),
    [
        (["query-funds"], False, False),
        (["modify-trades", "close-trades"], True, False),
        (["modify-trades"], False, False),
        (["modify-trades", "close-trades", "withdraw-funds"], True, True),
        (["add-withdraw-address"], False, True),
        ([], False, False),
    ],
)
def test_what_a_key_may_do_is_read_against_it(said: list[str], trades: bool, withdraws: bool) -> None:
    assert asyncio.run(answering({"permissions": said}).key_rights()) == KeyRights(
        trades=trades, withdraws=withdraws
    )


@pytest.mark.parametrize("answer", [{}, {"permissions": None}, {"permissions": "modify-trades"}])
def test_an_answer_that_does_not_say_what_a_key_may_do_is_none(answer: dict[str, object]) -> None:
    with pytest.raises(VenueError, match="rights of the key: the answer does not say"):
        asyncio.run(answering(answer).key_rights())


def test_a_list_that_is_not_of_the_id_that_was_asked_for_is_no_answer() -> None:
    row = {"cl_ord_id": "another", "opentm": "1.5"}
    with pytest.raises(VenueError, match="open orders: expected only those of mine"):
        asyncio.run(answering({"open": {"O1": row}}).look_up(make_intent(cid="mine")))


def test_keys_that_are_not_kraken_are_refused_before_they_are_used() -> None:
    with pytest.raises(VenueError, match="keys: expected a secret in base 64"):
        asyncio.run(answering({}, secret="sandbox-secret").connect())


def answering(result: dict[str, object], secret: str = SECRET) -> CcxtVenue:
    """Return a venue whose client gets an answer that no sandbox gives."""

    async def say(request: object = None) -> object:
        return {"error": [], "result": result}

    async def markets() -> object:
        return {}

    client = SimpleNamespace(
        privatePostGetApiKeyInfo=say, privatePostOpenOrders=say, load_markets=markets,
        last_response_headers={}, options={"recvWindow": WINDOW_MS}, secret=secret,
    )  # fmt: skip
    account = Account(name="main", venue="kraken", symbols=("BTC/USDT",))
    return venue_of("kraken", client, account, recv_window_ms=WINDOW_MS, lag_ms=0)
