"""Random SIGKILLs over a matrix of 68 steps: at the end, is everything as if nothing had happened?

    python benchmarks/faults.py [--kills 100] [--seed 0] [--out DIR]

A run is started, a process of it (the run itself, or one of its two workers) is killed at a random moment, and the run
is started again where it ended with it, until there were so many kills; the last run is left in peace. Steps are
those of tests/feather: they take a moment and load no library, so that the kills hit what the harness does around them.
When a matrix is done before all kills are spent, the next begins in a folder of its own. Exit 1: something was lost.
"""

import argparse
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "feather"))
ASKED = "run --suite feather --trainer quill --scorer= --jobs 2 --source f/d0,f/d1,f/d2 --target f/t0,f/t1 --seeds 0,1"
TIMED = ("seconds", "wall_seconds", "checksum", "cost", "store")
"""What may differ in a result: how long it took, where it lies, and the checksum over that."""


def world(folder: Path) -> dict[str, str]:
    """Lay the plugin `feather` and its model down as pip would; return the environment for it."""
    import feather

    about = folder / "feather_world-0.1.dist-info"
    about.mkdir(parents=True)
    (folder / "feather.py").write_bytes((ROOT / "tests" / "feather" / "feather.py").read_bytes())
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: feather-world\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[xferbench]\nfeather = feather\n")
    model = feather.make_model(folder / "model")
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    own = {"PYTHONPATH": path, "FEATHER_MODEL": str(model), "XFERBENCH_PLUGINS": "feather,local,ray,slurm"}
    return {"FEATHER_SECONDS": "0.3", **os.environ, **own, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}


def start(out: Path, env: dict[str, str]) -> subprocess.Popen:
    """Start the run that goes to `out`."""
    line = [sys.executable, "-m", "xferbench.cli", *ASKED.split(), "--out", str(out)]
    log = (out.parent / f"{out.name}.said").open("ab")
    return subprocess.Popen(line, env={**env, "FEATHER_LOG": f"{out}.log"}, stdout=log, stderr=log)


def results(out: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return {step: what its result's file is}: one that is written again is another file."""
    found = {}
    for path in out.glob("steps/*/result.json"):
        state = path.stat()
        found[path.parent.name] = (state.st_ino, state.st_mtime_ns, path.read_bytes())
    return found


def trouble(run: subprocess.Popen, out: Path, chance: random.Random, longest: float) -> str:
    """Wait for a random moment, from the start of the process to the middle of its steps, and kill one of them."""
    log = Path(f"{out}.log")
    before = log.stat().st_size if log.exists() else 0
    if chance.random() < 0.3:
        time.sleep(chance.uniform(0, longest))
    else:
        while run.poll() is None and (not log.exists() or log.stat().st_size == before):
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.5))
    if run.poll() is not None:
        return "over"
    workers = [one for one in psutil.Process(run.pid).children() if "spawn_main" in " ".join(one.cmdline())]
    if workers and chance.random() < 0.3:
        chance.choice(sorted(workers, key=lambda one: one.pid)).kill()
        return "worker"
    run.send_signal(signal.SIGKILL)
    run.wait()
    return "run"


def plain(out: Path) -> dict[str, Any]:
    """Return all that a run has found, without how long it took."""

    def untimed(row: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in row.items() if key not in TIMED}

    found: dict[str, Any] = {"rows": [untimed(json.loads(line)) for line in (out / "results.jsonl").open()]}
    for path in sorted(out.glob("items/*")):
        found[f"items/{path.name}"] = gzip.decompress(path.read_bytes())
    for path in sorted(path for path in out.glob("steps/**/*") if path.is_file() and path.name != "log.txt"):
        content = path.read_bytes()
        name = str(path.relative_to(out))
        found[name] = untimed(json.loads(content)) if path.name == "result.json" else content
    return found


def left_over(out: Path) -> list[str]:
    """Return the files that should not outlive a run: locks, parts, progress, what failed."""
    names = ("*.part", "lock", ".lock", ".writable-*", "progress.*", "failed.json")
    return [str(path.relative_to(out)) for name in names for path in out.rglob(name)]


def twice(before: dict, after: dict) -> list[str]:
    """Return the steps whose result was written again although it was there."""
    return [step for step, state in before.items() if after.get(step) != state]


def main() -> int:
    """Kill, compare, print, and return 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    folder = asked.out or Path(tempfile.mkdtemp(prefix="faults-"))
    env, chance = world(folder / "world"), random.Random(asked.seed)
    began = time.monotonic()
    assert start(folder / "peace", env).wait() == 0, "the undisturbed run failed"
    peace = plain(folder / "peace")
    steps, longest = len(results(folder / "peace")), min(8.0, (time.monotonic() - began) / 3)
    kills: Counter[str] = Counter()
    wrong: list[str] = []
    number = 0
    while sum(kills.values()) < asked.kills:
        number += 1
        out = folder / f"disturbed-{number}"
        before: dict = {}
        run = start(out, env)
        while sum(kills.values()) < asked.kills:
            what = trouble(run, out, chance, longest)
            after = results(out)
            wrong += [f"{step} was done twice" for step in twice(before, after)]
            before = after
            if what == "over" and run.returncode == 0:
                break
            kills.update([what] if what != "over" else [])
            if run.poll() is not None:
                run = start(out, env)
        while run.wait() != 0:  # steps whose process was killed twice are reported by a run, and done by the next
            run = start(out, env)
        wrong += [f"{step} was done twice" for step in twice(before, results(out))]
        found = plain(out)
        differing = [name for name in {**peace, **found} if peace.get(name) != found.get(name)]
        wrong += [f"{out.name}/{name} differs" for name in differing]
        wrong += [f"{out.name}/{name} is left" for name in left_over(out)]
        print(
            f"{out.name}: {len(found) - 1} files compared, {len(differing)} differ, {sum(kills.values())} kills so far"
        )
    print(f"{steps} steps a matrix, {number} matrices, {kills['run']} kills of the run, {kills['worker']} of a worker")
    print(f"{time.monotonic() - began:.0f} s; results, artifacts and items as in the undisturbed run: {not wrong}")
    for line in wrong:
        print(line)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
