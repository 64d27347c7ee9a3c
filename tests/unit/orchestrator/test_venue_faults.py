"""What a gateway says of failed calls closes a real desk to openings, counts once, and survives a restart."""

from pathlib import Path

from orchestrator.cascade import groups_in
from orchestrator.policy import GroupOut
from orchestrator.venue_faults import KEPT
from parley.messages import (
    Balance,
    Breaker,
    Heartbeat,
    Intent,
    MarketBatch,
    Message,
    Started,
    VenueFault,
    decode,
    decode_envelope,
)
from runtime.bootstrap import Assembly, assemble
from runtime.journal import JournalWriter
from runtime.outbox import group_of
from runtime.recovery import recover
from runtime.run_config import manifest
from tests.kit.builders import make_bar, make_book
from tests.kit.default_desk import trading_run
from tests.kit.firm_kit import MINUTE, T0, D

BTC = "BTC/USDT"


def faults(n: int, t: int = 0) -> VenueFault:
    return VenueFault(n=n, call="look_up", why="timeout", t=T0 + t)


class Run:
    """The default desk; its venue has balances and answers nothing."""

    def __init__(self) -> None:
        self.desk: Assembly = assemble(trading_run())
        self.groups: list[GroupOut] = []
        self.mono = self.step = 0
        self.hear(Started(run_id="t", epoch=1, quote="USDT", capital=D(100_000), t=T0), "supervisor")
        self.hear(Balance(account="main", venue="binance", assets=(("USDT", D(100_000)),), t=T0), "gateway")
        self.hear(MarketBatch(step=0, t=T0), "hub")

    def hear(self, message: Message, sender: str = "gateway") -> list[Message]:
        """Admit a message and give what was said in its cascade."""
        self.mono += 1_000_000
        t = T0 + self.step * MINUTE
        cascade = self.desk.firm.admit(message, sender, t_event=t, t_mono=self.mono, t_recv=t)
        found = list(groups_in(cascade, self.desk.transport.exchange))
        self.groups += found
        return [decode(decode_envelope(body).body) for out in found for *_, body in out.records]

    def candle(self) -> list[Message]:
        self.step += 1
        t = T0 + self.step * MINUTE
        self.hear(Heartbeat(unit="gateway", incarnation=1, epoch=1, head=b"", t=t, offset_ms=1.0))
        bar = make_bar(t_open=t - MINUTE, open=60_000.0, high=60_000.0, low=60_000.0, close=60_000.0)
        book = make_book(t=t, bids=((59_999.99, 500.0),), asks=((60_000.01, 500.0),))
        return self.hear(MarketBatch(step=self.step, t=t, bars=(bar,), books=(book,)), "hub")


def openings(said: list[Message]) -> list[Intent]:
    return [each for each in said if isinstance(each, Intent) and not each.reduce_only]


def test_desk_whose_gateway_could_not_ask_its_venue_opens_nothing_for_five_minutes() -> None:
    well, ill = Run(), Run()
    assert [b for b in well.hear(faults(10)) if isinstance(b, Breaker)] == []
    (breaker,) = [b for b in ill.hear(faults(11)) if isinstance(b, Breaker)]
    assert (breaker.name, breaker.action) == ("api_errors", "pause")
    assert openings(well.candle())
    first = [ill.candle() for _ in range(4)]
    assert [openings(said) for said in first] == [[]] * 4
    assert openings(ill.candle()), "the pause is over"


def test_fault_that_is_told_again_is_no_news_and_another_one_is() -> None:
    run = Run()
    firm = run.desk.firm
    assert firm.is_news(faults(3))
    run.hear(faults(3))
    assert not firm.is_news(faults(3))
    assert firm.is_news(faults(3, t=1))
    for t in range(1, KEPT):
        run.hear(faults(1, t))
    assert not firm.is_news(faults(3))
    run.hear(faults(1, KEPT))
    assert firm.is_news(faults(3)), "so many seconds later nobody tells it again"


def test_desk_that_comes_back_from_its_journal_has_counted_what_it_had(tmp_path: Path) -> None:
    run, config = Run(), trading_run()
    run.candle()
    run.hear(faults(10))
    path = tmp_path / "j"
    with JournalWriter.create(path, manifest(config), durable=False, prezero_mb=0) as journal:
        for out in run.groups:
            if out.records:
                journal.append(group_of(out, 1)[0]).result()

    past = recover(path, config)

    assert not past.firm.is_news(faults(10)), "what the gateway tells again is not counted twice"
    one_more = past.firm.admit(faults(1, t=1), "gateway", t_event=T0, t_mono=run.mono + 1, t_recv=T0)
    said = groups_in(one_more, past.in_process().transport.exchange)
    bodies = [decode(decode_envelope(body).body) for out in said for *_, body in out.records]
    assert [b.name for b in bodies if isinstance(b, Breaker)] == ["api_errors"], "nor is it lost"
