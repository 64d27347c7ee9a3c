"""A cascade: what a firm yields while it works off one message, wave by wave and group by group.

Not here: what is in it (`firm`), how waves reach agents (`parley.bus`), what becomes of groups: whoever
drives the firm commits, compares or drops them.

Invariant: a firm goes on only with the answers to its last wave.
"""

from collections.abc import Callable, Generator, Iterator, Sequence

from parley.bus import Answer, Wave

from .policy import GroupOut

Cascade = Generator[Wave | GroupOut, Sequence[Answer], None]


def groups_in(cascade: Cascade, exchange: Callable[[Wave], Sequence[Answer]]) -> Iterator[GroupOut]:
    """Drive a cascade to its end and give its groups as they come; ``exchange`` answers its waves."""
    answers: Sequence[Answer] | None = None
    while True:
        try:
            step = next(cascade) if answers is None else cascade.send(answers)
        except StopIteration:
            return
        answers = None
        if isinstance(step, Wave):
            answers = exchange(step)
        else:
            yield step
