"""What `run` and `analyse` show a person: the loud name of what is measured, progress on stderr, a table on stdout."""

import dataclasses
import json
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xferbench import ablate as ablating
from xferbench import estimate
from xferbench import experiment as experiments
from xferbench import mix as mixing
from xferbench import results as rows
from xferbench.catalog import Catalog, load
from xferbench.errors import DataError, ModelError, UsageError, unknown
from xferbench.execute import Watch, ask, execute, fingerprints
from xferbench.experiment import Experiment
from xferbench.mix import Mix
from xferbench.plan import sketch
from xferbench.planned import Plan
from xferbench.store import Store
from xferbench.watching import watching


def run_command(
    path: Path | None, flags: Mapping[str, Any], out: Path, dry_run: bool, as_json: bool, gpu: str = "h100"
) -> int:
    """Do `xferbench run` and return its exit code."""
    catalog = load()
    asked = merged(path or designed(flags, catalog), flags)
    for plugin in catalog.plugins:
        if plugin.broken:
            print(f"xferbench: plugin {plugin.name} ({plugin.label}) is broken: {plugin.broken}", file=sys.stderr)
    if dry_run:
        print(dry(*foreseen(asked, catalog, out), as_json, catalog, gpu))
        return 0
    plan, store = ask(asked, catalog, out)
    _announce(plan)
    with _stoppable(store, plan) as watch:
        results = execute(plan, store, catalog, watch)
    from xferbench.analyse import document

    found = document.document(results)
    figure = None
    if found["findings"]:
        figure = document.draw(found, out / "findings.png")
    print(json.dumps(found, indent=1, allow_nan=False) if as_json else document.text(found, figure))
    for row in results.not_done:
        print(f"xferbench: not done: {row['title']}: {row['why']}", file=sys.stderr)
    return 1 if results.not_done else 0


def mix_command(flags: Mapping[str, Any], what: Mix, out: Path, dry_run: bool, as_json: bool) -> int:
    """Do `xferbench mix` and return its exit code."""
    asked = experiments.from_mapping({key: value for key, value in flags.items() if value is not None}, "mix")
    catalog = load()
    if dry_run:
        print(dry(mixing.plan(asked, what, catalog, fingerprints(out))[0], Store(out), as_json, catalog))
        return 0
    with _stoppable(Store(out)) as watch:
        results = mixing.mix(asked, what, catalog, out, watch)
    from xferbench.analyse import mixture

    found = mixture.mixture(results)
    figure = out / "mix" / "mix.png"
    if found["curve"]:
        mixture.draw(found, figure)
    shown = {**found, "not_done": results.not_done}
    print(json.dumps(shown, indent=1, allow_nan=False) if as_json else f"{mixture.text(found)}\n\nfigure {figure}")
    for row in results.not_done:
        print(f"xferbench: not done: {row['title']}: {row['why']}", file=sys.stderr)
    return 1 if results.not_done else 0


def ablate_command(
    flags: Mapping[str, Any], limits: str, models: str | None, out: Path, dry_run: bool, as_json: bool
) -> int:
    """Do `xferbench ablate` and return its exit code."""
    asked = experiments.from_mapping({key: value for key, value in flags.items() if value is not None}, "ablate")
    what = ablating.sizes(limits), experiments.split(models) if models else [None]
    catalog = load()
    if dry_run:
        for name, plan in ablating.plans(asked, *what, catalog, fingerprints(out)).items():
            print(f"{name}:\n{dry(plan, Store(out), as_json, catalog)}")
        return 0
    with _stoppable(Store(out)) as watch:
        runs = ablating.ablate(asked, *what, catalog, out, watch)
    from xferbench.analyse import ablation

    found = ablation.ablation(runs)
    figure = out / ablating.FOLDER / "ablation.png"
    if any(found[part] for part in ablation.PARTS):
        ablation.draw(found, figure)
    failed = [{"run": name, **row} for name, results in runs.items() for row in results.not_done]
    shown = {**found, "not_done": failed}
    print(json.dumps(shown, indent=1, allow_nan=False) if as_json else f"{ablation.text(found)}\n\nfigure {figure}")
    for row in failed:
        print(f"xferbench: not done: {row['run']}: {row['title']}: {row['why']}", file=sys.stderr)
    return 1 if failed else 0


def merged(path: Path | None, flags: Mapping[str, Any]) -> Experiment:
    """Merge the flags (which win) over the experiment's YAML, if there is one."""
    values = {} if path is None else experiments.read(path)
    asked = experiments.from_mapping(values, str(path) if path else "experiment")
    given = {key: value for key, value in flags.items() if value is not None}
    if path and ("source" in given or "curriculum" in given):  # what is learnt is one question: all of it is the flags'
        asked = dataclasses.replace(asked, source=(), curriculum=())
    chosen = experiments.from_mapping(given, "run")
    return Experiment(**{**vars(asked), **{key: getattr(chosen, key) for key in given}})


