"""What each stage of a curriculum learns from: the examples drawn from its domains, within the experiment's budget."""

from functools import cached_property
from pathlib import Path
from typing import Any

from xferbench import budget as budgets
from xferbench import models
from xferbench.catalog import Catalog
from xferbench.curriculum import Curriculum
from xferbench.draw import draw, fingerprint
from xferbench.steps import Data
from xferbench.treatments import HALF, join, split

Stages = tuple[tuple[Data, ...], ...]
"""For each stage of a curriculum what it learns from; () for the baseline."""


class Supply:
    """Draws from the domains of one experiment, each draw once."""

    def __init__(self, catalog: Catalog, limit: int | None, budget: str, base: Path) -> None:
        self.catalog, self.limit, self.budget, self.base = catalog, limit, budget, base
        self.domains: tuple[str, ...] = ()
        """Every domain of the experiment, by its full name: the smallest sets a matched budget."""
        self._drawn: dict[tuple[str, str, int | None], Data] = {}
        self._tokens: dict[str, list[int]] = {}

    def data(self, name: str, treatment: str = "", n: int | None = None) -> Data:
        """Draw `n` examples of a source, or as many as the experiment's limit says, and treat them further."""
        name, own = split(name)
        treatment = join(own, treatment)
        key = (name, treatment, self.limit if n is None else n)
        if key not in self._drawn:
            entry = self.catalog.entry("domain", name)
            found = draw(entry.value, key[2], treatment)
            about = f"{entry.plugin.label}, {entry.value.version}"
            judged = getattr(entry.value.reward, "identity", None)  # a reward that states its own name and version
            about += f", reward {judged}" if judged else ""
            drawn = self.data(name, n=n).n if treatment else len(found)  # a treatment may leave examples out
            self._drawn[key] = Data(name, drawn, fingerprint(found), about, treatment)
        return self._drawn[key]

    def stages(self, curriculum: Curriculum, treatment: str = "") -> Stages:
        """Return what each stage learns from; a mix holds its domains in the order of their names."""
        return tuple(self._stage(curriculum, number, treatment) for number in range(len(curriculum.stages)))

    def _stage(self, curriculum: Curriculum, number: int, treatment: str) -> tuple[Data, ...]:
        parts = sorted(curriculum.stages[number], key=lambda part: part.domain)
        given = [part.share for part in parts if part.share is not None]
        whole = [self.data(part.domain, treatment) for part in parts]
        if self.budget == "additive":
            counts = budgets.additive([data.n for data in whole], given or None)
        else:
            shares = given or [1 / len(parts)] * len(parts)
            counts = budgets.matched(self.total, len(curriculum.stages), number, shares)
            if self.budget == "matched_tokens":
                counts = [
                    budgets.fitting(self._lengths(part.domain), tokens)
                    for part, tokens in zip(parts, counts, strict=True)
                ]
        chosen = (self.data(part.domain, treatment, n) for part, n in zip(parts, counts, strict=True))
        return tuple(
            Data(data.domain, data.n, data.fingerprint, data.version, data.treatment, part.share)
            for part, data in zip(parts, chosen, strict=True)
        )

    @cached_property
    def total(self) -> int:
        """The examples or tokens that every curriculum has under a matched budget: those of the smallest domain."""
        if self.budget == "matched_tokens":
            return min(sum(self._lengths(name)) for name in self.domains)
        return min(self.data(name).n for name in self.domains)

    def account(self) -> dict[str, Any]:
        """Return the budget for the record: its name, and the total where it is matched, in examples or tokens."""
        if self.budget == "additive":
            return {"name": self.budget, "total": None, "unit": None}
        unit = "tokens" if self.budget == "matched_tokens" else "examples"
        return {"name": self.budget, "total": self.total, "unit": unit}

    def _lengths(self, name: str) -> list[int]:
        name = split(name)[0]  # a budget counts what is drawn
        if name not in self._tokens:
            tokenizer = models.tokenizer(str(self.base))
            examples = draw(self.catalog.entry("domain", name).value, self.limit)
            self._tokens[name] = [len(models.encode(tokenizer, example).ids) for example in examples]
        return self._tokens[name]


class Declared(Supply):
    """The same counts from what the domains say of themselves: nothing is read. 0 examples: it does not say."""

    def data(self, name: str, treatment: str = "", n: int | None = None) -> Data:
        """Return as many examples as the domain declares, or as the limit allows."""
        entry = self.catalog.entry("domain", name)
        limits = [one for one in (self.limit if n is None else n, entry.value.data.get("n")) if one is not None]
        count = min(limits, default=0)
        return Data(name, count // 2 if treatment.startswith(HALF) else count, "", entry.plugin.label, treatment)
