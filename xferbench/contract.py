"""What every plugin must keep, kind by kind: each function tries one provided thing on a tiny model, and yields checks.

A check holds when its function returns; it may return a remark. What cannot be tried here (data that are not at hand,
a checkpoint of a kind that a scorer asks for) raises DataError or UsageError and is skipped with that reason.
"""

import dataclasses
import json
import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from xferbench.api import Checkpoint, Domain, Example, Measurement, Suite
from xferbench.catalog import Catalog
from xferbench.errors import UsageError
from xferbench.settings import convert, fields

Check = tuple[str, Callable[[], str | None]]
LOOKED_AT = 64
"""Examples of a domain that are looked at; items of a target are 8."""
TOYS = tuple(
    Example(f"toy-{n}", f"Is {n} odd or even?", "odd" if n % 2 else "even", "toy", "toys") for n in range(10, 26)
)


def hold(true: bool, complaint: str) -> None:
    """Raise AssertionError with the complaint unless `true`."""
    if not true:
        raise AssertionError(complaint)


def _needs(kept: Sequence[Any], why: str) -> None:
    """Skip what cannot be tried since the check before it was skipped or failed."""
    if not kept:
        raise UsageError(why)


def even(example: Example, completion: str) -> float:
    """Reward completions of even length: a random model earns it now and then, so that rewards differ."""
    return float(len(completion) % 2 == 0)


def made(kind: str, name: str, catalog: Catalog) -> Any:
    """Build a trainer, scorer or executor with the settings that it names in `check_with`, or its defaults."""
    return catalog.make(kind, name, getattr(catalog.entry(kind, name).value, "check_with", {}))


def settings(kind: str, name: str, catalog: Catalog) -> Iterator[Check]:
    """Yield the checks of anything that has settings."""
    value = catalog.entry(kind, name).value

    def frozen() -> None:
        hold(dataclasses.is_dataclass(value), "the class is no dataclass: its fields are its settings")
        hold(value.__dataclass_params__.frozen, "the dataclass is not frozen")

    def defaults() -> str:
        known = fields(value)
        without = [key for key, one in known.items() if one is dataclasses.MISSING]
        hold(not without, f"{', '.join(without)} has no default")
        made = value()
        for key, default in known.items():
            stored = json.loads(json.dumps(getattr(made, key)))
            back = convert(f"{kind} {name}: {key}", stored, default)
            hold(back == getattr(made, key), f"{key} is {back!r} after it was stored as JSON")
        strange = set(getattr(value, "added", ())) - set(known)
        hold(not strange, f"added names {', '.join(sorted(strange))}, which is no setting")
        return f"{len(known)} settings"

    def picklable() -> None:
        one = made(kind, name, catalog)
        hold(pickle.loads(pickle.dumps(one)) == one, "it differs after a trip to another process (pickle)")

    yield "a frozen dataclass", frozen
    yield "every setting has a default and survives JSON", defaults
    yield "goes to another process", picklable


def domain(name: str, catalog: Catalog, model: Any, folder: Path) -> Iterator[Check]:
    """Yield the checks of a domain."""
    from xferbench.models import encode

    value: Domain = catalog.entry("domain", name).value

    def first() -> list[Example]:
        return list(islice(value.examples(), LOOKED_AT))

    def examples() -> str:
        found = first()
        hold(bool(found), "examples() gives nothing")
        wrong = [type(one).__name__ for one in found if not isinstance(one, Example)]
        hold(not wrong, f"examples() gives {wrong[:1]}, not Example")
        hold(len({one.id for one in found}) == len(found), "two examples have one id")
        strange = [one.id for one in found if not all(isinstance(t, str) for t in (one.id, one.prompt, one.answer))]
        hold(not strange, f"example {strange[:1]}: its id, prompt or answer is not a text")
        blank = [one.id for one in found if not one.prompt.strip() or not one.answer.strip()]
        hold(not blank, f"example {blank[:1]} has an empty prompt or answer")
        return f"{len(found)} looked at"

    def again() -> None:
        hold(first() == first(), "examples() gives others the second time")

    def tokens() -> str:
        longest = max(len(encode(model.tokenizer, one).ids) for one in first())
        return f"longest {longest} tokens of a byte-level tokenizer"

    def reward() -> str | None:
        found = first()
        if value.reward is None:
            return "no reward"
        own = [value.reward(one, one.answer) for one in found]
        hold(any(score == 1.0 for score in own), f"no example's own answer is given 1; the first gets {own[0]!r}")
        hostile = ("", " ", "\0", "∞" * 2000, "\\boxed{", "-1e999", *(one.answer for one in found[:8]))
        for one in found[:8]:
            for text in hostile:
                score = value.reward(one, text)
                fine = score is None or (isinstance(score, int | float) and -math.inf < score <= 1)
                hold(fine, f"the reward of {text[:20]!r} is {score!r}, not a float of at most 1, or None")
        hold(value.reward(found[0], "") != 1.0, "nothing at all is given 1")
        return f"own answer right in {sum(score == 1.0 for score in own)} of {len(own)}"

    yield "examples are examples", examples
    yield "the same on every call", again
    yield "the tiny model can read them", tokens
    yield "the reward tells right from wrong", reward


