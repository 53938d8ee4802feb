"""Experiment -> steps in order, none twice. Everything that can be wrong is found here, before anything is trained."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from xferbench import models
from xferbench.api import Suite
from xferbench.catalog import Catalog
from xferbench.draw import draw, fingerprint
from xferbench.errors import UsageError, unknown
from xferbench.experiment import Experiment, spec
from xferbench.settings import fields
from xferbench.steps import Attribute, Base, Data, Evaluate, Named, Step, Train

TRAINING = ("torch", "transformers", "peft", "trl")
MEASURING = ("torch", "transformers", "peft", "lm_eval")


@dataclass(frozen=True)
class Planned:
    """One cell to be measured: a condition on a target, and the step that measures it."""

    condition: str
    recipe: str
    source: str
    target: str
    seed: int | None
    step: Evaluate


@dataclass(frozen=True)
class Plan:
    """The experiment with full names, its steps (what a step needs comes before it), and what each is for."""

    experiment: Experiment
    base: Base
    steps: tuple[Step, ...]
    cells: tuple[Planned, ...]
    attributions: tuple[Attribute, ...]
    notes: tuple[str, ...]
    """What was asked and cannot be, and why."""


def make(asked: Experiment, catalog: Catalog, known: dict[str, str] | None = None) -> Plan:
    """Plan an experiment. `known` remembers digests of weight files between runs."""
    if not asked.source or not asked.target:
        missing = "a source (--source math)" if not asked.source else "a target (--target gpqa)"
        raise UsageError(f"say what to learn from and what to measure: {missing} is missing")
    if asked.suite not in catalog.names("suite"):
        raise unknown("suite", asked.suite, catalog.names("suite"))
    return _Planner(asked, catalog, {} if known is None else known).plan()


class _Planner:
    """Holds what the many small questions of planning share: the experiment, the catalog, the suite and the base."""

    def __init__(self, asked: Experiment, catalog: Catalog, known: dict[str, str]) -> None:
        self.catalog = catalog
        suite: Suite = catalog.entry("suite", asked.suite).value
        self.suite = suite
        # A suite's budgets are made for its model; another model gets the trainers' own defaults.
        self.own = asked.model is None
        if self.own:
            asked = dataclasses.replace(
                asked,
                train_limit=asked.train_limit or suite.train_limit,
                eval_limit=asked.eval_limit or suite.eval_limit,
            )
        model = asked.model or suite.model
        if model is None:
            raise UsageError(f"suite {suite.name} has no model of its own: give one with --model")
        folder = models.locate(model)
        name = asked.model or f"{suite.name}/model"
        self.base = Base(name, str(folder.absolute()), models.fingerprint(folder, known))
        self.asked = dataclasses.replace(
            asked,
            source=tuple(self._full("domain", name) for name in asked.source),
            target=tuple(self._full("target", name) for name in asked.target),
        )
        self.notes: list[str] = []
        asked_of = {spec(text)[0] for text in self.asked.target}
        renamed = [(short, full) for short, full in suite.targets.items() if short != full and full in asked_of]
        if suite.caution and renamed:
            self._note(f"{', '.join(f'{short} is {full}' for short, full in renamed)} here: {suite.caution}")
        self.drawn: dict[tuple[str, str], Data] = {}

    def _full(self, kind: str, text: str) -> str:
        """Turn a short name of the suite into the full one, keeping settings; an unknown one is refused here."""
        name, settings = spec(text)
        short = self.suite.domains if kind == "domain" else self.suite.targets
        full = short.get(name, name)
        if kind == "domain" and settings:
            raise UsageError(f"domain {name} takes no settings")
        if not full.startswith("lmeval:") and full not in self.catalog.names(kind):
            raise unknown(kind, name, [*self.catalog.names(kind), *short])
        return full + text[len(name) :]

    def plan(self) -> Plan:
        recipes = [(text, self._recipe(text)) for text in self.asked.trainer]
        scorers = [self._named("scorer", text) for text in self.asked.scorer]
        executor, settings = spec(self.asked.executor)
        self.catalog.make("executor", executor, settings)
        cells: list[Planned] = []
        attributions: list[Attribute] = []
        for text in self.asked.target:
            target = self._target(text)
            for label, trainers in recipes:
                for source in self.asked.source:
                    cells += self._cells(source, text, target, label, trainers)
                    attributions += self._attributions(source, target, trainers, scorers)
        unique = {(c.condition, c.recipe, c.source, c.target, c.seed): c for c in cells}
        once = {step.id: step for step in attributions}
        steps = self._ordered(list(unique.values()), list(once.values()))
        return Plan(self.asked, self.base, steps, tuple(unique.values()), tuple(once.values()), tuple(self.notes))

    def _cells(self, source: str, text: str, target: Named, label: str, trainers: tuple[Named, ...]) -> list[Planned]:
        found = []
        for condition in ("baseline", *(c for c in self.asked.conditions if c != "baseline")):
            stages = self._stages(condition, source, text)
            if stages is None:
                continue
            self._judgeable(stages, trainers)
            for seed in self.asked.seeds if stages else (None,):
                step = Evaluate(
                    self.base, self._train(stages, trainers, seed), target, self.asked.eval_limit, _versions(MEASURING)
                )
                found.append(Planned(condition, label if stages else "", source if stages else "", text, seed, step))
        return found

    def _stages(self, condition: str, source: str, text: str) -> tuple[tuple[Data, ...], ...] | None:
        """Return what each stage learns from, () for the baseline, None when the condition does not exist here."""
        if condition == "baseline":
            return ()
        a = self._data(source)
        if condition == "transfer":
            return ((a,),)
        if condition == "placebo":
            return ((self._data(source, "shuffled"),),)
        direct = self.direct(text)
        if direct is None:
            self._note(f"{text} names no domain that DIRECT trains on, so direct, sequential and joint are left out")
            return None
        b = self._data(direct)
        if condition == "direct":
            return ((b,),)
        if a == b:
            self._note(f"{source} is what DIRECT trains on for {text}: sequential and joint are left out")
            return None
        return ((a,), (b,)) if condition == "sequential" else (tuple(sorted((a, b), key=lambda d: d.domain)),)

    def _judgeable(self, stages: tuple[tuple[Data, ...], ...], trainers: tuple[Named, ...]) -> None:
        """Refuse a trainer that learns from rewards on a domain that has none."""
        for trainer in trainers:
            if getattr(self.catalog.entry("trainer", trainer.name).value, "needs_reward", False):
                for domain in (data.domain for stage in stages for data in stage):
                    if self.catalog.entry("domain", domain).value.reward is None:
                        raise UsageError(f"trainer {trainer.name} learns from rewards, and domain {domain} has none")

    def direct(self, text: str) -> str | None:
        """Return the domain that DIRECT trains on for a target as typed."""
        name, settings = spec(text)
        domain = self.catalog.make("target", name, settings).domain
        return None if domain is None else self._full("domain", domain)

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)

    def _train(
        self, stages: tuple[tuple[Data, ...], ...], trainers: tuple[Named, ...], seed: int | None
    ) -> Train | None:
        step: Train | None = None
        for data in stages:
            for trainer in trainers:
                assert seed is not None
                step = Train(self.base, step, trainer, data, seed, _versions(TRAINING))
        return step

    def _attributions(
        self, source: str, target: Named, trainers: tuple[Named, ...], scorers: list[Named]
    ) -> list[Attribute]:
        """Scores are taken where training on the source ended, with the first seed, or at the base model."""
        if not scorers:
            return []
        data = self._data(source)
        at = None
        if self.asked.score_at == "transfer":
            at = self._train(((data,),), trainers, self.asked.seeds[0])
        versions = _versions(MEASURING)
        return [Attribute(self.base, at, scorer, data, target, self.asked.query_limit, versions) for scorer in scorers]

    def _data(self, name: str, treatment: str = "") -> Data:
        entry = self.catalog.entry("domain", name)
        if (name, treatment) not in self.drawn:
            examples = draw(entry.value, self.asked.train_limit, treatment)
            drawn = Data(
                name, len(examples), fingerprint(examples), f"{entry.plugin.label}, {entry.value.version}", treatment
            )
            self.drawn[name, treatment] = drawn
        return self.drawn[name, treatment]

    def _recipe(self, text: str) -> tuple[Named, ...]:
        return tuple(self._named("trainer", part.strip()) for part in text.split(">"))

    def _named(self, kind: str, text: str) -> Named:
        name, settings = spec(text)
        entry = self.catalog.entry(kind, name)
        defaults = dict(self.suite.trainers.get(name, {})) if kind == "trainer" and self.own else {}
        made = self.catalog.make(kind, name, {**defaults, **settings})
        values = {key: getattr(made, key) for key in fields(entry.value)}
        return Named(name, {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}, entry.plugin.label)

    def _target(self, text: str) -> Named:
        name, settings = spec(text)
        entry = self.catalog.entry("target", name)
        made = self.catalog.make("target", name, settings)
        values = {key: getattr(made, key) for key in fields(made) if key != "domain"}
        return Named(name, {**values, "fingerprint": made.fingerprint()}, f"{entry.plugin.label}, {made.version}")

    def _ordered(self, cells: list[Planned], attributions: list[Attribute]) -> tuple[Step, ...]:
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
