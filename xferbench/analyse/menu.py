"""What `xferbench analyse` offers: each analysis reads a run's folder or a table from elsewhere, and answers alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xferbench import results as rows
from xferbench.analyse import agreement as agreements
from xferbench.analyse import composition, contamination, document, heatmap, index, mixture, order, traits, wide
from xferbench.analyse import methods as recipes
from xferbench.analyse import training as trainings
from xferbench.errors import UsageError
from xferbench.results import Results


@dataclass(frozen=True)
class Source:
    """What is analysed: the rows of a run, or a table; each can be had as the other."""

    results: Results
    table: wide.Wide
    drop: float = order.DROP
    """A loss of so much (a fraction) is called a failure by `order`."""


@dataclass(frozen=True)
class Analysis:
    """An answer: plain JSON, the same as text, and as a picture."""

    found: Any
    text: Callable[[], str]
    draw: Callable[[Path], object]


def read(path: Path, scale: str, items: Mapping[str, int]) -> Source:
    """Read the folder of a run, or a wide CSV; UsageError when it is neither."""
    if path.is_dir():
        found = rows.read(path)
        return Source(found, wide.of(found))
    if not path.is_file():
        raise UsageError(f"{path} is neither the folder of a run nor a CSV table")
    table = wide.read(path, scale, items)
    return Source(wide.results(table), table)


def transfer(source: Source) -> Analysis:
    """Gains, efficiency, labels: what `run` prints."""
    found = document.document(source.results)
    return Analysis(found, lambda: document.text(found), lambda path: document.draw(source.results, found, path))


def agreement(source: Source) -> Analysis:
    """Whether the scorers foretell the measured gains."""
    found = agreements.agreement(source.results)
    return Analysis(found, lambda: agreements.text(found), lambda path: agreements.draw(found, path))


def leaks(source: Source) -> Analysis:
    """Results on all, clean and dirty items: is a gain only that the test stands in the training text?"""
    if source.results.root is None:
        raise UsageError("a table holds no items: give the folder of a run")
    found = contamination.contamination(source.results)
    return Analysis(found, lambda: contamination.text(found), lambda path: contamination.draw(found, path))


def orders(source: Source) -> Analysis:
    """Order sensitivity, interference, mixing, strategies."""
    found = order.order(source.results, source.drop)
    return Analysis(found, lambda: order.text(found), lambda path: order.draw(found, path))


def methods(source: Source) -> Analysis:
    """Which recipe is better, condition by condition, on the same items and seeds."""
    found = recipes.methods(source.results)
    return Analysis(found, lambda: recipes.text(found), lambda path: recipes.draw(found, path))


def indices(source: Source) -> Analysis:
    """The Transferability Index, version 2."""
    found = index.index(source.table)
    return Analysis(found, lambda: index.text(found), lambda path: index.draw(found, path))


def components(source: Source) -> Analysis:
    """Latent traits: principal components beside what chance explains."""
    found = traits.traits(source.table)
    return Analysis(found, lambda: traits.text(found), lambda path: traits.draw(found, path))


def compositions(source: Source) -> Analysis:
    """Which sources the most influential examples come from, over all cuts."""
    found = composition.composition(source.results)
    return Analysis(found, lambda: composition.text(found), lambda path: composition.draw(found, path))


def heatmaps(source: Source) -> Analysis:
    """Predicted by the top examples beside measured by training, and whether the two agree."""
    found = heatmap.heatmap(source.results)
    return Analysis(found, lambda: heatmap.text(found), lambda path: heatmap.draw(found, path))


def mix(source: Source) -> Analysis:
    """The curve of a mixture over its shares, and what choosing by influence is worth."""
    found = mixture.mixture(source.results)
    return Analysis(found, lambda: mixture.text(found), lambda path: mixture.draw(found, path))


def training(source: Source) -> Analysis:
    """Loss, reward and sampling ratios over the steps of every training."""
    if source.results.root is None:
        raise UsageError("a table holds no logs of trainings: give the folder of a run")
    found = trainings.training(source.results)
    return Analysis(found, lambda: trainings.text(found), lambda path: trainings.draw(found, path))


ANALYSES: dict[str, Callable[[Source], Analysis]] = {
    "agreement": agreement,
    "composition": compositions,
    "contamination": leaks,
    "heatmap": heatmaps,
    "index": indices,
    "mix": mix,
    "methods": methods,
    "order": orders,
    "training": training,
    "traits": components,
    "transfer": transfer,
}
