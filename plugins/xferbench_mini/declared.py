"""The truth of this world as a scorer: what the declared skills say of a pair. An oracle to compare methods with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from xferbench import Example, UsageError

from .worlds import FAMILIES, TARGETS, overlap


@dataclass(frozen=True)
class Declared:
    """The share of the target's skills that the source exercises, as declared; mini only, an oracle and no method."""

    name: ClassVar[str] = "declared"

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return an array (examples, groups): the same for all examples of a domain, from 0 to 1."""
        import numpy as np

        sources = [_short(one.domain, FAMILIES) for one in examples]
        targets = [_short(group[0].domain, TARGETS) for group in queries]
        known = {(s, t): overlap(s, t) for s in set(sources) for t in targets}
        return np.array([[known[source, target] for target in targets] for source in sources])


def _short(domain: str, names: Any) -> str:
    short = domain.removeprefix("mini/")
    if short not in names:
        raise UsageError(
            f"scorer declared knows the domains of mini only, not {domain or 'an example without a domain'}"
        )
    return short
