"""`parley explain ROUND`: one round as people read it, in the order in which things were said.

Not here: collecting it (`runtime.explain`). Invariant: sections without content are left out; nothing that
was refused, cut or countered is.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.text import Text

from runtime.commands.costs import told
from runtime.explain import explain
from runtime.history import find_round, newest_journal, open_journal
from runtime.output import console, money, number, print_json, span, when
from runtime.settings import Settings
from runtime.story import Advice, Bid, OrderStory, Part, Story

_OUTCOME_STYLE = {"accept": "bold green", "reject": "bold yellow", "hold": "bold", "expired": "bold magenta"}


def explain_round(settings: Settings, path: Path | None, text: str, *, as_json: bool) -> int:
    """Tell a round; returns the exit code.

    Raises
    ------
    UserError
        When there is no such journal or round, or more than one round begins like that.
    """
    reader = open_journal(path or newest_journal(settings.home))
    story = explain(reader, find_round(reader, text))
    if as_json:
        print_json(story)
    else:
        show(story, console())
    return 0


def show(story: Story, out: Console) -> None:
    """Print a round."""
    head = Text(f"{story.round}  {story.symbol}  {when(story.t)} UTC  ")
    head.append(story.outcome, style=_OUTCOME_STYLE.get(story.outcome, "bold red"))
    head.append(f"  {story.reason}" if story.reason else "")
    out.print(head, soft_wrap=True)
    only = ", reductions only" if story.reduce_only else ""
    out.print(f"opened by {story.trigger}; asked {', '.join(story.asked) or 'nobody'}{only}", soft_wrap=True)
    short = {bid.pid: f"P{number}" for number, bid in enumerate(story.bids, 1)}
    _section(out, "proposals", (line for bid in story.bids for line in _bid(bid, short)))
    _section(out, "not asked", (f"{s.agent}: {s.code} {s.detail}" for s in story.not_asked))
    _section(out, "did not bid", (f"{s.agent}: {s.code} {s.detail}" for s in story.refusals))
    _section(out, "faults", (f"{s.agent}: {s.code} {s.detail}" for s in story.faults))
    _section(
        out,
        f"votes (weights version {story.weights_version}, quorum {story.quorum:.2f})",
        _votes(story, short),
    )
    _section(
        out,
        "dissent",
        (
            f"{d.agent} against {short.get(d.pid.hex(), '?')}: {d.score:+.2f} at weight {d.weight:.3f}"
            for d in story.dissent
        ),
    )
    _section(
        out,
        "bounds, the binding one first",
        (f"{b.agent}: {b.code} leaves {number(b.qty_max)}" for b in story.bounds),
    )
    _section(out, "counters", (_advice(each) for each in story.counters))
    _section(
        out, "answers of the proposer", (f"{r.agent}: {r.action} {r.code} {r.detail}" for r in story.replies)
    )
    _section(out, "risk", _verdicts(story))
    _section(out, "gate", (f"{s.code} {s.detail}" for s in story.gate))
    _section(out, "open trades, the setting that binds", (text for text in (story.open_trades,) if text))
    _section(out, "decision", _decision(story))
    _section(out, "inside the firm, of no order", _crossed(story))
    _section(out, "where it went", (_part(each) for each in story.parts))
    _section(out, "orders", (line for order in story.orders for line in _order(order)))
    _section(
        out,
        "implementation shortfall against the mid at the decision, plus is worse",
        (f"{c.style} {c.side} {c.symbol}: {told(c.cost, c.wanted, c.quote)}" for c in story.costs),
    )
    _section(out, "later requests of execution", (f"{s.agent}: {s.code} {s.detail}" for s in story.requests))
    _section(out, "what it turned out to be worth", (
        f"{o.agent} ({o.kind} {o.score:+.2f}): {o.markout_bps_net:+.1f} bps net"
            f" after {span(o.horizon_ms)}"
        for o in story.outcomes
    ))  # fmt: skip
    if story.orders or story.crossed:
        fees = ", ".join(f"{number(fee)} {asset}" for asset, fee in story.fees.items()) or "none"
        out.print(f"\nfees {fees}; PnL of this round's proposal so far {money(story.pnl, 4)} {story.quote}")


def _section(out: Console, title: str, lines: Iterable[str]) -> None:
    told = list(lines)
    if told:
        out.print(f"\n{title}", style="bold")
        for line in told:
            out.print(Text(f"  {line.rstrip()}"), soft_wrap=True)


def _bid(bid: Bid, short: dict[str, str]) -> Iterator[str]:
    marks = [
        "chosen" if bid.chosen else "",
        f"revises {short.get(bid.revises, '?')}" if bid.revises else "",
        f"dropped: {bid.dropped}" if bid.dropped else "",
        f"score {bid.score:+.4f}, size {bid.size:.2f}"
        if bid.score is not None and bid.size is not None
        else "",
        "coupled" if bid.coupled else "",
        "reduces only" if bid.reduce_only else "",
    ]
    told = "; ".join(mark for mark in marks if mark)
    yield f"{short[bid.pid]} {bid.agent}: {bid.why}" + (f" [{told}]" if told else "")
    for leg in bid.legs:
        at = f"at {number(leg.limit_px)} {leg.tif}" if leg.limit_px is not None else "at market"
        yield f"   {leg.side} {number(leg.qty)} {leg.symbol} {at}"
    guards = "".join(
        f", {name} {number(px)}" for name, px in (("stop", bid.stop), ("take", bid.take)) if px is not None
    )
    yield f"   expects {bid.edge_bps:.1f} bps with confidence {bid.conf:.2f}{guards}; {bid.urgency}"
    for e in bid.evidence:
        yield f"   evidence: {e.agent} {e.direction:+.2f} ({e.conf:.2f}) {e.regime} {e.why}"


def _votes(story: Story, short: dict[str, str]) -> Iterator[str]:
    for v in story.votes:
        weight = "" if v.weight is None else f", weight {v.weight:.3f}"
        said = "abstains" if v.abstain else f"{v.score:+.2f} with confidence {v.conf:.2f}{weight}"
        yield f"{v.agent} on {short.get(v.pid, '?')}: {said} {v.why}"


def _advice(a: Advice) -> str:
    parts = [
        "rejects" if a.reject else "",
        f"at most {number(a.qty_max)}" if a.qty_max is not None else "",
        f"price {number(a.px_limit)}" if a.px_limit is not None else "",
        f"as {a.style}" if a.style else "",
        a.tif or "",
        f"in {len(a.split)} parts" if a.split else "",
        a.detail,
    ]
    kind = "binding" if a.binding else "advice"
    return f"{a.agent} ({kind}, {a.code}): " + (", ".join(part for part in parts if part) or "no change")


def _verdicts(story: Story) -> Iterator[str]:
    for v in story.verdicts:
        yield f"{v.agent}: " + (f"allows {number(v.max_qty)}" if v.ok else "refuses")
        for b in v.breached:
            yield f"   {b.limit}: {b.value}, limit {b.cap}"


def _decision(story: Story) -> Iterator[str]:
    if story.qty_wanted:
        yield f"{story.outcome}: {number(story.qty)} of {number(story.qty_wanted)} wanted"
    else:
        yield story.outcome
    for leg in story.plan:
        px = f"at {number(leg.px)}" if leg.px is not None else "at market"
        parts = f" in {len(leg.children)} parts" if leg.children else ""
        yield f"   {leg.side} {number(leg.qty)} {leg.symbol} as {leg.style} {px} {leg.tif}{parts}"
    said = [(s.agent, s.code) for s in story.refusals]
    for s in story.reasons:
        if (s.agent, s.code) in said:
            continue
        yield f"   {s.agent}: {s.code} {s.detail}"


def _crossed(story: Story) -> Iterator[str]:
    for each in story.crossed:
        what = f"crossed {number(each.qty)} {each.symbol} with {each.seller} at {number(each.px)}"
        yield f"{what}, saved about {money(each.saved, 4)} {story.quote} in fees and spread"


def _part(p: Part) -> str:
    if not p.qty:
        return f"{p.exchange}: {p.side} {p.symbol}: nothing, the gate let no part of it pass"
    asked = f"{p.exchange}: {p.side} {number(p.qty)} {p.symbol}"
    if p.avg_px is None:
        return f"{asked}: nothing filled"
    fills = "1 fill" if p.fills == 1 else f"{p.fills} fills"
    fees = ", ".join(f"{number(fee)} {coin}" for coin, fee in p.fees.items() if fee) or "none"
    return f"{asked}: {number(p.filled)} filled at {number(round(p.avg_px, 8))} in {fills}, fee {fees}"


def _order(o: OrderStory) -> Iterator[str]:
    px = f"at {number(o.px)}" if o.px is not None else "at market"
    state = o.state.lower().replace("_", " ") + (f" ({o.cause})" if o.cause else "")
    asked = f"{o.side} {number(o.qty)} {o.symbol} {o.style} {px} {o.tif}"
    if o.trigger is not None:
        asked = f"stop at the venue: {o.side} {number(o.qty)} {o.symbol} {px} once {number(o.trigger)} traded"
    yield f"{o.cid}: {asked}: {state}, filled {number(o.filled)}"
    if o.avg_px is not None and o.ref_px:
        paid = (o.avg_px / o.ref_px - 1) * (1 if o.side == "buy" else -1) * Decimal(10_000)
        yield f"   average {number(round(o.avg_px, 8))}, {paid:+.1f} bps against the mid at the decision"
    for fill in o.fills:
        fee = f"fee {number(fill.fee)} {fill.fee_asset}"
        yield f"   {when(fill.t)} {number(fill.qty)} at {number(fill.px)} as {fill.liquidity}, {fee}"
