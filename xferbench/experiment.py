"""An experiment: what is asked, from flags or a YAML file, as one frozen value. An unknown key is refused."""

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xferbench.budget import check
from xferbench.errors import UsageError, nearest, unknown
from xferbench.licence import USES

CONDITIONS = ("baseline", "transfer", "direct", "sequential", "joint", "placebo")

FEWEST = 4
"""Random halves without which no rank correlation is worth its name."""


@dataclass(frozen=True)
class Experiment:
    """One question, asked of every source, target and recipe."""

    source: tuple[str, ...] = ()
    """Domains to learn from."""
    target: tuple[str, ...] = ()
    """Benchmarks to be measured on; settings may follow: lmeval:gsm8k:num_fewshot=0."""
    suite: str = "mini"
    """Where short names are looked up, and whose model and budgets are the default."""
    model: str | None = None
    """A folder or hub id; None: the suite's."""
    trainer: tuple[str, ...] = ("sft",)
    """Recipes: sft, sft:learning_rate=1e-4, sft>grpo."""
    conditions: tuple[str, ...] = CONDITIONS
    curriculum: tuple[str, ...] = ()
    """Further things to learn, measured on every target: math>code, math+code, math:0.8+science:0.2."""
    checkpoint: tuple[str, ...] = ()
    """Models and adapters trained elsewhere, measured as sources: NAME=PATH,method=rl (see external.py)."""
    budget: str = "additive"
    """How much a curriculum of several domains learns from: additive, matched_steps, matched_tokens (see budget.py)."""
    scorer: tuple[str, ...] = ("cosine", "random", "vocabulary")
    """How training examples are scored for their influence; none with an empty list."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One training run for each."""
    train_limit: int | None = None
    """Examples drawn from each domain; None: as the suite says, or all."""
    eval_limit: int | None = None
    """The first items of each target; None: all. For smoke tests only."""
    eval_points: int | None = None
    """Points on the way of each training, evenly spread, at which it is measured, the end among them; None: the end."""
    query_limit: int = 64
    """Questions of the target that scorers aim at."""
    score_at: str = "transfer"
    """The checkpoint at which examples are scored: transfer (after training on the source) or baseline."""
    lds: int | None = None
    """Random halves of the source that are trained on, to see whether scores foretell the loss; None: none."""
    executor: str = "local"
    """Where steps run; settings may follow: slurm:partition=gpu,time=120."""
    jobs: int | None = None
    """Steps at a time; None: as many as the machine takes."""
    use: str = "research"
    """What the models are for: research or commercial; data whose licence forbids it are refused."""
    max_dirty: float | None = None
    """Refuse to train on a domain that holds more than this share of a target's items; None: only report it."""
    price: float | None = None
    """Dollars that an hour of the machine costs; None: no row tells dollars."""
    step_timeout: int | None = None
    """Seconds that a step may take before it is begun again, once; None: as long as it likes."""


FIELDS = {field.name: field for field in dataclasses.fields(Experiment)}
LISTS = ("source", "target", "trainer", "conditions", "curriculum", "checkpoint", "scorer", "seeds")


