"""How long the statistics of a whole leaderboard take: a 20 x 20 matrix, 5 seeds, 1,000 items, 10,000 resamples.

    python benchmarks/resampling.py [--sources 20] [--targets 20] [--seeds 5] [--items 1000] [--resamples 10000]

Prints the seconds of the two-level bootstrap of all gains, how many times faster that is than resampling in a loop (the
loop is timed on a few resamples of one cell and scaled up), and the seconds of all intervals and p-values.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from xferbench.analyse import bootstrap
from xferbench.analyse.uncertainty import two_level


def loop(gains: np.ndarray, resamples: int, rng: np.random.Generator) -> list[float]:
    """The bootstrap as one would first write it: one cell (seeds, items), one resample after another."""
    seeds, items = gains.shape
    means = []
    for _ in range(resamples):
        rows = rng.integers(0, seeds, seeds)
        columns = rng.integers(0, items, items)
        means.append(float(gains[rows][:, columns].mean()))
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("sources", 20), ("targets", 20), ("seeds", 5), ("items", 1000), ("resamples", 10_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = (asked.sources, asked.seeds, asked.items)
    gains = [rng.integers(-1, 2, shape).astype(float) for _ in range(asked.targets)]

    start = time.perf_counter()
    for number, target in enumerate(gains):
        bootstrap.means(target, asked.resamples, seed=number)
    fast = time.perf_counter() - start

    start = time.perf_counter()
    loop(gains[0][0], 200, rng)
    slow = (time.perf_counter() - start) / 200 * asked.resamples * asked.sources * asked.targets

    start = time.perf_counter()
    for target in gains:
        for cell in target:
            estimate = two_level(cell, unit=1.0)
            assert estimate is not None
            estimate.interval(), estimate.p(), estimate.mde()
    exact = time.perf_counter() - start

    cells = f"{asked.sources} x {asked.targets} cells"
    print(f"{cells}, {asked.seeds} seeds, {asked.items} items, {asked.resamples} resamples")
    print(f"bootstrap of all cells         {fast:8.2f} s")
    print(f"the same in a loop (scaled)    {slow:8.0f} s, {slow / fast:.0f} times as long")
    print(f"all intervals, p-values, MDEs  {exact:8.2f} s")


if __name__ == "__main__":
    main()
