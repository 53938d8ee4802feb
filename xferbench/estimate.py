"""What a plan will take, before anything starts: steps, tokens, GPU memory, hours and dollars.

Everything is reckoned from above: every sequence as long as its limit, every answer as long as it may be. What cannot
be known beforehand is named, never filled in.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from xferbench.catalog import Catalog
from xferbench.errors import UsageError, unknown
from xferbench.planned import Plan
from xferbench.size import Shape, of_folder, shape
from xferbench.steps import Attribute, Evaluate, Step, Train

GPUS = {
    "h100": (989e12, 3.35e12, 80, 3.0),
    "h200": (989e12, 4.8e12, 141, 4.0),
    "a100": (312e12, 2.0e12, 80, 2.0),
    "l4": (121e12, 0.3e12, 24, 0.8),
}
"""Dense bfloat16 operations and bytes of memory a second (the makers' figures), GB, and an assumed price an hour."""
SHARE = 0.3
"""Of the peak that training and scoring reach; an assumption."""
STEP = 0.025
"""Seconds that one step of generation takes at least, for as many answers as the card holds; an assumption."""
ITEM = 1024
"""Tokens that an item of a target takes with its answers, and those of a generated answer; an assumption."""
SMALL = 50e6
"""Parameters of a model for which nobody needs a GPU."""


@dataclass
class Sum:
    """What was added up so far."""

    steps: int = 0
    sequences: int = 0
    tokens: int = 0
    generated: int = 0
    seconds: float = 0.0
    memory: float = 0.0
    unknown: list[str] = field(default_factory=list)

    def missing(self, what: str) -> None:
        """Name what is not known, once."""
        if what not in self.unknown:
            self.unknown.append(what)


def gpu(text: str) -> tuple[str, float, float, float, float]:
    """Read NAME or NAME:DOLLARS_AN_HOUR; UsageError for an unknown one."""
    name, _, price = text.partition(":")
    if name not in GPUS:
        raise unknown("GPU", name, GPUS)
    try:
        return name, *GPUS[name][:3], float(price) if price else GPUS[name][3]
    except ValueError:
        raise UsageError(f"--gpu takes NAME or NAME:DOLLARS, not {text!r}") from None


def estimate(plan: Plan, todo: Iterable[Step], catalog: Catalog, device: str = "h100") -> dict[str, Any]:
    """Return the estimate of these steps as JSON; its keys are said in docs/suites.md."""
    name, peak, bandwidth, memory, price = gpu(device)
    suite = catalog.entry("suite", plan.experiment.suite).value
    declared = suite.shape if plan.base.name == suite.model else {}
    model = of_folder(plan.base.folder) or shape(declared)
    found = Sum()
    counts = {"train": 0, "evaluate": 0, "attribute": 0}
    for step in todo:
        counts[step.kind] += 1
        if isinstance(step, Train):
            _train(step, model, catalog, found, (peak, bandwidth, memory * 1e9))
        elif isinstance(step, Evaluate):
            _evaluate(step, model, catalog, found, peak)
        else:
            _attribute(step, model, found, peak)
    if model is None:
        found.missing(f"the size of {plan.base.name}: its memory and hours")
    hours = found.seconds / 3600 if model else None
    return {
        "model": {"name": plan.base.name, "parameters": model.parameters if model else None},
        "gpu": {"name": name, "memory_gb": memory, "dollars_an_hour": price},
        "trainings": counts["train"], "measurements": counts["evaluate"], "attributions": counts["attribute"],
        "steps": found.steps, "sequences": found.sequences, "tokens": found.tokens, "generated": found.generated,
        "gpu_memory_gb": round(found.memory / 1e9, 1) if model else None,
        "hours": None if hours is None else float(f"{hours:.3g}"),
        "dollars": None if hours is None else float(f"{hours * price:.3g}"),
        "unknown": found.unknown,
    }  # fmt: skip


def _train(step: Train, model: Shape | None, catalog: Catalog, found: Sum, card: tuple[float, ...]) -> None:
    peak, bandwidth, memory = card
    n = sum(data.n for data in step.data)
    trainer = catalog.make("trainer", step.trainer.name, step.trainer.settings)
    if not hasattr(trainer, "effort"):
        return found.missing(f"what the trainer {step.trainer.name} does: it foretells nothing")
    for data in step.data:
        if not data.n:
            found.missing(f"how many examples {data.domain} has: its trainings count as none of its own")
    effort: Mapping[str, Any] = trainer.effort(n)
    tokens = effort["sequences"] * effort["length"]
    found.steps += effort["steps"]
    found.sequences += effort["sequences"]
    found.tokens += tokens
    found.generated += effort["generated"] * effort["answer"]
    if effort.get("elsewhere"):
        return found.missing(f"the hours and the price of trainings by {step.trainer.name}: another's machines do them")
    if model is None:
        return None
    passes = (2 if effort["rank"] else 3) + effort["checkpointing"]
    found.seconds += model.flops(tokens, effort["length"], passes) / (peak * SHARE)
    at_once = effort["at_once"] * effort["length"]
    found.memory = max(found.memory, model.training_bytes(at_once, effort["rank"], effort["checkpointing"]))
    if effort["generated"]:
        each = max(STEP, 2 * model.parameters / bandwidth)
        room = max(1, int((memory - model.generating_bytes(0)) // model.cache_bytes(effort["length"])))
        found.seconds += math.ceil(effort["generated"] / room) * effort["answer"] * each
    return None


def _evaluate(step: Evaluate, model: Shape | None, catalog: Catalog, found: Sum, peak: float) -> None:
    known = catalog.make("target", step.target.name, {}).data.get("n")
    n = min((one for one in (known, step.limit) if one is not None), default=None)
    if n is None:
        return found.missing(f"how many items {step.target.name} has: its measurements are not in the hours")
    if model is not None:
        found.seconds += model.flops(n * ITEM, ITEM, 1) / (peak * SHARE)
        found.memory = max(found.memory, model.generating_bytes(32 * ITEM))
    return None


def _attribute(step: Attribute, model: Shape | None, found: Sum, peak: float) -> None:
    if model is not None:
        found.seconds += model.flops(step.data.n * ITEM, ITEM, 3) / (peak * SHARE)


def text(found: Mapping[str, Any]) -> str:
    """Render it for people."""

    def shown(value: Any, unit: str = "") -> str:
        return "not known" if value is None else "under 0.01" if 0 < value < 0.01 else f"{value:,}{unit}"

    size, card = found["model"], found["gpu"]
    lines = [
        f"estimate, from above, on one {card['name']} at {card['dollars_an_hour']:g} dollars an hour (assumed):",
        f"  model        {size['name']}, parameters {shown(size['parameters'])}",
        f"  work         {found['trainings']} trainings, {found['measurements']} measurements, "
        f"{found['attributions']} attributions",
        f"  steps        {found['steps']:,} of the optimiser, {found['sequences']:,} sequences",
        f"  tokens       at most {found['tokens']:,} learnt, {found['generated']:,} generated in training",
        f"  GPU memory   {shown(found['gpu_memory_gb'], ' GB')}"
        + ("" if (found["gpu_memory_gb"] or 0) <= card["memory_gb"] else f": MORE than its {card['memory_gb']} GB"),
        f"  hours        {shown(found['hours'])}",
        f"  dollars      {shown(found['dollars'])}",
    ]
    if size["parameters"] is not None and size["parameters"] < SMALL:
        lines.append("  no GPU?      so small a model learns on a CPU as well; for how long, only a run tells")
    return "\n".join([*lines, *(f"  not known:   {what}" for what in found["unknown"])])
