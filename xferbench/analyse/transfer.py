"""Does training on a source help on a target? One finding for each source, target and recipe of a run."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from xferbench.analyse import bootstrap
from xferbench.analyse.contrast import Matrix, adjustment, contrast, matrices
from xferbench.analyse.label import label
from xferbench.analyse.multiplicity import holm
from xferbench.analyse.pairing import CONDITIONS, Pair, Scores, Seeds, common, number, pairs
from xferbench.analyse.ratio import Ratio, fieller
from xferbench.errors import UsageError
from xferbench.results import Results

OWN = "the source is what direct trains on"


def findings(results: Results, *, resamples: int = 10_000, seed: int = 0, margin: float = 0.03) -> list[dict[str, Any]]:
    """Return the findings of a run: plain values, ready for JSON, scores as fractions, None beside a reason.

    gain = transfer - baseline, efficiency = transfer / direct with floor baseline / direct, relative_transfer =
    (transfer - baseline) / (direct - baseline), direct_gap = transfer - direct, sequential_gain and joint_gain against
    direct, placebo_gain = transfer - placebo. Intervals are 95 %, paired by item and seed (`uncertainty.two_level`).
    p_holm adjusts the gains of all findings but those whose source is what direct trains on. gain["bootstrap"] is a
    second opinion from `resamples` draws (0: none), made with `seed`. `margin`: see `label`.

    UsageError when two conditions of a target were not asked the same items.
    """
    if not 0 < margin < 1:
        raise UsageError(f"margin {margin} must be a fraction between 0 and 1")
    if resamples < 0:
        raise UsageError(f"resamples {resamples} must not be negative")
    scores = Scores(results)
    groups = pairs(results)
    found = [_finding(pair, scores, margin) for pair in groups]
    _adjust(found, groups)
    _bootstrap(found, groups, scores, resamples, seed)
    return found


def _finding(pair: Pair, scores: Scores, margin: float) -> dict[str, Any]:
    """All that is known of one pair, but for what depends on the other pairs."""
    cells = pair.cells
    gain = contrast(cells["transfer"], cells["baseline"], scores)
    gap = contrast(cells["transfer"], cells["direct"], scores)
    own = _own(pair)
    word, why = label(gain["low"], gain["high"], 0.0 if own else gap["low"], margin, gain["reason"])
    first = cells["transfer"] or cells["sequential"] or cells["joint"] or cells["direct"] or cells["placebo"]
    if own and word == "strong":
        why = f"the interval of the gain lies above 0, and {OWN}"
    return {
        "source": pair.source,
        "target": pair.target,
        "recipe": pair.recipe,
        "seeds": len(first),
        "n": min((cell.n for cell in first.values()), default=0),
        **{name: _mean(cells[name]) for name in CONDITIONS},
        "gain": gain,
        "efficiency": _efficiency(pair, scores),
        "relative_transfer": _relative(pair, scores),
        "direct_gap": gap,
        "sequential_gain": contrast(cells["sequential"], cells["direct"], scores),
        "joint_gain": contrast(cells["joint"], cells["direct"], scores),
        "placebo_gain": contrast(cells["transfer"], cells["placebo"], scores),
        "label": word,
        "why": why,
        "cost": _cost(cells),
    }


def _own(pair: Pair) -> bool:
    """Whether transfer and direct are one and the same training."""
    trained = pair.curriculum("transfer")
    return trained is not None and trained == pair.curriculum("direct")


def _diagonal(pair: Pair) -> bool:
    """Whether the source is the target's own domain, also where direct was not asked for."""
    return _own(pair) or (pair.domain is not None and pair.curriculum("transfer") == pair.domain)


def _mean(cells: Seeds) -> float | None:
    return number(np.mean([cell.value for cell in cells.values()])) if cells else None


def _ratio(ratio: Ratio) -> dict[str, Any]:
    return {
        "value": number(ratio.value), "low": number(ratio.low), "high": number(ratio.high), "reason": ratio.reason
    }  # fmt: skip


def _three(pair: Pair, scores: Scores) -> tuple[Matrix, Matrix, Matrix] | str:
    """Scores (seeds, items) of transfer, direct and baseline over the seeds they share, or why there are none."""
    cells = pair.cells
    for name in ("transfer", "direct", "baseline"):
        if not cells[name]:
            return f"{name} was not measured"
    seeds = [a.seed for a, _ in common(cells["transfer"], cells["direct"])]
    base = cells["baseline"]
    if None not in base:
        seeds = [s for s in seeds if s in base]
    if not seeds:
        return "the conditions have no training seed in common"
    chosen = [[c[None] if None in c else c[s] for s in seeds] for c in (cells["transfer"], cells["direct"], base)]
    first, second = matrices(list(zip(chosen[0], chosen[1], strict=True)), scores)
    _, third = matrices(list(zip(chosen[0], chosen[2], strict=True)), scores)
    if first is None or second is None or third is None:
        return "no items, so there is no interval"
    return first, second, third


