"""What `xferbench attribute` does: keep a row of numbers for each of a source's examples, and rank them for any target.

The rows of a (checkpoint, source) are made once, under --index DIR; a further target costs the gradients of its own
queries and one look through the rows. The source itself is drawn only when rows are lacking.
"""

import hashlib
import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xferbench import models
from xferbench.api import Checkpoint, Example, Indexable
from xferbench.catalog import Catalog, load
from xferbench.draw import draw, fingerprint
from xferbench.errors import DataError, UsageError, unknown
from xferbench.execute import fingerprints
from xferbench.experiment import from_mapping
from xferbench.index import DTYPES, Index, fill, read
from xferbench.plan import resolve
from xferbench.planned import Names
from xferbench.steps import Train
from xferbench.store import Store, read_step, write_json
from xferbench.treatments import split
from xferbench.work import checkpoint

SCORER = "sketch"


@dataclass(frozen=True)
class Ranked:
    """One target against all examples of the sources, best first; scores are nan where there is no gradient."""

    target: str
    queries: int
    domains: tuple[str, ...]
    cosines: Mapping[str, Any]
    """domain -> float32 (examples,)"""
    top: tuple[Mapping[str, Any], ...]
    """rank, id, domain, source, cosine, dot."""


def attribute_command(
    flags: Mapping[str, Any], folder: Path, dtype: str | None, top: int, as_json: bool, plot: Path | None
) -> None:
    """Do `xferbench attribute`."""
    if dtype is not None and dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    catalog = load()
    known = fingerprints(folder)
    before = dict(known)
    start, names = _asked(flags, catalog, folder, known)
    with _plainly():
        found, indexes, fates = rank(start, names, catalog, folder, dtype, top, known)
    if known != before:
        write_json(folder / "fingerprints.json", known)
    if plot is not None:
        from xferbench.analyse.spread import draw as picture

        borders = [one.top[-1]["cosine"] if one.top else float("nan") for one in found]
        picture({one.target: one.cosines for one in found}, borders, plot)
    shown = {
        "schema": 1,
        "suite": names.experiment.suite,
        "model": {"name": names.base.name, "fingerprint": names.base.fingerprint, "adapter": start.adapter},
        "index": [{"domain": index.about["domain"], **index.about, **fates[index.folder]} for index in indexes],
        "targets": [_summary(one) for one in found],
    }
    print(json.dumps(shown, indent=1, allow_nan=False) if as_json else _text(shown))


def rank(
    start: Checkpoint, names: Names, catalog: Catalog, folder: Path, dtype: str | None, top: int, known: dict[str, str]
) -> tuple[list[Ranked], list[Index], dict[Path, dict[str, int]]]:
    """Score every example of the sources toward every target from the index under `folder`, made where it lacks."""
    (chosen,) = names.scorers
    scorer = catalog.make("scorer", chosen.name, chosen.settings)
    if not isinstance(scorer, Indexable):
        able = [n for n in catalog.names("scorer") if hasattr(catalog.entry("scorer", n).value, "features")]
        raise UsageError(f"scorer {chosen.name} keeps no rows in an index (those that do: {', '.join(able) or 'none'})")
    template = str(getattr(models.tokenizer(start.base), "chat_template", None) or "")
    about = {
        "model": names.base.fingerprint,
        "checkpoint": models.fingerprint(Path(start.adapter), known) if start.adapter else None,
        "template": hashlib.sha256(template.encode()).hexdigest() if template else None,
        "scorer": chosen.name,
        **{f"scorer.{key}": value for key, value in chosen.settings.items() if key != "batch_tokens"},
        "version": chosen.version,
        "dimensions": scorer.dimensions,
    }
    limit = names.experiment.train_limit
    indexes = []
    for name in names.experiment.source:
        entry = catalog.entry("domain", split(name)[0])
        place = _place(folder, name)
        data = {"domain": name, "data_version": f"{entry.plugin.label}, {entry.value.version}", "limit": limit}
        precision = dtype or (read(place) or {}).get("dtype", DTYPES[0])
        indexes.append(Index(place, {**about, **data, "dtype": precision}))
    groups = [_queries(catalog, target, names.experiment.query_limit) for target in names.targets]
    model = models.load(start)
    aims = scorer.aim(model, groups)
    cosines, dots, fates = {}, {}, {}
    for index, name in zip(indexes, names.experiment.source, strict=True):
        cosines[name], dots[name], fates[index.folder] = _scores(index, name, catalog, scorer, model, aims, limit)
    found = []
    for column, (target, group) in enumerate(zip(names.targets, groups, strict=True)):
        mine = {name: table[:, column] for name, table in cosines.items()}
        best = _best(indexes, mine, {name: table[:, column] for name, table in dots.items()}, top)
        found.append(Ranked(target.name, len(group), names.experiment.source, mine, tuple(best)))
    return found, indexes, fates


