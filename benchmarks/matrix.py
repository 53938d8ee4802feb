"""How much work a matrix of k sources and k targets takes, against a script that trains anew for each pair.

    python benchmarks/matrix.py [--k 5] [--seeds 1] [--large 10000]
    python benchmarks/matrix.py --clock 2 [--train-limit 64] [--eval-limit 16]

With --clock K the first K of mini's sources and targets, one seed, are trained and measured for real: by a script that
does each pair alone (bare trl and lm-eval, all in one process, as in overhead.py), then by `run`; seconds of both.

Otherwise the first part counts, from the plan alone. The second makes a store of about `--large` finished steps and
takes the processor's seconds of planning it and looking each step up (at most 5), and of `status` (at most 1). Steps
are those of tests/feather. Exit 1: a limit is broken; with --clock: `run` is the slower one.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))


def planned(k: int, seeds: int) -> Any:
    """Plan k sources on k targets with all six conditions."""
    from xferbench.catalog import load
    from xferbench.experiment import from_mapping
    from xferbench.plan import make

    values = {"suite": "feather", "trainer": "quill", "scorer": [], "seeds": ",".join(map(str, range(seeds)))}
    names = {"source": [f"f/d{n}" for n in range(k)], "target": [f"f/t{n}" for n in range(k)]}
    return make(from_mapping({**values, **names}), load())


def naive(k: int, seeds: int) -> tuple[int, int]:
    """Count the trainings and evaluations of a script that does each pair on its own, from start to end.

    For each seed: transfer 1, direct 1, placebo 1, joint 1 and sequential 2 trainings (of the last two none, where the
    source is the target's own domain), an evaluation after each condition, and one of the base.
    """
    pairs, same = k * (k - 1), k
    return seeds * (6 * pairs + 3 * same), seeds * (6 * pairs + 4 * same)


def pairs_by_hand(folder: Path, names: tuple[str, ...], train_limit: int, eval_limit: int) -> list[dict[str, Any]]:
    """Return what the script does for each source and target: six conditions, each from start to end (overhead.py)."""
    from xferbench.catalog import load
    from xferbench.draw import draw

    catalog = load()
    suite = catalog.entry("suite", "mini").value

    def rows(name: str, treatment: str = "") -> list[dict[str, str]]:
        domain = catalog.entry("domain", suite.domains[name]).value
        return [{"prompt": e.prompt, "completion": e.answer} for e in draw(domain, train_limit, treatment)]

    parts: list[dict[str, Any]] = []

    def train(data: list[dict[str, str]], start: str = "") -> str:
        place = folder / f"training-{len(parts)}"
        place.with_suffix(".json").write_text(json.dumps(data))
        part = {"train": str(place.with_suffix(".json")), "adapter": str(place), "start": start, "seed": 0}
        parts.append({"model": str(suite.model), **part})
        return str(place)

    for source in names:
        for target in names:
            task = catalog.entry("target", suite.targets[target]).value.task
            made = ["", train(rows(source)), train(rows(target)), train(rows(source, "shuffled"))]
            if source != target:
                made += [train(rows(source) + rows(target)), train(rows(target), train(rows(source)))]
            shared = {"model": str(suite.model), "tasks": [task], "limit": eval_limit}
            parts += [{**shared, "adapter": adapter} for adapter in made]
    return parts


def clock(k: int, train_limit: int, eval_limit: int) -> int:
    """Run the script and `run` one after another, print the seconds of both, and return 1 if `run` is the slower."""
    import overhead

    names = ("math", "logic", "science", "code", "puzzle")[:k]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = pairs_by_hand(folder, names, train_limit, eval_limit)
        trainings = sum("train" in part for part in parts)
        naive, burnt = overhead.timed([overhead.script(folder, parts)], folder)
        run = [sys.executable, "-m", "xferbench.cli", "run", "--source", ",".join(names), "--target", ",".join(names)]
        run += ["--scorer", "", "--trainer", overhead.SETTINGS, "--jobs", "1", "--seeds", "0", "--out", "runs"]
        run += ["--train-limit", str(train_limit), "--eval-limit", str(eval_limit)]
        mine, spent = overhead.timed([run], folder)
        kinds = Counter(path.name.partition("-")[0] for path in (folder / "runs" / "steps").iterdir())
    print(f"{k} x {k} of mini, six conditions, one seed   trainings  evaluations  seconds     cpu")
    print(f"  a script for each pair {trainings:>27} {len(parts) - trainings:>12} {naive:8.1f} {burnt:7.1f}")
    print(f"  xferbench run {kinds['train']:>36} {kinds['evaluate']:>12} {mine:8.1f} {spent:7.1f}")
    print(f"run takes {mine / naive:.2f} of the time")
    return int(mine >= naive)


def large(steps: int) -> tuple[int, float, float, float]:
    """Return the steps of a large store, and the processor's seconds of planning, of looking up, and of `status`."""
    from xferbench.status import status_text
    from xferbench.store import Store

    k = 24
    seeds = 1
    while len(planned(4, seeds).steps) * 36 < steps:  # 24 x 24 is 36 times 4 x 4
        seeds += 1
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.prepare()
        began = time.process_time()
        plan = planned(k, seeds)
        ids = [step.id for step in plan.steps]
        planning = time.process_time() - began
        for step in plan.steps:
            (store.begin(step) / "items.jsonl.gz").write_bytes(b"items")
            store.finish(step, {"value": 0.5, "metric": "acc", "n": 32, "stderr": 0.1, "cost": {"seconds": 1.0}})
        fresh = Store(Path(folder))
        began = time.process_time()
        assert all(fresh.done(name) for name in ids)
        looking = time.process_time() - began
        began = time.process_time()
        assert status_text(Path(folder), as_json=False).startswith(f"{len(ids)} done, 0 running")
        return len(ids), planning, looking, time.process_time() - began


def main() -> int:
    """Count, measure, print, and return 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--large", type=int, default=10000)
    parser.add_argument("--clock", type=int, default=0, metavar="K", help="train and measure K x K for real")
    parser.add_argument("--train-limit", type=int, default=64)
    parser.add_argument("--eval-limit", type=int, default=16)
    asked = parser.parse_args()
    if asked.clock:
        return clock(asked.clock, asked.train_limit, asked.eval_limit)
    import os

    import faults

    with tempfile.TemporaryDirectory() as folder:
        env = faults.world(Path(folder))
        os.environ.update({**env, "FEATHER_COUNT": str(max(24, asked.k))})
        sys.path.insert(0, folder)
        sys.modules.pop("feather", None)
        plan = planned(asked.k, asked.seeds)
        kinds = Counter(step.kind for step in plan.steps)
        trainings, evaluations = naive(asked.k, asked.seeds)
        most = asked.seeds * (asked.k + 2 * asked.k * (asked.k - 1))
        print(f"{asked.k} x {asked.k}, six conditions, {asked.seeds} seeds   trainings  evaluations")
        print(f"  xferbench {kinds['train']:>32} {kinds['evaluate']:>12}   (at most {most} trainings)")
        print(f"  a script that does each pair alone {trainings:>7} {evaluations:>12}")
        again = replace(plan.experiment, seeds=tuple(range(asked.seeds + 1)))
        print(f"  one seed more adds {_added(plan, again)} trainings")
        steps, planning, looking, status = large(asked.large)
        print(f"{steps} steps: planned in {planning:.2f} s, looked up in {looking:.2f} s; status {status:.2f} s (CPU)")
    return int(kinds["train"] > most or planning + looking > 5 or status > 1)


def _added(plan: Any, asked: Any) -> int:
    from xferbench.catalog import load
    from xferbench.plan import make

    before = {step.id for step in plan.steps}
    return sum(step.kind == "train" and step.id not in before for step in make(asked, load()).steps)


if __name__ == "__main__":
    sys.exit(main())
