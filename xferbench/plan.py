"""Experiment -> steps in order, none twice. Everything that can be wrong is found here, before anything is trained."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from xferbench import able, external, models
from xferbench.api import Suite
from xferbench.catalog import JUDGE, Catalog
from xferbench.curriculum import Curriculum, parse
from xferbench.errors import DataError, PluginError, UsageError, XferbenchError, unknown
from xferbench.experiment import Experiment, spec
from xferbench.external import External
from xferbench.planned import Names, Plan, Planned, Subset
from xferbench.recipes import Recipes, Trainers
from xferbench.settings import fields
from xferbench.steps import Attribute, Base, Data, Evaluate, Named, Step, Train
from xferbench.supply import Declared, Stages, Supply
from xferbench.treatments import HALF, SHUFFLED, join, split

TRAINING = ("torch", "transformers", "peft", "trl")
MEASURING = ("torch", "transformers", "peft", "lm_eval")


def resolve(asked: Experiment, catalog: Catalog, known: dict[str, str]) -> Names:
    """Look up the names of an experiment as `make` does, and draw nothing."""
    planner = _planner(asked, catalog, known)
    scorers = tuple(planner.recipes.named("scorer", text) for text in asked.scorer)
    return Names(planner.asked, planner.base, scorers, tuple(map(planner.target, planner.asked.target)))


def make(asked: Experiment, catalog: Catalog, known: dict[str, str] | None = None) -> Plan:
    """Plan an experiment. `known` remembers digests of weight files between runs."""
    return _planner(asked, catalog, {} if known is None else known).plan()


def sketch(asked: Experiment, catalog: Catalog) -> Plan:
    """Plan without the model and without reading data: the steps and their counts, with no identities."""
    return _planner(asked, catalog, {}, sketched=True).plan()


def _planner(asked: Experiment, catalog: Catalog, known: dict[str, str], sketched: bool = False) -> "Planner":
    learnt = asked.source or asked.curriculum or asked.checkpoint
    if not learnt or not asked.target:
        missing = "a target (--target gpqa)" if learnt else "a source (--source math)"
        raise UsageError(f"say what to learn from and what to measure: {missing} is missing")
    if asked.suite not in catalog.names("suite"):
        raise unknown("suite", asked.suite, catalog.names("suite"))
    return Planner(asked, catalog, known, sketched)


def _meant(suite: Suite, asked: str | None) -> tuple[str, str]:
    """Return the name and the place of a model: the suite's own, another of the suite's, or any other."""
    place = suite.models.get(asked, asked) if asked else suite.model
    if place is None:
        raise UsageError(f"suite {suite.name} has no model of its own: give one with --model")
    if asked is None or (asked in suite.models and place == suite.model):
        return (place if suite.shape else f"{suite.name}/model"), place
    if asked in suite.models:
        return f"{suite.name}/{asked}", place
    if suite.models and "/" not in asked and not Path(asked).is_dir():
        raise unknown(f"model of suite {suite.name}", asked, suite.models)
    return asked, asked


class Planner:
    """Holds what the many small questions of planning share: the experiment, the catalog, the suite and the base."""

    def __init__(self, asked: Experiment, catalog: Catalog, known: dict[str, str], sketched: bool = False) -> None:
        self.catalog, self.sketched = catalog, sketched
        suite: Suite = catalog.entry("suite", asked.suite).value
        self.suite = suite
        # A suite's budgets are made for its models; another model gets the trainers' own defaults.
        self.own = asked.model in (None, suite.model, *suite.models)
        if self.own:
            asked = dataclasses.replace(
                asked,
                train_limit=asked.train_limit or suite.train_limit,
                eval_limit=asked.eval_limit or suite.eval_limit,
            )
        name, model = _meant(suite, asked.model)
        if sketched:
            self.base = Base(name, model if Path(model).is_dir() else "", "")
        else:
            folder = models.locate(model)
            self.base = Base(name, str(folder.absolute()), models.fingerprint(folder, known))
        self.asked = dataclasses.replace(
            asked,
            source=tuple(self._full("domain", name) for name in asked.source),
            target=tuple(self._full("target", name) for name in asked.target),
            curriculum=tuple(dict.fromkeys(self._curriculum(text) for text in asked.curriculum)),
        )
        taken = {*catalog.names("domain"), *suite.domains}
        self.external = external.read(asked.checkpoint, self.base, taken, known)
        self.notes: list[str] = []
        self.recipes = Recipes(catalog, suite.trainers if self.own else {})
        asked_of = {spec(text)[0] for text in self.asked.target}
        renamed = [(short, full) for short, full in suite.targets.items() if short != full and full in asked_of]
        if suite.caution and renamed:
            self._note(f"{', '.join(f'{short} is {full}' for short, full in renamed)} here: {suite.caution}")
        self.kept = self._kept()
        supply = Declared if sketched else Supply
        self.supply = supply(catalog, self.asked.train_limit, self.asked.budget, Path(self.base.folder))
        self.own_domains = {text: self._own(text) for text in self.asked.target}
        directs = (domain for domain in self.own_domains.values() if domain and self.asked.source)
        further = (domain for text in self.asked.curriculum for domain in parse(text).domains)
        self.supply.domains = tuple(dict.fromkeys([*self.asked.source, *directs, *further]))

    @cached_property
    def taught(self) -> dict[str, Trainers]:
        """The recipes asked for, by the labels that rows give them."""
        return self.recipes.labelled(self.asked.trainer)

    def _curriculum(self, text: str) -> str:
        """Give the domains of a curriculum their full names, those of a mix in the order of these names."""
        stages = [
            [dataclasses.replace(part, domain=self._full("domain", part.domain)) for part in stage]
            for stage in parse(text).stages
        ]
        return str(Curriculum(tuple(tuple(sorted(stage, key=lambda part: part.domain)) for stage in stages)))

    def _full(self, kind: str, text: str) -> str:
        """Turn a short name of the suite into the full one, keeping settings; an unknown one is refused here."""
        text, treatment = split(text) if kind == "domain" else (text, "")
        name, settings = spec(text)
        short = self.suite.domains if kind == "domain" else self.suite.targets
        judge = JUDGE if kind == "target" and name.startswith(JUDGE) else ""
        name = name.removeprefix(judge)
        full = short.get(name, name)
        if kind == "domain" and settings:
            raise UsageError(f"domain {name} takes no settings")
        if not full.startswith("lmeval:") and full not in self.catalog.names(kind):
            raise unknown(kind, name, [*self.catalog.names(kind), *short])
        return join(judge + full + text[len(judge + name) :], treatment)

    def plan(self) -> Plan:
        recipes = self.taught
        scorers = [self.recipes.named("scorer", text) for text in self.asked.scorer]
        executor, settings = spec(self.asked.executor)
        self.catalog.make("executor", executor, settings)
        cells: list[Planned] = []
        attributions: list[Attribute] = []
        subsets: list[Subset] = []
        for text in self.asked.target:
            target = self.target(text)
            for label, trainers in recipes.items():
                for source in self.asked.source:
                    cells += self._cells(source, text, target, label, trainers)
                    scored = self._attributions(source, target, trainers, scorers)
                    attributions += scored
                    subsets += self._subsets(source, target, label, trainers, scored)
                cells += self._further(text, target, label, trainers)
            cells += [self._elsewhere(one, text, target) for one in self.external]
        return self.ordered(cells, attributions, subsets)

    def ordered(self, cells: list[Planned], attributions: list[Attribute], subsets: Sequence[Subset] = ()) -> Plan:
        """Return the plan of these cells, attributions and random halves, none twice."""
        unique = {(c.condition, c.recipe, c.source, c.target, c.seed, c.step.id): c for c in cells}
        once = {step.id: step for step in attributions}
        along = self._along(unique.values())
        steps = self._ordered([*unique.values(), *along, *subsets], list(once.values()))
        scorers = tuple((text, self.recipes.named("scorer", text)) for text in self.asked.scorer)
        return Plan(self.asked, self.base, steps, tuple(unique.values()), tuple(once.values()), tuple(self.notes),
                    self.own_domains, self.supply.account(), tuple(subsets), self._similarities(), scorers,
                    {label: self.recipes.learns(one) for label, one in self.taught.items()}, along,
                    {text: self.catalog.make("target", *spec(text)).group for text in self.asked.target})  # fmt: skip

    def _along(self, cells: Iterable[Planned]) -> tuple[Planned, ...]:
        """Every trained cell at each part of its training but the last."""
        parts = self.asked.eval_points
        if parts is None:
            return ()
        trained = [cell for cell in cells if cell.step.train is not None]
        kept = {cell.step.train.trainer.settings["save_checkpoints"] for cell in trained if cell.step.train} - {parts}
        if kept:
            raise UsageError(f"eval_points={parts} and save_checkpoints={kept.pop()} of the trainer: give one of them")
        steps = [(cell, dataclasses.replace(cell.step, part=part)) for cell in trained for part in range(1, parts)]
        return tuple(dataclasses.replace(cell, step=step) for cell, step in steps)

    def _similarities(self) -> dict[str, str]:
        names = [spec(text)[0] for text in self.asked.scorer]
        kinds = {name: getattr(self.catalog.entry("scorer", name).value, "similarity", None) for name in names}
        return {name: kind for name, kind in kinds.items() if kind}

    def _cells(self, source: str, text: str, target: Named, label: str, trainers: Trainers) -> list[Planned]:
        found = []
        for condition in ("baseline", *(c for c in self.asked.conditions if c != "baseline")):
            stages = self._stages(condition, source, text)
            if stages is not None:
                found += self._measured(condition, source if stages else "", text, target, label, trainers, stages)
        return found

    def _further(self, text: str, target: Named, label: str, trainers: Trainers) -> list[Planned]:
        """The curricula that were asked for beside the conditions, and the baseline."""
        found = [] if self.asked.source else self._measured("baseline", "", text, target, label, trainers, ())
        for written in self.asked.curriculum:
            stages = self.supply.stages(parse(written))
            found += self._measured("curriculum", "", text, target, label, trainers, stages)
        return found

    def _measured(
        self, condition: str, source: str, text: str, target: Named, label: str, trainers: Trainers, on: Stages
    ) -> list[Planned]:
        able.check(self.catalog, on, trainers, self.sketched, self.asked.executor)
        return [
            Planned(condition, label if on else "", source, text, seed, self.evaluate(on, trainers, seed, target))
            for seed in (self.asked.seeds if on else (None,))
        ]

    def _elsewhere(self, one: External, text: str, target: Named) -> Planned:
        """A checkpoint that was trained elsewhere, as the transfer of a source of its name, with no seed."""
        step = Evaluate(one.model, None, target, self.asked.eval_limit, _versions(MEASURING))
        return Planned("transfer", one.method, one.name, text, None, step)

    def evaluate(self, on: Stages, trainers: Trainers, seed: int | None, target: Named) -> Evaluate:
        """Return the step that measures what was learnt on these stages; the baseline on none."""
        trained = self.train(on, trainers, seed)
        return Evaluate(self.base, trained, target, self.asked.eval_limit, _versions(MEASURING))

    def _stages(self, condition: str, source: str, text: str) -> Stages | None:
        """Return what each stage learns from, () for the baseline, None when the condition does not exist here."""
        if condition == "baseline":
            return ()
        if condition in ("transfer", "placebo"):
            return self.supply.stages(parse(source), SHUFFLED if condition == "placebo" else "")
        direct = self.own_domains[text]
        if direct is None:
            self._note(f"{text} names no domain that DIRECT trains on, so direct, sequential and joint are left out")
            return None
        if condition != "direct" and split(source)[0] == direct:
            self._note(f"{source} is what DIRECT trains on for {text}: sequential and joint are left out")
            return None
        try:
            self.supply.data(direct)
        except DataError as error:
            others = (
                ",".join(c for c in self.asked.conditions if c not in ("direct", "sequential", "joint")) or "transfer"
            )
            raise DataError(
                f"{error}; {condition} trains on the domain {direct} for {text}: --conditions {others} does without"
            ) from None
        stages = {"direct": direct, "sequential": f"{source}>{direct}", "joint": f"{source}+{direct}"}
        return self.supply.stages(parse(stages[condition]))

    def _own(self, text: str) -> str | None:
        """What DIRECT trains on; a domain that is not installed is an error only where a condition needs it."""
        try:
            return self.direct(text)
        except UsageError:
            if self.asked.source and set(self.asked.conditions) & {"direct", "sequential", "joint"}:
                raise
            return None

    def direct(self, text: str) -> str | None:
        """Return the domain that DIRECT trains on for a target as typed."""
        name, settings = spec(text)
        domain = self.catalog.make("target", name, settings).domain
        return None if domain is None else self._full("domain", domain)

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)

    def train(self, stages: Stages, trainers: Trainers, seed: int | None) -> Train | None:
        """Return the last training of a curriculum; each stage goes on from the one before."""
        step: Train | None = None
        for stage, data in enumerate(stages):
            # Scorers look at what training on a source alone left, with the first seed.
            scored = stage == 0 and seed == self.asked.seeds[0] and self._is_source(data)
            share = self._share(data) if self.asked.budget == "additive" else 1 / len(stages)
            last = self.recipes.keeping(trainers[-1], {"save_checkpoints": ("eval_points", self.asked.eval_points)})
            for trainer in (*trainers[:-1], self.recipes.keeping(last, self.kept) if scored else last):
                assert seed is not None
                step = Train(self.base, step, self._part(trainer, share), data, seed, _versions(TRAINING))
        return step

    def _share(self, data: tuple[Data, ...]) -> float:
        """Under the additive budget a mix takes as many more steps as it has more examples than one domain alone."""
        if any(one.chosen for one in data):  # the budget of such a mixture is its own (mix.py)
            return 1.0
        alone = [self.supply.data(one.domain).n for one in data]
        return len(alone) * sum(one.n for one in data) / sum(alone)

    def _part(self, trainer: Named, share: float) -> Named:
        """Settings that count optimiser steps are taken `share` times: less under a matched budget, more in a mix."""
        counts = getattr(self.catalog.entry("trainer", trainer.name).value, "step_settings", ())
        less = {key: max(1, round(share * value)) for key in counts if (value := trainer.settings[key]) is not None}
        return dataclasses.replace(trainer, settings={**trainer.settings, **less})

    def _is_source(self, data: tuple[Data, ...]) -> bool:
        return [one.label for one in data] in [[source] for source in self.asked.source]

    def _kept(self) -> dict[str, tuple[str, Any]]:
        """Return what the scorers asked for read beside a checkpoint: {trainer's setting: (scorer, value)}."""
        kept: dict[str, tuple[str, Any]] = {}
        if self.asked.score_at != "transfer":
            return kept
        for text in self.asked.scorer:
            name, settings = spec(text)
            for key, value in getattr(self.catalog.make("scorer", name, settings), "needs", {}).items():
                other, before = kept.setdefault(key, (f"scorer {name}", value))
                if before != value:
                    raise UsageError(f"{other} and {name} ask for {key}={before} and {value}: give them one")
        return kept

    def _attributions(self, source: str, target: Named, trainers: Trainers, scorers: list[Named]) -> list[Attribute]:
        """Scores are taken where training on the source ended, with the first seed, or at the base model."""
        if not scorers:
            return []
        stages = self.supply.stages(parse(source))
        at = self.train(stages, trainers, self.asked.seeds[0]) if self.asked.score_at == "transfer" else None
        return [self.attribute(at, scorer, stages[0][0], target) for scorer in scorers]

    def attribute(self, at: Train | None, scorer: Named, data: Data, target: Named) -> Attribute:
        """Return the step that scores each example of `data` for its influence on a target, at a checkpoint."""
        return Attribute(self.base, at, scorer, data, target, self.asked.query_limit, _versions(MEASURING))

    def _subsets(
        self, source: str, target: Named, label: str, trainers: Trainers, scored: list[Attribute]
    ) -> list[Subset]:
        """Random halves of the source, trained on with the first seed; the loss is that of the scorers' own queries."""
        seed = self.asked.seeds[0]
        settings = {**target.settings, "fingerprint": f"loss {target.settings['fingerprint']}"}
        loss = Named(f"loss:{target.name}", settings, target.version)
        found = []
        for number in range(self.asked.lds or 0):
            train = self.train(self.supply.stages(parse(source), f"{HALF}{number}"), trainers, seed)
            step = Evaluate(self.base, train, loss, self.asked.query_limit, _versions(MEASURING))
            found.append(Subset(source, target.name, label, number, seed, step, tuple(scored)))
        return found

    def target(self, text: str) -> Named:
        """Read a target with its settings and its fingerprint."""
        name, settings = spec(text)
        entry = self.catalog.entry("target", name)
        made = self.catalog.make("target", name, settings)
        silent = ("domain", *getattr(made, "silent", ()))
        values = {key: getattr(made, key) for key in fields(made) if key not in silent}
        try:
            values["fingerprint"] = made.fingerprint()
        except XferbenchError:
            raise
        except Exception as error:  # a stranger's code may raise anything
            raise PluginError(f"target {name}: fingerprint() failed: {type(error).__name__}: {error}") from error
        return Named(name, values, f"{entry.plugin.label}, {made.version}")

    def _ordered(self, cells: "list[Planned | Subset]", attributions: list[Attribute]) -> tuple[Step, ...]:
        """Put every step once, what it needs before it: baselines, then seed by seed, then attribution."""
        found: dict[str, Step] = {}

        def put(step: Step) -> None:
            if step.id not in found:
                for need in step.needs:
                    put(need)
                found[step.id] = step

        for cell in sorted(cells, key=lambda cell: -1 if cell.seed is None else cell.seed):
            put(cell.step)
        for step in attributions:
            put(step)
        return tuple(found.values())


@lru_cache(maxsize=4)
def _versions(packages: tuple[str, ...]) -> Mapping[str, str]:
    found: dict[str, Any] = {}
    for package in packages:
        try:
            found[package] = version(package).split("+")[0]
        except PackageNotFoundError:
            raise UsageError(f"{package} is not installed: pip install {package}") from None
    return found
