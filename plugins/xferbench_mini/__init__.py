"""The mini world: seven small domains, a test for each and a hard one, and a model small enough for a laptop.

Who shares which skill with whom is declared in code, so what should transfer is known by construction.
"""

from collections.abc import Iterator
from pathlib import Path

from xferbench import Domain, Suite, hookimpl

from .declared import Declared
from .family import reward
from .worlds import FAMILIES, SUMMARIES, TARGETS, VERSION, overlap, queries, stream, taught

__all__ = ["GRPO", "SFT", "TRAIN_LIMIT", "overlap", "queries", "taught"]

SFT = {"learning_rate": 1.5e-3, "epochs": 1, "batch_size": 16, "rank": 16, "alpha": 32}
"""At 1e-3 code, logic and gpqa learn little; at 5e-3 nearly all carries to nearly all (docs/mini.md has the sweep)."""
GRPO = {"learning_rate": 3e-3, "steps": 16, "k": 8, "batch_size": 32, "max_completion": 52, "rank": 16, "alpha": 32}
"""Lifts math in under a minute; at 5e-3 a seed of science undid gpqa (docs/mini.md tells what was compared)."""
GRPO_AFTER = {"learning_rate": 1e-3}
"""Of sft>grpo: steps as large as from the untrained model undo what sft has taught (docs/mini.md)."""
TRAIN_LIMIT = 500


@hookimpl
def provide_domains() -> Iterator[Domain]:
    """Offer the seven domains; nothing is generated before it is asked for."""
    for name in FAMILIES:
        yield Domain(
            f"mini/{name}",
            stream(name),
            reward,
            version=VERSION,
            summary=SUMMARIES[name],
            stream=True,
            data={"id": f"xferbench_mini {name}", "revision": VERSION, "licence": "Apache-2.0", "gated": False},
        )


@hookimpl
def provide_suites() -> Iterator[Suite]:
    """Offer the suite `mini`."""
    folder = Path(__file__).parent
    yield Suite(
        "mini",
        model=str(folder / "model"),
        models={"small": str(folder / "model"), "large": str(folder / "model_large")},
        domains={name: f"mini/{name}" for name in FAMILIES},
        targets={name: f"mini/{name}" for name in TARGETS},
        trainers={"sft": SFT, "adaptive": SFT, "grpo": GRPO, ">grpo": GRPO_AFTER},
        train_limit=TRAIN_LIMIT,
        summary="a small world in which transfer is real and known by construction",
        caution="small, made up, on a made-up model; it says nothing of a real model or benchmark",
    )


@hookimpl
def provide_scorers() -> list[type[Declared]]:
    """Offer the declared truth as a scorer, to hold methods against."""
    return [Declared]
