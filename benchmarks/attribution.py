"""How fast are per-example gradients, and how exact is what is stored of them? Every engine does the same work.

    python benchmarks/attribution.py [--peers PYTHON] [--hub DIR] [--growth] [--slow]

Work: 256 examples of 128 random tokens through a Llama of 256 x 4 layers (4.4 million parameters, 2048 words) with
LoRA r=8 on all seven projections, float32, batches of 16. Then 96 random examples whose lengths differ by a factor
of ten with a third learnt; and, with --hub (a folder laid out as the hub), 96 of GSM8K.

Yardstick: peft's own batched forward and backward, in the order given, which gives no example's own gradient. Each
engine takes turns with it, a few batches each; ratio = its time an example over the yardstick's, the median of the
turns, by process time. Engines of other packages run in a process of their own, in the environment of --peers, beside
the same yardstick there. Slow ones are measured on fewer examples. A line is printed as soon as it is measured.

memory: how much the process grew at its peak, in MB. variance: that of the inner products of what is stored, times the
numbers stored, for a dense Rademacher map 1: higher is worse.
"""

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "plugins")]

import torch  # noqa: E402
from engines import (  # noqa: E402
    GROUPS,
    KEPT,
    LENGTH,
    SIZE,
    Row,
    alone,
    cosines,
    dense,
    examples_of,
    mapped,
    network,
    plain,
    random_tokens,
    sketches,
    whole,
)

TABLES = {
    "equal": f"All of {LENGTH} tokens",
    "varied": "Random tokens, lengths over a factor of ten, a third learnt",
    "gsm8k": "GSM8K, the solution learnt",
}
HEAD = "| engine | examples/s | ratio | turns | memory, MB | variance |\n|---|---|---|---|---|---|"
JUDGED = 48
"""Examples whose inner products are compared."""


def timed(row: Row, some: list[Any]) -> float:
    """Return the process time of one example, in seconds."""
    start = time.process_time()
    row.do(some)
    return (time.process_time() - start) / len(some)


