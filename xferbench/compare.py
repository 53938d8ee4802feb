"""What `xferbench drift` does: measure how far checkpoints are from their base, and keep it beside a run's rows.

A run's folder: every training behind its cells, on the queries of the cells' targets; DIR/drift/ holds one file for
each, and what is there is not measured again. Any two checkpoints: a model or adapter against another.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xferbench import models, shelf
from xferbench.analyse import drift as reading
from xferbench.api import Checkpoint
from xferbench.catalog import Catalog, load
from xferbench.drift import Settings, drift
from xferbench.errors import DataError, UsageError, unknown
from xferbench.experiment import CONDITIONS, from_mapping, spec, split
from xferbench.lookup import meant
from xferbench.results import Results, read
from xferbench.steps import Evaluate
from xferbench.store import Store, read_step, write_json
from xferbench.work import checkpoint


@dataclass(frozen=True)
class Pairing:
    """One measurement to be made: a tuned checkpoint, its base, a target, and what is known of all three."""

    about: Mapping[str, Any]
    tuned: Checkpoint
    base: Checkpoint


def drift_command(path: str, flags: Mapping[str, Any], how: Settings, as_json: bool, plot: Path | None) -> None:
    """Do `xferbench drift`."""
    catalog = load()
    folder = Path(path).expanduser()
    if (folder / "results.jsonl").is_file():
        if flags["base"]:
            raise UsageError("a run's trainings are measured against their own base: leave out --base")
        results = read(folder)
        wanted = _wanted(results, folder, flags, catalog)
        rows = list(_measured(wanted, folder / "drift", how, catalog))
        found = reading.drift(results, rows)
    else:
        rows = list(_measured(_two(path, flags, catalog), None, how, catalog))
        found = reading.drift(Results({}, [], [], []), rows)
    if plot is not None:
        reading.draw(found, plot)
    print(json.dumps(found, indent=1, allow_nan=False) if as_json else reading.text(found))


def _targets(text: str | None, suite: str, catalog: Catalog) -> list[str]:
    """Full names of the targets as typed."""
    if suite not in catalog.names("suite"):
        raise unknown("suite", suite, catalog.names("suite"))
    short = catalog.entry("suite", suite).value.targets
    names = []
    for one in split(text or ""):
        name, _ = spec(one)
        names.append(short.get(name, name) + one[len(name) :])
        catalog.entry("target", spec(names[-1])[0])
    return names


def _two(path: str, flags: Mapping[str, Any], catalog: Catalog) -> list[Pairing]:
    """A checkpoint against another, or an adapter against the model that it is for."""
    targets = _targets(flags["target"], flags["suite"] or "mini", catalog)
    if not targets:
        raise UsageError("say on whose questions the two are compared: --target gpqa")
    tuned = _checkpoint(path)
    if flags["base"] is None and tuned.adapter is None:
        raise UsageError(f"say what {path} is compared with: --base MODEL")
    base = _checkpoint(flags["base"]) if flags["base"] else Checkpoint(tuned.base)
    if tuned == base:
        raise UsageError(f"{path} and its base are the same")
    about = {"train": None, "curriculum": path, "recipe": "", "seed": None, "condition": "checkpoint"}
    return [Pairing({**about, "target": target}, tuned, base) for target in targets]


def _checkpoint(text: str) -> Checkpoint:
    base, adapter = meant(text)
    return Checkpoint(str(models.locate(base)), adapter)


def _wanted(results: Results, folder: Path, flags: Mapping[str, Any], catalog: Catalog) -> list[Pairing]:
    """The trainings behind a run's cells, each once for a target, those of one training together."""
    conditions = split(flags["conditions"] or "transfer,curriculum")
    for condition in conditions:
        if condition not in (known := (*CONDITIONS[1:], "curriculum")):
            raise unknown("condition", condition, known)
    seeds = None if flags["seeds"] is None else from_mapping({"seeds": flags["seeds"]}).seeds
    targets = _targets(flags["target"], flags["suite"] or str(results.run.get("suite", "mini")), catalog)
    store = Store(folder)
    found: dict[tuple[str, str], Pairing] = {}
    base: Checkpoint | None = None
    for cell in results.cells:
        fits = cell.condition in conditions and (seeds is None or cell.seed is None or cell.seed in seeds)
        fits = fits and (not targets or cell.target in targets)
        if not fits and not (cell.condition == "baseline" and base is None):
            continue
        step = read_step(store.folder(cell.step))
        if not isinstance(step, Evaluate):
            continue
        if cell.condition == "baseline":
            base = base or Checkpoint(step.base.folder)
            continue
        if step.train is None:
            name, tuned = step.base.fingerprint[:16], Checkpoint(step.base.folder, step.base.adapter)
        else:
            name, tuned = step.train.id, checkpoint(step.train, step.base.folder, store)
        about = {"train": name, "curriculum": cell.curriculum, "recipe": cell.recipe, "seed": cell.seed,
                 "condition": cell.condition, "target": cell.target}  # fmt: skip
        under = Checkpoint(step.base.folder) if step.train else base
        if under is not None:
            found.setdefault((name, cell.target), Pairing(about, tuned, under))
    if not found:
        raise UsageError(f"{folder}: no training of the conditions {', '.join(conditions)} is there to be measured")
    return sorted(found.values(), key=lambda one: str(one.about["train"]))


def _measured(
    wanted: Sequence[Pairing], folder: Path | None, how: Settings, catalog: Catalog
) -> Iterator[dict[str, Any]]:
    """Measure each pairing, or read what an earlier call with the same settings wrote into `folder`."""
    held: list[models.Model] = []
    for number, one in enumerate(wanted):
        name, settings = spec(one.about["target"])
        target = catalog.make("target", name, settings)
        place = None if folder is None else folder / f"{_name(one, target.fingerprint(), how)}.json"
        row = None if place is None else kept(place)
        if row is None:
            queries = target.queries(how.prompts)
            if not queries:
                raise DataError(f"target {name} has no queries to measure on")
            print(f"xferbench: {number + 1} of {len(wanted)}: {one.about['curriculum']} → {name}", file=sys.stderr)
            row = {**one.about, "settings": asdict(how), **drift(shelf.take(one.tuned), _base(one, held), queries, how)}
            if place is not None:
                place.parent.mkdir(parents=True, exist_ok=True)
                write_json(place, row)
        yield row
    shelf.clear()


def _base(one: Pairing, held: list[models.Model]) -> Checkpoint | models.Model:
    """The base of a pairing, loaded once for all that have the same; an adapter's own is the network beneath it."""
    if one.tuned.adapter is not None and one.base == Checkpoint(one.tuned.base):
        return one.base
    if not held or held[0].checkpoint != one.base:
        held[:] = [models.load(one.base)]
    return held[0]


def _name(one: Pairing, fingerprint: str, how: Settings) -> str:
    text = json.dumps([one.about["train"], one.about["target"], fingerprint, asdict(how)], sort_keys=True)
    return f"{one.about['train']}--{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def kept(place: Path) -> dict[str, Any] | None:
    """Read a measurement; None when there is none that is whole."""
    try:
        found = json.loads(place.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "pca" in found else None
