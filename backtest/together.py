"""Several strategies at one desk within a candle: first what happens at the opening, then what comes later.

Problem: a strategy's simulation goes through a candle at once, its stop inside it included. Were one done
before the next began, the next would enter at the opening knowing of that stop. So each goes on until it asks
the desk something, and of all questions that wait the earliest in the candle is answered first.

Not here: the questions (`seated`), the desk (`event`).

Invariant: who is answered first follows from the questions and the strategies' names, not from the order in
which somebody listed them.
"""

from collections.abc import Sequence

from backtest.seated import SeatedStrategy


def trade_candle(players: Sequence[SeatedStrategy], t_ms: int) -> None:
    """Let all trade the candle that began at `t_ms`.

    Raises
    ------
    Exception
        What a simulation raised, or `NotSupported` for what a desk cannot be asked.
    """
    asking = [player for player in players if player.goes_on(t_ms)]
    while asking:
        first = min(asking, key=_turn)
        first.settle()
        if not first.goes_on(t_ms):
            asking.remove(first)


def _turn(player: SeatedStrategy) -> tuple[bool, bool, str]:
    question = player.question
    assert question is not None  # it is asking
    # Who leaves makes room for who enters.
    return (not question.is_opening, question.side == "buy", player.name)
