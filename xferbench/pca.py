"""PCA shift: how far the mean hidden state of prompts has moved in the plane where the base's states vary most.

After "Does Math Reasoning Improve General LLM Capabilities?" (arXiv 2507.00432, Fig. 3).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FEWEST = 4
"""Prompts below which two halves have no mean worth comparing."""
SPLITS, RESAMPLES = 200, 1000


def shift(base: Array, tuned: Array, definition: str, seed: int = 0) -> dict[str, Any]:
    """Return how far `tuned` is from `base`, hidden states (layers, prompts, width) of the same prompts.

    For each layer the first two principal components of the base's states are taken, centred on their mean; both mean
    states are projected on them. shift: the distance of the projections (units of the states), mean over layers, with
    a 95 % percentile interval over prompts drawn with replacement; relative: divided by the layer's mean norm of the
    base's states, so that layers and models compare; whole: the same over all dimensions; floor: the relative shift of
    the base against itself, one random half of the prompts against the other, mean and 95th percentile of 200 splits.
    layers: the same for each, with the share of variance that the two components explain.
    paper: the authors' own d = |mean over layers of (projected tuned mean - projected base mean)|, signs of the
    components by the greatest loading; opposite layers cancel in it. Nulls beside a reason where it is undefined.
    """
    found: dict[str, Any] = {
        "definition": definition, "shift": None, "low": None, "high": None, "relative": None, "whole": None,
        "floor": None, "floor_high": None, "paper": None, "layers": [], "reason": None,
    }  # fmt: skip
    if base.shape != tuned.shape:
        return found | {"reason": "the two have different layers or widths, so their hidden states do not compare"}
    if base.shape[1] < FEWEST:
        return found | {"reason": f"it takes {FEWEST} prompts, and there are {base.shape[1]}"}
    planes = [_plane(states) for states in base]
    known = [i for i, plane in enumerate(planes) if plane is not None]
    found["layers"] = [_layer(i, planes[i], base[i], tuned[i]) for i in range(len(planes))]
    if not known:
        return found | {"reason": "the base's hidden states do not differ between the prompts"}
    axes = [planes[i][0] for i in known]  # type: ignore[index]
    norms = np.array([np.linalg.norm(base[i], axis=1).mean() for i in known])
    moved = np.stack([(tuned[i] - base[i]) @ a.T for i, a in zip(known, axes, strict=True)])  # (layers, prompts, 2)
    steps = np.linalg.norm(moved.mean(axis=1), axis=1)
    rng = np.random.default_rng(seed)
    n = base.shape[1]
    weights = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
    draws = np.linalg.norm(np.einsum("rn,lnk->rlk", weights, moved), axis=2).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    floors = _floor(np.stack([base[i] @ a.T for i, a in zip(known, axes, strict=True)]), norms, rng)
    whole = [np.linalg.norm((tuned[i] - base[i]).mean(axis=0)) for i in known]
    return found | {
        "shift": float(steps.mean()), "low": float(low), "high": float(high),
        "relative": float((steps / norms).mean()), "whole": float((np.array(whole) / norms).mean()),
        "floor": float(floors.mean()), "floor_high": float(np.quantile(floors, 0.95)),
        "paper": float(np.linalg.norm(moved.mean(axis=1).mean(axis=0))),
    }  # fmt: skip


def _plane(states: Array) -> tuple[Array, float] | None:
    """The first two components (2, width) of states (prompts, width), and their share of variance; None: no variance.

    Signs make the greatest loading positive.
    """
    _, spread, axes = np.linalg.svd(states - states.mean(axis=0), full_matrices=False)
    if spread[0] <= 1e-9 * max(1.0, float(np.abs(states).max())):
        return None
    axes = axes[:2]
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    return axes * signs[:, None], float((spread[:2] ** 2).sum() / (spread**2).sum())


def _layer(number: int, plane: tuple[Array, float] | None, base: Array, tuned: Array) -> dict[str, Any]:
    norm = float(np.linalg.norm(base, axis=1).mean())
    gap = (tuned - base).mean(axis=0)
    row: dict[str, Any] = {"layer": number, "shift": None, "relative": None, "whole": None, "explained": None,
                           "reason": None}  # fmt: skip
    if plane is None or norm == 0:
        return row | {"reason": "the base's states do not differ between the prompts"}
    step = float(np.linalg.norm(plane[0] @ gap))
    whole = float(np.linalg.norm(gap)) / norm
    return row | {"shift": step, "relative": step / norm, "whole": whole, "explained": plane[1]}


def _floor(points: Array, norms: Array, rng: np.random.Generator) -> Array:
    """Relative distances of the means of two random halves of points (layers, prompts, 2), over layers: (splits,)."""
    n = points.shape[1]
    found = []
    for _ in range(SPLITS):
        order = rng.permutation(n)
        first, second = points[:, order[: n // 2]], points[:, order[n // 2 :]]
        found.append((np.linalg.norm(first.mean(axis=1) - second.mean(axis=1), axis=1) / norms).mean())
    return np.array(found)
