"""How Kraken is asked and what it tells on spot: requests, answers, refusals, and its private stream.

Problem: Kraken acknowledges an order with its number and tells the rest on the private stream; there, what
ended an order comes without the pair and may come without our id, so numbers are remembered. It refuses
requests whose numbers do not grow (`kraken_turns`), and tells its time in whole seconds (`kraken_time`).

Not here: reading an order's fields and looking one up (`kraken_orders`), market data (`kraken_market`), what
all venues share (`ccxt_venue`). Invariant: only what was refused for certain is `Rejected`; every order goes
out with its deadline and asks for its fee in the quote asset.
"""

import asyncio
import base64
import binascii
import contextlib
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import ccxt

from parley.errors import ConfigError
from parley.instruments import Instrument
from parley.messages import CancelIntent, Fill, Intent, OrderEvent
from venues.capabilities import capabilities_of
from venues.ccxt_client import MS, asked, exact, instruments_of, line
from venues.kraken_client import fees_of, kraken_instrument
from venues.kraken_ids import same, sent
from venues.kraken_missed import PRIVATE, Missed
from venues.kraken_orders import look_up, moment, open_orders, told_event, told_fill, verdict
from venues.kraken_time import SecondsClock
from venues.kraken_turns import Turns
from venues.pongs import NO_PONG, Pongs, socket_of
from venues.port import Absent, Acked, KeyRights, Resting, VenueError
from venues.words import Account, Placing, Raw, SpotWords, UnsentError

PING: Final[Mapping[str, str]] = {"method": "ping"}
_TRADES: Final = frozenset({"modify-trades", "close-trades"})
_LONGEST_WINDOW_MS: Final = 60_000
_DOUBT_MS: Final = 70.0  # of the clock, when trading begins
_MOST_DOUBT_MS: Final = 100.0
_CLOCK_LOOKS: Final = 8
# Amounts under names with such an ending are lent out, staked or held back.
_ELSEWHERE: Final = "."