def measure(row: Row, yardstick: Row, encoded: list[Any], turns: int) -> dict[str, Any]:
    """Let a row and the yardstick take turns; return examples/s (best turn), ratio (median), the ratios, memory."""
    some = encoded[: max(SIZE, round(row.share * len(encoded)))]
    if row.share < 1:
        turns = 1
    else:
        row.do(some[:SIZE]), yardstick.do(some[:SIZE])
    memory, seconds, ratios = None, [], []
    for turn in range(turns):
        block = some[turn * len(some) // turns : (turn + 1) * len(some) // turns]
        before = timed(yardstick, block[: max(SIZE, len(block) // 2)] if uniform(block) else block)
        found: list[float] = []
        grown = peak(lambda block=block, found=found: found.append(timed(row, block)))  # type: ignore[misc]
        memory = grown if memory is None else max(memory, grown or 0)
        seconds += found
        ratios.append(found[0] / before)
    return {"speed": 1 / min(seconds), "ratio": statistics.median(ratios), "ratios": ratios, "memory": memory}


def uniform(encoded: list[Any]) -> bool:
    """Tell whether all examples are of one length, so that a part of them costs its share."""
    return len({len(e.ids) for e in encoded}) == 1


def peak(do: Callable[[], Any]) -> float | None:
    """Do something and return by how many MB the process grew meanwhile; None where the system does not tell."""
    status, before = Path("/proc/self/status"), None

    def memory(what: str) -> float:
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith(what))

    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what earlier rows left must not hide what this one takes
        Path("/proc/self/clear_refs").write_text("5")
        before = memory("VmRSS")
    except (OSError, AttributeError, StopIteration):
        pass
    do()
    return None if before is None else memory("VmHWM") - before


def variance(kept: Any, exact: Any) -> float | None:
    """Return the variance of inner products of what is kept, times the numbers kept, relative to a dense map.

    Over all pairs of examples with gradients x and y of length 1: mean of (k <Sx, Sy> - k <x, y>)^2 / k over the mean
    of (1 + <x, y>^2), which is a dense map's own. None for what is no projection of the gradients.
    """
    if not isinstance(kept, torch.Tensor) or kept.ndim != 2:
        return None
    x, y = (rows.double() / torch.linalg.vector_norm(exact.double(), dim=1, keepdim=True) for rows in (exact, kept))
    right, found = x @ x.T, y @ y.T
    found = found / found.diagonal().mean()  # a package may scale its maps by a constant
    pairs = torch.triu(torch.ones_like(right), 1).bool()
    error = (found - right)[pairs].square().mean() * kept.shape[1]
    return float(error / (1 + right[pairs].square()).mean())


def judged(row: Row, model: Any) -> float | None:
    """Return the variance of a row's stored inner products, or None."""
    if "stored" not in row.title or "traker" in row.title:
        return None
    some = random_tokens(JUDGED)
    return variance(row.do(some), whole(model, some))


def line(title: str, found: dict[str, Any]) -> None:
    """Print one line of a table, now."""
    turns = " ".join(f"{ratio:.2f}" for ratio in found["ratios"])
    memory, noise = (
        "-" if found.get(key) is None else form.format(found[key])
        for key, form in (("memory", "{:.0f}"), ("variance", "{:.2f}"))
    )
    print(f"| {title} | {found['speed']:.1f} | {found['ratio']:.2f} | {turns} | {memory} | {noise} |", flush=True)


def table(kind: str, flags: argparse.Namespace) -> None:
    """Measure and print one table."""
    from peers import PEERS

    n = flags.examples if kind == "equal" else min(flags.examples, 96)
    encoded, model = examples_of(kind, n, flags.hub), network()
    turns = max(1, n // 64) if kind == "equal" else 2
    lengths = sorted(len(e.ids) for e in encoded)
    about = "" if kind == "equal" else f": {lengths[0]} to {lengths[-1]} tokens, median {lengths[n // 2]}"
    print(f"\n{TABLES[kind]}{about} ({n} examples)\n\n{HEAD}", flush=True)
    yardstick = plain(model)
    speed = 1 / min(timed(yardstick, encoded[:64]) for _ in range(2))
    line(yardstick.title, {"speed": speed, "ratio": 1.0, "ratios": [], "memory": None})
    rows = [cosines(model), sketches(model)]
    if kind == "equal":
        rows.append(mapped(model))
    if flags.slow:
        rows += [sketches(model, "sparse"), cosines(model, fuse=False), alone(model)]
    for row in rows:
        found = measure(row, yardstick, encoded, turns)
        line(row.title, found | {"variance": judged(row, model) if kind == "equal" else None})
    if kind == "equal":
        some = random_tokens(JUDGED)
        exact = whole(model, some)
        noise = variance(dense(exact, 0), exact)
        print(f"| dense Rademacher map to {KEPT}, for its variance alone | - | - | - | - | {noise:.2f} |", flush=True)
    for name, (_, _, kinds) in PEERS.items():
        if kind in kinds:
            peer(name, kind, n, turns, flags)


def peer(name: str, kind: str, n: int, turns: int, flags: argparse.Namespace) -> None:
    """Measure one other package in a process of its own and print its line."""
    child = [flags.peers, str(HERE / "attribution.py"), "--only", name, "--table", kind, "--examples", str(n)]
    child += ["--turns", str(turns), "--threads", str(flags.threads), *(["--hub", flags.hub] if flags.hub else [])]
    done = subprocess.run(child, capture_output=True, text=True)
    try:
        found = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        found = {"why": (done.stderr.strip().splitlines() or ["nothing was printed"])[-1][:90]}
    if "why" in found:
        print(f"| {name} | {found['why']} | | | | |", flush=True)
    else:
        line(found["title"], found)


def only(flags: argparse.Namespace) -> dict[str, Any]:
    """Be the process of one peer: measure it and return what is found."""
    from peers import PEERS

    module, build, _ = PEERS[flags.only]
    if find_spec(module) is None:
        return {"why": "not installed"}
    model = network()
    row = build(model)
    found = measure(row, plain(model), examples_of(flags.table, flags.examples, flags.hub), flags.turns)
    return {"title": row.title, **found, "variance": judged(row, model) if flags.table == "equal" else None}


def growth() -> None:
    """How the time of an example grows with the batch, the length, the width, the targets and the examples."""
    print(f"\nGrowth (64 examples of {LENGTH} tokens unless said; milliseconds an example, and ratio)\n")
    print("| what | | yardstick | exact cosine | ratio | sketch | ratio |\n|---|---|---|---|---|---|---|", flush=True)
    model = network()
    for size in (4, 16, 64):
        grown("batch", size, model, random_tokens(64), size=size)
    for length in (32, 128, 512):
        grown("tokens", length, model, random_tokens(8192 // length, length))
    for width in (128, 256, 512):
        grown("width", width, network(width=width), random_tokens(64))
    for groups in (1, 16, 256):
        grown("targets", groups, model, random_tokens(64), groups=groups)
    for n in (64, 256):
        grown("examples", n, model, random_tokens(n))


def grown(what: str, value: int, model: Any, encoded: list[Any], size: int = SIZE, groups: int = GROUPS) -> None:
    """Print one line of the table of growth."""
    tokens, yardstick = size * len(encoded[0].ids), plain(model, size)
    cells = []
    for row in (cosines(model, groups, tokens=tokens), sketches(model, tokens=tokens)):
        found = measure(row, yardstick, encoded, 2)
        cells += [f"{1000 / found['speed']:.1f}", f"{found['ratio']:.2f}"]
    base = 1000 * min(timed(yardstick, encoded) for _ in range(2))
    print(f"| {what} | {value} | {base:.1f} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Read the flags, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--examples", type=int, default=256, help="examples of the first table (default: 256)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    parser.add_argument("--peers", metavar="PYTHON", default=sys.executable, help="where other packages are installed")
    parser.add_argument("--hub", metavar="DIR", help="a folder that holds openai/gsm8k as the hub does")
    parser.add_argument("--growth", action="store_true", help="the tables of growth, and nothing else")
    parser.add_argument("--slow", action="store_true", help="also the sparse sketch, hooks, and one example at a time")
    for name, kind in (("--only", str), ("--table", str), ("--turns", int)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    warnings.filterwarnings("ignore")  # of other packages, in the midst of the table
    if flags.only:
        print(json.dumps(only(flags)))
    elif flags.growth:
        growth()
    else:
        for kind in ("equal", "varied", *(("gsm8k",) if flags.hub else ())):
            table(kind, flags)


if __name__ == "__main__":
    main()
