"""How hard each source presses on the desk, as it said last; the hardest counts.

Not here: what a level stops (`account`, `admission`).
"""

from parley.messages import Strain


class Strains:
    """The last word of each source; who said nothing says that there is no strain."""

    def __init__(self) -> None:
        self._said: dict[str, Strain] = {}

    def take(self, strain: Strain) -> None:
        """Replace what this source said before."""
        self._said[strain.source] = strain

    def is_news(self, strain: Strain) -> bool:
        """Whether a source says something else than before."""
        return strain != self._said.get(strain.source, Strain(source=strain.source, level=0))

    @property
    def level(self) -> int:
        """The highest level any source says."""
        return max([each.level for each in self._said.values()], default=0)

    @property
    def why(self) -> str:
        """What presses hardest, and why; empty when nothing does."""
        hardest = max(self._said.values(), key=lambda each: each.level, default=None)
        return f"{hardest.source}: {hardest.why}" if hardest is not None and hardest.level else ""
