"""How far a backtest is: told to whoever watches, and shown as a bar on standard error.

Not here: what is being done. It is loaded also where no freqtrade is, and knows nothing of strategies.

Invariant: standard output stays the answer's; without a terminal nothing is shown.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from runtime.output import progress_bar


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how far it is: `begin(what, steps)`, then `step()` after each."""

    begin: Callable[[str, int], None]
    step: Callable[[], None]


UNWATCHED: Final = Watch(lambda what, steps: None, lambda: None)


@contextmanager
def progress() -> Iterator[Watch]:
    """Show one bar: of what was begun last."""
    with progress_bar("{task.description}") as bar:
        task = bar.add_task("", total=None)

        def begin(what: str, steps: int) -> None:
            bar.reset(task, description=what, total=steps)

        yield Watch(begin, lambda: bar.advance(task))