class KrakenOrders(SpotWords):
    """One trading account; `client` is what `kraken_client.make_client` returns."""

    def __init__(self, client: Any, account: Account) -> None:
        self._client = client
        self._account = account
        self._window_ms = max(int(client.options["recvWindow"]), capabilities_of("kraken").least_fence_ms)
        if self._window_ms > _LONGEST_WINDOW_MS:
            raise ConfigError(
                f"recv_window_ms: expected at most {_LONGEST_WINDOW_MS} at Kraken, was {self._window_ms}"
            )
        self._pongs = Pongs(dict(PING))
        self._turns = Turns()
        self._missed = Missed(client, self._turns)
        self._clock = SecondsClock()
        self._known: dict[str, tuple[str, str]] = {}  # (venue's client id, symbol) by the venue's number

    async def connect(self) -> dict[str, Instrument]:
        _check_secret(self._client.secret)
        for _ in range(_CLOCK_LOOKS):
            await self._ask_time()
            if self._clock.doubt_ms <= _DOUBT_MS:
                break
            await self._wait_for_second()
        listed = [each for each in self._account.symbols if each in self._client.markets]
        ids = [str(self._client.market_id(each)) for each in listed]
        async with self._turns.turn():
            told = await asked("fees", self._client.privatePostTradeVolume({"pair": ",".join(ids)}))
        try:
            fees = fees_of(told["result"], ids)
        except (KeyError, TypeError, ArithmeticError) as error:
            raise VenueError(f"fees: an answer nobody can read: {error!r}") from error
        return instruments_of(
            self._client,
            self._account.symbols,
            lambda market: kraken_instrument(market, self._account.venue, fees),
        )

    async def clock_offset_ms(self) -> float:
        """Return venue clock minus own clock: of what is possible, what is farthest from none."""
        if self._clock.doubt_ms > _MOST_DOUBT_MS:
            await self._wait_for_second()
        await self._ask_time()
        return self._clock.worst_ms()

    async def _wait_for_second(self) -> None:
        if self._clock.doubt_ms < float("inf"):
            await asyncio.sleep(self._clock.best_wait_ms(_now_ms()) / 1000)

    async def _ask_time(self) -> None:
        before = _now_ms()
        answer = await asked("time", self._client.publicGetTime())
        try:
            second = int(answer["result"]["unixtime"])
        except (KeyError, TypeError, ValueError) as error:
            raise VenueError(f"time: an answer nobody can read: {error!r}") from error
        self._clock.heard(second, before, _now_ms())

    async def balances(self) -> dict[str, Decimal]:
        async with self._turns.turn():
            answer = await asked("balance", self._client.privatePostBalance())
        totals: dict[str, Decimal] = {}
        for name, amount in answer["result"].items():
            if _ELSEWHERE not in name:
                asset = str(self._client.safe_currency_code(name))
                totals[asset] = totals.get(asset, Decimal(0)) + exact(amount)
        return totals

    async def key_rights(self) -> KeyRights:
        # https://docs.kraken.com/api-reference/account-data/get-api-key-info
        async with self._turns.turn():
            answer = await asked("rights of the key", self._client.privatePostGetApiKeyInfo())
        said = answer["result"]["permissions"]
        if not isinstance(said, list) or not all(isinstance(each, str) for each in said):
            raise TypeError(f"permissions were {said!r}")
        return KeyRights(trades=_TRADES.issubset(said), withdraws=any("withdraw" in each for each in said))

    async def place(self, intent: Intent, placing: Placing) -> Acked:
        deadline_ms = self._client.milliseconds() + self._window_ms
        flags = "fciq,post" if placing.params.get("postOnly") else "fciq"
        try:
            request = {
                "pair": self._client.market_id(placing.symbol), "type": placing.side,
                "ordertype": placing.kind, "volume": placing.qty, "oflags": flags,
                "cl_ord_id": sent(intent.cid), "deadline": self._client.iso8601(deadline_ms),
            }  # fmt: skip
        except (ccxt.BaseError, ValueError) as error:
            raise UnsentError(line(error)) from error
        if placing.px is not None:
            request["price"] = placing.px
        if "timeInForce" in placing.params:
            request["timeinforce"] = placing.params["timeInForce"]
        async with self._turns.turn():
            if self._client.milliseconds() >= deadline_ms:
                raise UnsentError("its deadline passed before its turn came")
            answer = await self._client.privatePostAddOrder(request)
        (number,) = answer["result"]["txid"]
        self._known[str(number)] = request["cl_ord_id"], placing.symbol
        return Acked(venue_id=str(number), t_venue=await self._told_at(str(number)))

    async def cancel(self, intent: CancelIntent) -> Acked:
        try:
            request = {"cl_ord_id": sent(intent.cid)}
        except ValueError as error:
            raise UnsentError(line(error)) from error
        async with self._turns.turn():
            answer = await self._client.privatePostCancelOrder(request)
        if int(answer["result"]["count"]) != 1:
            raise ccxt.ExchangeError(f"a cancel of one order said {answer['result']!r}")
        number = next((each for each, (cid, _) in self._known.items() if cid == request["cl_ord_id"]), "")
        return Acked(venue_id=number, t_venue=await self._told_at(number))

    async def _told_at(self, number: str) -> int:
        """The venue's time of what the stream says of an order by now, ns; our own if it says nothing."""
        if (socket := socket_of(self._client, PRIVATE)) is not None:
            with contextlib.suppress(*NO_PONG):
                await self._pongs.ping(socket)
        for order in reversed(self._client.orders or ()):
            if order["id"] == number:
                return moment(order["info"]["timestamp"])
        return int(self._client.milliseconds()) * MS

    verdict = staticmethod(verdict)

    async def look_up(self, intent: Intent) -> Acked | Absent:
        account = self._account
        try:
            client_id = sent(intent.cid)
        except ValueError:
            return Absent()  # such an id was never sent
        return await look_up(
            self._client, self._turns, intent, client_id, venue=account.venue, account=account.name
        )

    async def resting(self, tag: str) -> Sequence[Resting]:
        return await open_orders(self._client, self._turns, self._account.symbols, tag)

    async def stands(self) -> bool:
        """Whether the venue confirmed; ccxt keeps a refusal as a rejection that nobody awaits."""
        if not await self._pongs.stands(self._client, PRIVATE):
            return False
        socket = socket_of(self._client, PRIVATE)
        if socket is None:
            return False
        if socket.rejections:
            refused = next(iter(socket.rejections.values()))
            for each in list(self._client.clients.values()):
                each.subscriptions.pop("authenticated", None)  # the token may be what was wrong
            socket.on_error(ccxt.NetworkError(f"the private stream was refused: {line(refused)}"))
            return False
        return True

    async def spoken(self) -> None:
        """`place` and `cancel` have waited for it."""

    def lacks(self) -> bool:
        return self._missed.lacks()

    async def complete(self) -> None:
        if await self.stands():
            await self._missed.complete()

    def is_whole(self, raw: Raw) -> bool:
        return True

    def client_ids(self, raw: Raw) -> Sequence[str]:
        number, client_id = str(raw["order_id"]), raw.get("cl_ord_id")
        if client_id and raw.get("symbol"):
            self._known[number] = str(client_id), str(raw["symbol"])
        client_id = client_id or self._known.get(number, ("", ""))[0]
        return (same(str(client_id)),) if client_id else ()

    def venue_id(self, raw: Raw) -> str:
        return str(raw["order_id"])

    def market(self, raw: Raw) -> str:
        symbol = raw.get("symbol") or self._known.get(str(raw["order_id"]), ("", ""))[1]
        return str(self._client.market_id(symbol)) if symbol in self._client.markets else ""

    def version(self, raw: Raw) -> tuple[str, ...]:
        return tuple(str(raw.get(name)) for name in ("order_status", "exec_type", "cum_qty", "timestamp"))

    def event(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
        if raw.get("exec_type") == "trade":
            # ccxt sorts a message by its first report, so this one's execution was not kept as one
            self._missed.mixed()
            raise ValueError(f"an execution among states of orders: {raw.get('exec_id')!r}")
        event = told_event(iid, symbol, raw)
        self._missed.heard_at(event.t)
        return event

    def fill(self, iid: bytes, symbol: str, raw: Raw) -> Fill:
        fill = told_fill(iid, symbol, raw, self._account.venue, self._account.name)
        self._missed.heard_at(fill.t)
        return fill

    def end(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent | None:
        return told_event(iid, symbol, raw) if raw.get("order_status") == "filled" else None


def _check_secret(secret: object) -> None:
    try:
        base64.b64decode(str(secret), validate=True)
    except binascii.Error as error:
        raise VenueError("keys: expected a secret in base 64, as Kraken gives them") from error


def _now_ms() -> float:
    return time.time_ns() / MS