def from_mapping(values: Mapping[str, Any], where: str = "experiment") -> Experiment:
    """Build an experiment from keys as typed: texts with commas, lists, or numbers. UsageError for anything wrong."""
    known: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in FIELDS:
            raise UsageError(f"{where}: unknown key {key!r}{nearest(name, FIELDS)} (known: {', '.join(FIELDS)})")
        if value is not None:
            known[name] = _listed(where, name, value) if name in LISTS else value
    for name in ("train_limit", "eval_limit", "eval_points", "query_limit", "jobs", "lds", "step_timeout"):
        if name in known and (not isinstance(known[name], int) or isinstance(known[name], bool) or known[name] < 1):
            raise UsageError(f"{where}: {name} takes a whole number above 0, not {known[name]!r}")
    price = known.get("price", 0)
    if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < math.inf:
        raise UsageError(f"{where}: price takes dollars an hour, not {price!r}")
    most = known.get("max_dirty", 0)
    if isinstance(most, bool) or not isinstance(most, int | float) or not 0 <= most <= 1:
        raise UsageError(f"{where}: max_dirty takes a share from 0 to 1, not {most!r}")
    for name in ("suite", "model", "executor", "score_at", "budget", "use"):
        if name in known and not isinstance(known[name], str):
            raise UsageError(f"{where}: {name} takes a name, not {known[name]!r}")
    if known.get("use", USES[0]) not in USES:
        raise unknown("use", known["use"], USES)
    if known.get("score_at", "transfer") not in ("transfer", "baseline"):
        raise unknown("checkpoint to score at", known["score_at"], ("transfer", "baseline"))
    if known.get("lds", FEWEST) < FEWEST:
        raise UsageError(f"{where}: lds takes at least {FEWEST} random halves, not {known['lds']}")
    for condition in known.get("conditions", ()):
        if condition not in CONDITIONS:
            raise unknown("condition", condition, CONDITIONS)
    if "budget" in known:
        check(known["budget"])
    for name in ("source", "target", "trainer", "conditions", "curriculum", "seeds"):
        if name in known and not known[name] and not _spared(name, known):
            raise UsageError(f"{where}: {name} is empty")
        if len(set(known.get(name, ()))) < len(known.get(name, ())):
            raise UsageError(f"{where}: {name} names something twice: {', '.join(map(str, known[name]))}")
    return Experiment(**known)


def _spared(name: str, known: Mapping[str, Any]) -> bool:
    """Sources and curricula may each be none: one of them is enough."""
    return name == "curriculum" or (name == "source" and bool(known.get("curriculum") or known.get("checkpoint")))


def _listed(where: str, name: str, value: Any) -> tuple[Any, ...]:
    if name == "checkpoint" and isinstance(value, str):
        value = [value]  # its commas are its own
    parts = split(value) if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else [value]
    if name != "seeds":
        if not all(isinstance(part, str) for part in parts):
            raise UsageError(f"{where}: {name} takes names, not {value!r}")
        return tuple(parts)
    if any(isinstance(part, bool) or not re.fullmatch(r"\s*\d+\s*", str(part)) for part in parts):
        raise UsageError(f"{where}: seeds takes whole numbers from 0, joined by commas, not {value!r}")
    return tuple(int(part) for part in parts)


def split(text: str) -> list[str]:
    """Split at commas, but keep settings with their name: "sft:rank=8,epochs=2,grpo" is two recipes.

    No text is no part; an empty one among others is refused.
    """
    parts: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        if not part and text.strip():
            raise UsageError(f"a name lacks in {text!r}: a comma stands at an end, or beside another")
        setting = "=" in part and not {":", "~"} & set(part.split("=")[0])
        if parts and setting and "=" in parts[-1]:
            parts[-1] += f",{part}"
        elif part:
            parts.append(part)
    return parts


def spec(text: str) -> tuple[str, dict[str, str]]:
    """Read NAME[:key=value,...]: the name (which may hold a colon itself) and its settings as typed."""
    name, colon, _ = text.partition("=")[0].rpartition(":")  # a setting's value may hold a colon too
    if not colon or "=" not in text:
        return text, {}
    tail = text[len(name) + 1 :]
    settings = {}
    for part in tail.split(","):
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise UsageError(f"{text!r}: settings have the form name:key=value,key=value; {part!r} has not")
        settings[key.strip()] = value.strip()
    return name, settings


def read(path: Path) -> dict[str, Any]:
    """Read an experiment YAML; UsageError when it is missing, not YAML, or not a mapping."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = f"{path} cannot be read: {error.strerror}"
        raise UsageError(f"{why}; an experiment is a YAML file, and a name to learn from follows --source") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path} holds no experiment: expected keys such as source and target")
    return values


def text(experiment: Experiment) -> str:
    """Render an experiment as YAML; `xferbench run` on the file asks the same again."""
    import yaml

    values = {name: list(v) if isinstance(v := getattr(experiment, name), tuple) else v for name in FIELDS}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
