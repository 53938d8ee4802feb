"""What is learnt in which order, as text: `math`, `math>code` in turn, `math+code` or `math:0.8+code:0.2` mixed."""

import math
from dataclasses import dataclass
from itertools import pairwise

from xferbench.errors import UsageError


@dataclass(frozen=True)
class Part:
    """One domain of a stage; `share` of the stage's examples, None for equal shares."""

    domain: str
    share: float | None = None

    def __str__(self) -> str:
        return self.domain if self.share is None else f"{self.domain}:{self.share!r}"

    @property
    def plain(self) -> str:
        """The domain without what was done to its examples: mini/math for mini/math~shuffled."""
        return self.domain.partition("~")[0]


Stage = tuple[Part, ...]
"""What is learnt at once, mixed."""


@dataclass(frozen=True)
class Curriculum:
    """Stages, one after the other; each goes on from the checkpoint of the one before."""

    stages: tuple[Stage, ...]

    def __str__(self) -> str:
        return ">".join("+".join(map(str, stage)) for stage in self.stages)

    @property
    def domains(self) -> tuple[str, ...]:
        """Every domain once, in order of appearance, without what was done to its examples."""
        return tuple(dict.fromkeys(part.plain for stage in self.stages for part in stage))


def parse(text: str) -> Curriculum:
    """Read a curriculum; str() of it is read back as the same.

    UsageError: a domain is missing; a share outside 0..1, on some domains of a mix only, or shares that do not sum to
    1; a domain twice in one mix; the same stage twice in a row.
    """
    stages = tuple(_stage(text, stage) for stage in text.split(">"))
    for first, second in pairwise(stages):
        if set(first) == set(second):
            same = "+".join(map(str, first))
            raise UsageError(f"curriculum {text!r}: {same} after itself is no other stage; raise the trainer's epochs")
    return Curriculum(stages)


def _stage(text: str, stage: str) -> Stage:
    parts = tuple(_part(text, part.strip()) for part in stage.split("+"))
    names = [part.plain for part in parts]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"curriculum {text!r}: {twice} is mixed with itself")
    shares = [part.share for part in parts if part.share is not None]
    if shares and len(shares) < len(parts):
        bare = next(part.domain for part in parts if part.share is None)
        raise UsageError(f"curriculum {text!r}: {bare} has no share, and others have: give all of them, or none")
    if shares and abs(math.fsum(shares) - 1) > 1e-9:
        raise UsageError(f"curriculum {text!r}: the shares of {stage.strip()} sum to {math.fsum(shares):g}, not to 1")
    if len(shares) == 1:
        raise UsageError(f"curriculum {text!r}: one domain alone has no share: write {names[0]}")
    return parts


def _part(text: str, part: str) -> Part:
    name, colon, tail = part.rpartition(":")
    share = _number(tail) if colon else None
    if share is None:
        name = part
    elif not 0 < share < 1:  # also refuses nan
        hint = f": leave {name} out" if share == 0 else ""
        raise UsageError(f"curriculum {text!r}: the share of {name} lies above 0 and below 1, not at {tail}{hint}")
    if not name.strip():
        raise UsageError(f"curriculum {text!r}: a domain is missing beside > or +")
    return Part(name.strip(), share)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