def _efficiency(pair: Pair, scores: Scores) -> dict[str, Any]:
    """transfer / direct, with the floor that no training at all reaches."""
    above, below, base = (_mean(pair.cells[name]) for name in ("transfer", "direct", "baseline"))
    floor = number(base / below) if base is not None and below else None
    three = _three(pair, scores)
    if not isinstance(three, str):
        return {"floor": floor, **_interval(pair, three[0], three[1], adjustment(three[0], three[1]))}
    value = above / below if above is not None and below else None
    return {"floor": floor, **_ratio(Ratio(value, None, None, three))}


def _relative(pair: Pair, scores: Scores) -> dict[str, Any]:
    """The gain of transfer as a share of the gain of direct: undefined where direct does not gain for certain."""
    above, below, base = (_mean(pair.cells[name]) for name in ("transfer", "direct", "baseline"))
    three = _three(pair, scores)
    if not isinstance(three, str):
        transfer, direct, untrained = three
        return _interval(pair, transfer - untrained, direct - untrained, adjustment(transfer, direct))
    if above is None or below is None or base is None:
        return _ratio(Ratio(None, None, None, three))
    certain = contrast(pair.cells["direct"], pair.cells["baseline"], scores)["low"]
    if certain is None or certain <= 0:
        return _ratio(Ratio(None, None, None, f"direct is not known to be above baseline; {three}"))
    return _ratio(Ratio((above - base) / (below - base), None, None, three))


def _interval(pair: Pair, top: Matrix, bottom: Matrix, unit: float) -> dict[str, Any]:
    ratio = fieller(top, bottom, unit)
    if _own(pair) and ratio.value is not None:
        return _ratio(Ratio(ratio.value, None, None, OWN))
    return _ratio(ratio)


def _cost(cells: Mapping[str, Seeds]) -> dict[str, float | None]:
    """The sum over all cells of the pair, each step once; None for what no cell knows."""
    steps = {cell.step: cell for seeds in cells.values() for cell in seeds.values()}
    total: dict[str, float | None] = {}
    for name in ("seconds", "tokens", "flops", "dollars"):
        known = [float(value) for c in steps.values() if (value := c.cost.get(name)) is not None]
        total[name] = number(sum(known)) if known else None
    return total


def _adjust(found: list[dict[str, Any]], groups: list[Pair]) -> None:
    """Add p_holm over the gains of all pairs whose source is not the target's own domain."""
    tested = [
        f["gain"] for f, pair in zip(found, groups, strict=True) if f["gain"]["p"] is not None and not _diagonal(pair)
    ]
    adjusted = dict(zip(map(id, tested), holm([gain["p"] for gain in tested]), strict=True))
    for finding, pair in zip(found, groups, strict=True):
        gain = finding["gain"]
        gain["p_holm"] = number(adjusted.get(id(gain)))
        gain["tests"] = len(tested)
        if gain["reason"] is None and _diagonal(pair):
            gain["reason"] = f"no p_holm: {OWN}"


def _bootstrap(found: list[dict[str, Any]], groups: list[Pair], scores: Scores, resamples: int, seed: int) -> None:
    """Add the percentile interval of the two-level bootstrap to each gain, all sources of a target in one product."""
    alike: dict[tuple[str, int, int], list[tuple[dict[str, Any], Matrix]]] = {}
    for finding, pair in zip(found, groups, strict=True):
        finding["gain"]["bootstrap"] = None
        matched = common(pair.cells["transfer"], pair.cells["baseline"])
        first, second = matrices(matched, scores) if matched and resamples else (None, None)
        if first is not None and second is not None:
            alike.setdefault((pair.target, *first.shape), []).append((finding["gain"], first - second))
    for members in alike.values():
        draws = bootstrap.means(np.stack([y for _, y in members]), resamples, seed)
        for column, (gain, _) in enumerate(members):
            low, high = bootstrap.percentile(draws[:, column])
            gain["bootstrap"] = {"low": number(low), "high": number(high), "resamples": resamples}