def designed(flags: Mapping[str, Any], catalog: Catalog) -> Path | None:
    """Return the experiment of the suite that the flags name, if it has one."""
    name = flags.get("suite")
    suite = catalog.entry("suite", name).value if name in catalog.names("suite") else None
    return Path(suite.experiment) if suite and suite.experiment else None


def foreseen(asked: Experiment, catalog: Catalog, out: Path) -> tuple[Plan, Store]:
    """Plan an experiment; where its model or its data cannot be had here, from what the catalogue says of them."""
    try:
        return ask(asked, catalog, out)
    except (DataError, ModelError) as error:
        found = sketch(asked, catalog)
        why = f"only the catalogue was looked at: {error}"
        return dataclasses.replace(found, notes=(*found.notes, why)), Store(out)


def dry(plan: Plan, store: Store, as_json: bool, catalog: Catalog, gpu: str = "h100") -> str:
    """List the steps of a plan, which are done, and what the others will take."""
    rows = [{"step": step.id, "title": step.title, "done": store.done(step)} for step in plan.steps]
    found = estimate.estimate(plan, [step for step in plan.steps if not store.done(step)], catalog, gpu)
    if as_json:
        return json.dumps({"steps": rows, "notes": list(plan.notes), "estimate": found}, indent=1)
    lines = [f"{'done' if row['done'] else 'to do':6} {row['step']}  {row['title']}" for row in rows]
    todo = sum(not row["done"] for row in rows)
    lines += [*(f"note: {note}" for note in plan.notes), estimate.text(found)]
    return "\n".join([*lines, f"{len(rows)} steps, {todo} to do"])


def _announce(plan: Plan) -> None:
    """Say which suite, model and exact names are measured, so that nobody takes a suite's benchmark for another."""
    asked = plan.experiment
    learnt = ", ".join(asked.source + asked.curriculum + asked.checkpoint)
    print(f"suite {asked.suite}, model {plan.base.name}: {learnt} -> {', '.join(asked.target)}", file=sys.stderr)
    for note in plan.notes:
        print(f"NOTE: {note}", file=sys.stderr)


@contextmanager
def _stoppable(store: Store, plan: Plan | None = None) -> Iterator[Watch]:
    """Show progress; when stopped, say how to go on, and end with 130 or 143.

    SIGTERM, a scheduler's word that the machine is taken away, stops a run as Ctrl-C does; a second one is too many.
    """
    came = [signal.SIGINT]

    def end(number: int, frame: Any) -> None:
        came[0] = signal.Signals(number)
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        with watching() as watch:
            yield watch
    except KeyboardInterrupt:
        done = "what is done is"
        if plan is not None:
            done = f"{sum(store.done(step) for step in plan.steps)} of {len(plan.steps)} steps are done and"
        print(
            f"xferbench: stopped; {done} kept in {store.root}. The same command goes on from there.",
            file=sys.stderr,
        )
        raise SystemExit(128 + came[0]) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def analyse_command(
    what: str, source: Path, as_json: bool, plot: Path | None, scale: str, counts: tuple[str, ...], drop: float,
    about: Path | None = None,
    grammar: str | None = None,
) -> None:  # fmt: skip
    """Do `xferbench analyse`."""
    from xferbench.analyse import menu

    if Path(what).exists() and str(source) in menu.ANALYSES:
        raise UsageError(f"the analysis comes first: xferbench analyse {source} {what}")
    what, settings = experiments.spec(what)
    if what not in menu.ANALYSES:
        raise unknown("analysis", what, menu.ANALYSES)
    known = menu.SETTINGS.get(what, ())
    if settings and not known:
        raise UsageError(f"the analysis {what} takes no settings")
    for key in settings:
        if key not in known:
            raise unknown(f"setting of the analysis {what}", key, known)
    if what == "features" and source.is_dir():
        from xferbench.describe import describe

        describe(source, grammar)
    if what == "similarity" and (source / rows.FILE).is_file():
        from xferbench.alike import alike

        alike(source)
    sizes = {}
    for count in counts:
        target, equals, n = count.rpartition("=")
        if not equals or not n.isdigit() or int(n) < 1:
            raise UsageError(f"--n takes TARGET=ITEMS, not {count!r}")
        sizes[target] = int(n)
    read = dataclasses.replace(menu.read(source, scale, sizes), drop=drop / 100, about=about, settings=settings)
    analysis = menu.ANALYSES[what](read)
    if plot is not None:
        analysis.draw(plot)
    print(json.dumps(analysis.found, indent=1, allow_nan=False) if as_json else analysis.text())
    if plot is not None and not as_json:
        print(f"\nfigure {plot}")
