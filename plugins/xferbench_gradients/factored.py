"""Projections that treat each block of parameters by itself, and the choice of a projection by its name."""

from collections.abc import Mapping
from math import isqrt
from typing import Any

from xferbench import UsageError
from xferbench_gradients.sketch import KINDS, Sketch, signs

KNOWN = (*KINDS, "factored")


class Factored:
    """Layer-wise factored maps: a block's gradient G (out, in) becomes L G R^T / p, p x p, L and R Rademacher.

    Unbiased, and cheap, for the gradient need not be whole: LoGra (Choe et al., 2024) and others use it so. But all
    rows of a block share R and all columns L: on LoRA gradients its error is that of an unstructured map of about a
    seventh of its size. Here it is for parity with others.
    """

    def __init__(self, dimensions: int, shapes: Mapping[str, tuple[int, int]], seed: int = 0) -> None:
        """Prepare maps for blocks of the `shapes` given, at most `dimensions` numbers for all of them together."""
        self.side = isqrt(dimensions // len(shapes))
        if not self.side:
            raise UsageError(f"a factored projection of {len(shapes)} blocks needs {len(shapes)} dimensions or more")
        self.shapes, self.seed, self.kind = dict(shapes), seed, "factored"
        self.dimensions = self.side**2 * len(shapes)
        self._places = {block: place * self.side**2 for place, block in enumerate(shapes)}

    def apply(self, block: str, rows: Any) -> Any:
        """Return the share (n, dimensions) that `rows` (n, size) of one block add to the sketch, in their precision."""
        tall, wide = self.shapes[block]
        left, right = (
            signs(self.side * size, f"factored {side} {self.seed} {block}", rows.device).view(self.side, size)
            for side, size in (("left", tall), ("right", wide))
        )
        small = left.to(rows.dtype) @ rows.view(len(rows), tall, wide) @ right.to(rows.dtype).T / self.side
        out = rows.new_zeros(len(rows), self.dimensions)
        start = self._places[block]
        out[:, start : start + self.side**2] = small.flatten(1)
        return out


def projection(scorer: Any, blocks: Mapping[str, Any], seed: int | None = None) -> Sketch | Factored:
    """Return the map that a scorer's `projection`, `dimensions` and `seed` name, for the parameters `blocks`."""
    seed = scorer.seed if seed is None else seed
    if scorer.projection not in KNOWN:
        raise UsageError(f"scorer {scorer.name} has no projection {scorer.projection!r} (known: {', '.join(KNOWN)})")
    if scorer.projection != "factored":
        return Sketch(scorer.dimensions, seed, scorer.projection)
    shapes = {block: (p.shape[0], p.numel() // p.shape[0]) for block, p in blocks.items()}
    return Factored(scorer.dimensions, shapes, seed)