def _asked(flags: Mapping[str, Any], catalog: Catalog, folder: Path, known: dict[str, str]) -> tuple[Checkpoint, Names]:
    """The checkpoint meant by --model, and what the other names stand for."""
    given = {key: value for key, value in flags.items() if value is not None}
    asked = from_mapping({"scorer": SCORER, **given}, "attribute")
    if len(asked.scorer) != 1:
        raise UsageError("an index is of one scorer: give --scorer one name")
    base, adapter = meant(asked.model) if asked.model else (None, None)
    suite = catalog.entry("suite", asked.suite).value if asked.suite in catalog.names("suite") else None
    if base and suite and suite.model and Path(base).resolve() == Path(suite.model).resolve():
        base = None  # the suite's own model, so its budgets hold
    names = resolve(replace(asked, model=base), catalog, known)
    found = read(_place(folder, names.experiment.source[0]))
    if found and "train_limit" not in given:  # what is not said is as the index has it
        names = replace(names, experiment=replace(names.experiment, train_limit=found.get("limit")))
    if found and "scorer" not in given:
        settings = {key.removeprefix("scorer."): value for key, value in found.items() if key.startswith("scorer.")}
        names = replace(names, scorers=(replace(names.scorers[0], name=found["scorer"], settings=settings),))
    return Checkpoint(names.base.folder, adapter), names


def _place(folder: Path, domain: str) -> Path:
    return folder / domain.replace("/", "-")


def meant(text: str) -> tuple[str, str | None]:
    """Read --model: a base model, the folder of an adapter, or the folder of a training step of a run."""
    path = Path(text).expanduser()
    if (path / "step.json").is_file():
        step = read_step(path)
        if not isinstance(step, Train):
            raise UsageError(f"{path} is not a training step: it holds no model")
        made = checkpoint(step, step.base.folder, Store(path.resolve().parent.parent))
        return made.base, made.adapter
    if (path / "adapter_config.json").is_file():
        return (made := models.adapted(path)).base, made.adapter
    return text, None


def _queries(catalog: Catalog, target: Any, limit: int) -> Sequence[Example]:
    settings = {key: value for key, value in target.settings.items() if key != "fingerprint"}
    found: Sequence[Example] = catalog.make("target", target.name, settings).queries(limit)
    if not found:
        raise DataError(f"target {target.name} has no queries for a scorer to aim at")
    return found


def _scores(
    index: Index, name: str, catalog: Catalog, scorer: Indexable, model: models.Model, aims: Any, limit: int | None
) -> tuple[Any, Any, dict[str, int]]:
    """Cosines and inner products (examples, groups) of one source, and how many shards were kept, made and redone."""
    import torch

    drawn: list[Sequence[Example]] = []

    def source() -> Sequence[Example]:
        if not drawn:
            domain, treatment = split(name)
            drawn.append(draw(catalog.entry("domain", domain).value, limit, treatment))
            index.begin(fingerprint(drawn[0]), len(drawn[0]))
        return drawn[0]

    if "examples" not in index.about:
        source()
    parts, fates = [], {"kept": 0, "made": 0, "redone": 0}
    for number, fate in fill(index, source, lambda some: scorer.features(model, some)):
        fates[fate] += 1
        if fate != "kept":
            why = "did not have its checksum and was redone" if fate == "redone" else "was made"
            print(f"xferbench: {name}: shard {number + 1} of {len(index.shards())} {why}", file=sys.stderr)
        parts.append(index.scores(number, aims))
    return torch.cat([cosine for cosine, _ in parts]), torch.cat([dot for _, dot in parts]), fates


