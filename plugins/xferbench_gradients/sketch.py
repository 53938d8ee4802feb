"""Johnson-Lindenstrauss maps that are never written down whole: S g is short, and <S x, S y> is <x, y> on average.

Every entry of S is a hash of the seed, the name of the block of parameters and the place in it, in whole numbers. So
it is the same on every device, for every batch and in whatever order the blocks come.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch

from xferbench import UsageError

KINDS = {"count": 1, "sparse": 4, "dense": 0}
"""Entries that are not zero in each column; 0: all of them."""
LARGEST = 2**22
"""Entries of a dense map that exist at once."""


class Sketch:
    """A map to `dimensions` numbers. Its entries are +-1/sqrt(s), s of them in a column.

    count: s = 1 (Charikar, Chen and Farach-Colton, 2002). sparse: s = 4 (in the manner of Kane and Nelson, 2014, but
    with places drawn freely). dense: s = all, Rademacher, for parity with others: about a hundred times slower.
    Var <Sx, Sy> = (|x|^2 |y|^2 + <x, y>^2 - 2 sum x_i^2 y_i^2) / dimensions for count and dense alike.
    """

    def __init__(self, dimensions: int, seed: int = 0, kind: str = "count") -> None:
        """Prepare a map; raises UsageError for an unknown kind or fewer than one dimension."""
        if kind not in KINDS or dimensions < 1:
            raise UsageError(f"no sketch of {dimensions} dimensions, kind {kind!r} (known kinds: {', '.join(KINDS)})")
        self.dimensions, self.seed, self.kind = dimensions, seed, kind
        self._tables: dict[Any, Any] = {}

    def apply(self, block: str, rows: Any) -> Any:
        """Return the share (n, dimensions) that `rows` (n, size) of one block add to the sketch, in their precision."""
        return self.together({block: rows.shape[1]}, rows)

    def together(self, sizes: Mapping[str, int], rows: Any, weight: Any = None) -> Any:
        """Return the sketch (n, dimensions) of `rows` that hold several blocks side by side, of the `sizes` given.

        `weight` (width of the rows) multiplies every row first.
        """
        out = rows.new_zeros(len(rows), self.dimensions)
        if self.kind == "dense":
            rows = rows if weight is None else rows * weight
            for block, part in zip(sizes, rows.split(list(sizes.values()), dim=1), strict=True):
                self._dense(block, part, out)
            return out
        for places, values in zip(*self._table(sizes, rows.device), strict=True):
            values = values.to(rows.dtype) if weight is None else values * weight
            # index_add_ along rows calls a kernel for every column, of which there may be a million.
            out.scatter_add_(1, places.expand(len(rows), -1), rows * values)
        return out

    def _table(self, sizes: Mapping[str, int], device: Any) -> Any:
        """Return the place below `dimensions`, and the value, of each nonzero entry of each column: twice (s, size)."""
        known = (*sizes.items(), device)
        if known not in self._tables:
            s = KINDS[self.kind]
            drawn = []
            for block, size in sizes.items():
                numbers = torch.arange(s * size, device=device).view(s, size)
                drawn.append(hashed(numbers, self._key(block)) % (2 * self.dimensions))
            found = torch.cat(drawn, 1)
            values = (1 - 2 * (found >= self.dimensions).float()) / s**0.5
            self._tables[known] = found % self.dimensions, values
        return self._tables[known]

    def _dense(self, block: str, rows: Any, out: Any) -> None:
        words = -(-self.dimensions // 32)
        step = max(1, LARGEST // self.dimensions)
        shifts = torch.arange(32, device=rows.device)
        for start in range(0, rows.shape[1], step):
            some = rows[:, start : start + step]
            numbers = torch.arange(start * words, (start + some.shape[1]) * words, device=rows.device)
            bits = hashed(numbers, self._key(block))[:, None] >> shifts & 1
            signs = bits.view(some.shape[1], words * 32)[:, : self.dimensions].to(rows.dtype) * 2 - 1
            out.add_(some @ signs, alpha=self.dimensions**-0.5)

    def _key(self, block: str) -> int:
        return _key(f"{self.kind} {self.dimensions} {self.seed} {block}")


def signs(n: int, name: str, device: Any) -> Any:
    """Return n signs, +1 or -1 in float32, that a name fixes."""
    return 1.0 - 2.0 * (hashed(torch.arange(n, device=device), _key(name)) & 1).float()


def _key(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


def hashed(numbers: Any, key: int) -> Any:
    """Return 62 well mixed bits for each number: the finisher of SplitMix64 (Steele, Lea and Flood, 2014), keyed.

    Whole numbers in 64 bits, wrapping: the same on every device. The top bits go, so that the result is not negative.
    """
    x = (numbers + 1) * _signed(0x9E3779B97F4A7C15) + key
    x = (x ^ _shifted(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shifted(x, 27)) * _signed(0x94D049BB133111EB)
    return _shifted(x ^ _shifted(x, 31), 2)


def _signed(constant: int) -> int:
    return constant - 2**64 if constant >= 2**63 else constant


def _shifted(x: Any, by: int) -> Any:
    # torch shifts whole numbers with their sign; the mask makes it a plain shift.
    return x >> by & ((1 << (64 - by)) - 1)