def trainer(name: str, catalog: Catalog, model: Any, folder: Path) -> Iterator[Check]:
    """Yield the checks of a trainer; each trains the tiny model on sixteen toy examples."""
    yield from settings("trainer", name, catalog)
    start: Checkpoint = model.checkpoint

    def trained(where: str, at: Checkpoint = start, seed: int = 0) -> Checkpoint:
        from xferbench.train import train

        out = folder / where
        out.mkdir(parents=True)
        return train(made("trainer", name, catalog), at, TOYS, even, out, seed)[0]

    kept: list[Checkpoint] = []

    def once() -> None:
        kept.append(trained("first"))

    def equal() -> None:
        _needs(kept, "it did not train")
        hold(_digest(trained("second"), start) == _digest(kept[0], start), "the same seed gave other weights")

    def changed() -> None:
        from xferbench.evaluate import check_changed
        from xferbench.models import load

        _needs(kept, "it did not train")
        check_changed(load(kept[0]), start.base)

    def further() -> None:
        _needs(kept, "it did not train")
        on = trained("further", kept[0])
        hold(_digest(on, start) != _digest(kept[0], start), "it gives back what it started from")

    yield "trains", once
    yield "same seed, same bytes", equal
    yield "the tuned model answers otherwise than the base", changed
    yield "trains further what it trained", further


def _digest(checkpoint: Checkpoint, start: Checkpoint) -> str:
    found = sha256()
    for place in (checkpoint.adapter, None if checkpoint.base == start.base else checkpoint.base):
        for path in sorted(Path(place).glob("*.safetensors")) if place else ():
            found.update(path.read_bytes())
    return found.hexdigest()


def scorer(name: str, catalog: Catalog, model: Any, folder: Path) -> Iterator[Check]:
    """Yield the checks of a scorer, on the tiny model with an adapter that has learnt the toy examples."""
    yield from settings("scorer", name, catalog)
    groups: Sequence[Sequence[Example]] = (TOYS[:4], TOYS[4:6])

    def score(examples: Sequence[Example] = TOYS) -> Any:
        import numpy as np

        return np.asarray(made("scorer", name, catalog).score(model, examples, groups), dtype=float)

    def shape() -> str:
        import numpy as np

        found = score()
        hold(found.shape == (len(TOYS), 2), f"16 examples and 2 groups of queries gave shape {found.shape}")
        hold(bool(np.isfinite(found).all()), "a score is not finite")
        return f"from {found.min():.3g} to {found.max():.3g}"

    def equal() -> None:
        hold(bool((score() == score()).all()), "the second time the scores differ")

    def order() -> None:
        import numpy as np

        hold(np.allclose(score(TOYS[::-1])[::-1], score(), rtol=1e-3, atol=1e-6), "they hang on the examples' order")

    yield "one finite score for each example and group", shape
    yield "the same every time", equal
    yield "whatever the order of the examples", order


def target(name: str, catalog: Catalog, model: Any, folder: Path) -> Iterator[Check]:
    """Yield the checks of a target; eight items are measured."""
    value = catalog.make("target", name, {})

    def words() -> None:
        hold(bool(value.version) and bool(value.group), "version and group must not be empty")
        hold(
            value.fingerprint() == value.fingerprint() and isinstance(value.fingerprint(), str), "no fixed fingerprint"
        )
        known = catalog.names("domain")
        hold(value.domain is None or value.domain in known, f"its domain {value.domain!r} is provided by nobody")

    kept: list[Measurement] = []

    def measured() -> str:
        from xferbench.evaluate import evaluate

        before = _state(model.network)
        found = evaluate(model, value, 8)
        hold(_state(model.network) == before, "the network is not as it was: its weights or its mode were changed")
        kept.append(found)
        return f"{found.metric} {found.value:.3g} of {found.n} items"

    def equal() -> None:
        _needs(kept, "it was not measured")
        hold(value.measure(model, 8) == kept[0], "the second time it measures something else")

    def queries() -> str:
        found = value.queries(4)
        several = isinstance(found, Sequence) and all(isinstance(one, Example) for one in found)
        hold(bool(found) and several, f"queries() must give a list of examples, not {found!r:.80}")
        hold(len(found) <= 4, f"4 queries asked, {len(found)} given")
        return f"{len(found)} queries"

    yield "version, group, fingerprint, domain", words
    yield "measures, one score an item, and leaves the network as it was", measured
    yield "the same every time", equal
    yield "queries for scorers", queries


def _state(network: Any) -> str:
    """Hash the weights, and whether it is in training mode."""
    found = sha256(str(network.training).encode())
    for weight in network.state_dict().values():
        found.update(weight.detach().cpu().float().numpy().tobytes())
    return found.hexdigest()


def suite(name: str, catalog: Catalog, model: Any, folder: Path) -> Iterator[Check]:
    """Yield the checks of a suite: whatever it names must exist."""
    value: Suite = catalog.entry("suite", name).value

    def names() -> str:
        for kind, short in (("domain", value.domains), ("target", value.targets)):
            for full in short.values():
                hold(full.startswith("lmeval:") or full in catalog.names(kind), f"nobody provides the {kind} {full}")
        for one, given in value.trainers.items():
            name = one.removeprefix(">")
            catalog.make("trainer", name, {**value.trainers.get(name, {}), **given})
        return f"{len(value.domains)} domains, {len(value.targets)} targets"

    yield "all that it names exists", names


def executor(name: str, catalog: Catalog, model: Any, folder: Path) -> Iterator[Check]:
    """Yield the checks of an executor."""
    yield from settings("executor", name, catalog)

    def works() -> None:
        with made("executor", name, catalog).pool(1) as pool:
            hold(pool.submit(math.comb, 6, 3).result(timeout=300) == 20, "a call came back wrong")

    def raises() -> None:
        with made("executor", name, catalog).pool(1) as pool:
            error = pool.submit(math.sqrt, -1).exception(timeout=300)
        hold(isinstance(error, ValueError), f"an error of the call came back as {error!r}")

    yield "does a call", works
    yield "brings back the call's own error", raises


KINDS: dict[str, Callable[[str, Catalog, Any, Path], Iterator[Check]]] = {
    "domain": domain,
    "trainer": trainer,
    "scorer": scorer,
    "target": target,
    "suite": suite,
    "executor": executor,
}