def _best(
    indexes: Sequence[Index], cosines: Mapping[str, Any], dots: Mapping[str, Any], top: int
) -> Iterator[dict[str, Any]]:
    """The `top` examples of all sources, best first; equal scores in the order of the sources."""
    import torch

    every = torch.cat(list(cosines.values()))
    order = torch.sort(every.nan_to_num(-torch.inf), descending=True, stable=True).indices[:top].tolist()
    starts = [0]
    for table in cosines.values():
        starts.append(starts[-1] + len(table))
    names: dict[tuple[int, int], list[list[str]]] = {}
    for place, at in enumerate(order):
        number = max(i for i in range(len(indexes)) if starts[i] <= at)
        index, row = indexes[number], at - starts[number]
        shard, domain = row // index.size, list(cosines)[number]
        if not bool(every[at].isfinite()):
            return
        if (number, shard) not in names:
            names[number, shard] = index.names(shard)
        one, source = names[number, shard][row % index.size]
        score = {"cosine": float(cosines[domain][row]), "dot": float(dots[domain][row])}
        yield {"rank": place + 1, "id": one, "domain": domain, "source": source, **score}


def _summary(one: Ranked) -> dict[str, Any]:
    """One target in JSON: how each source stands, and the best examples."""
    sources = []
    for name in one.domains:
        scores = one.cosines[name]
        fine = scores[scores.isfinite()]
        mean = float(fine.double().mean()) if len(fine) else None
        share = sum(row["domain"] == name for row in one.top) / len(one.top) if one.top else None
        sources.append(
            {"domain": name, "n": len(scores), "null": len(scores) - len(fine), "mean_cosine": mean, "top_share": share}
        )
    return {"target": one.target, "queries": one.queries, "sources": sources, "top": [dict(row) for row in one.top]}


def _text(shown: Mapping[str, Any]) -> str:
    from tabulate import tabulate

    adapter = f", adapter {shown['model']['adapter']}" if shown["model"]["adapter"] else ""
    lines = [f"suite {shown['suite']}, model {shown['model']['name']}{adapter}"]
    for index in shown["index"]:
        what = f"{index['examples']} examples, {index['dimensions']} numbers each ({index['dtype']})"
        fates = ", ".join(f"{index[fate]} {fate}" for fate in ("kept", "made", "redone") if index[fate])
        lines.append(f"index of {index['domain']}: {what}; shards: {fates}")
    for one in shown["targets"]:
        lines += ["", f"{one['target']} ({one['queries']} queries)"]
        for source in one["sources"]:
            mean = "-" if source["mean_cosine"] is None else f"{source['mean_cosine']:+.4f}"
            null = f", {source['null']} without a score" if source["null"] else ""
            lines.append(f"  {source['domain']}: mean cosine {mean} over {source['n']} examples{null}")
        head = ["rank", "example", "source", "cosine", "dot"]
        rows = [
            [row["rank"], row["id"], row["source"] or row["domain"], f"{row['cosine']:+.4f}", f"{row['dot']:+.3g}"]
            for row in one["top"]
        ]
        lines.append(tabulate(rows, headers=head, disable_numparse=True))
    return "\n".join(lines)


@contextmanager
def _plainly() -> Iterator[None]:
    """Turn the warnings of scorers (what was cut, skipped, not finite) into one line each on stderr."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", UserWarning)
        try:
            yield
        finally:
            for line in dict.fromkeys(str(one.message) for one in seen if one.category is UserWarning):
                print(f"xferbench: {line}", file=sys.stderr)
