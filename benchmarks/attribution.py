"""How fast are per-example gradients? Every engine does the same work beside the same yardstick, in one process.

    python benchmarks/attribution.py [--examples 256] [--repeat 3] [--threads N] [--slow]

Work: a Llama of 256 x 4 layers (4.4 million parameters, 2048 words) with LoRA r=8 on all seven projections, examples
of 128 random tokens, float32, batches of 16. Yardstick: peft's own batched forward and backward, which gives no
gradient of any single example. Engines take turns within each repetition; the least process time of each counts.
Ratio: time divided by the yardstick's; below 1 is faster than plain training's gradient. Peers that are not
installed are named as such. --slow adds the engines that need minutes (dense projections, LESS-style, traker).
"""

import argparse
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from xferbench import Encoded  # noqa: E402
from xferbench_gradients.batches import Batch, Plan, packed  # noqa: E402
from xferbench_gradients.engine import Engine  # noqa: E402
from xferbench_gradients.sinks import Dots, Exact, Means, Sketched  # noqa: E402
from xferbench_gradients.sketch import Sketch  # noqa: E402

LENGTH, VOCABULARY, SIZE, KEPT, GROUPS = 128, 2048, 16, 4096, 16
Row = Callable[[], Any]


class Bare:
    """What the engine needs of a model; the benchmark brings its own tokens."""

    def __init__(self, network: Any) -> None:
        self.network, self.tokenizer, self.context = network, None, 4 * LENGTH


def network(layers: int = 4, width: int = 256) -> Any:
    """Build the adapted network, with B not zero, so that every gradient is there to be computed."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = {"vocab_size": VOCABULARY, "hidden_size": width, "intermediate_size": 688 * width // 256}
    config = LlamaConfig(**shape, num_hidden_layers=layers, num_attention_heads=4, max_position_embeddings=4 * LENGTH)
    adapted = get_peft_model(LlamaForCausalLM(config), LoraConfig(r=8, lora_alpha=16, target_modules="all-linear"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    return adapted.eval()


def tokens(n: int, varied: bool) -> list[Encoded]:
    """Draw random examples, all learnt but the first token; varied: lengths over a factor of ten, the end learnt."""
    draw = random.Random(0)
    found = []
    for _ in range(n):
        size = min(4 * LENGTH, max(24, round(draw.lognormvariate(4.7, 0.5)))) if varied else LENGTH
        ids = tuple(draw.randrange(VOCABULARY) for _ in range(size))
        found.append(Encoded(ids, 2 * size // 3 if varied else 1))
    return found


def planned(encoded: list[Encoded], budget: int) -> Plan:
    """Put examples in batches as the engine does: by length, `budget` tokens each."""
    return Plan(tuple(map(str, range(len(encoded)))), tuple(packed(dict(enumerate(encoded)), budget)), ())


def adapter(model: Any) -> dict[str, Any]:
    """Return the adapter's parameters by name, and make them, and them alone, want gradients."""
    model.requires_grad_(False)
    chosen = {name: p for name, p in model.named_parameters() if "lora_" in name}
    for p in chosen.values():
        p.requires_grad_(True)
    return chosen


def plain(model: Any, encoded: list[Encoded]) -> Row:
    """The yardstick: batches in the order given, padded to the longest, the sum of mean losses, backward, zero."""
    cuts = [encoded[i : i + SIZE] for i in range(0, len(encoded), SIZE)]
    batches = [Batch(tuple(range(len(cut))), tuple(cut)).tensors("cpu") for cut in cuts]
    labels = []
    for cut, tensors in zip(cuts, batches, strict=True):
        places = torch.arange(tensors[0].shape[1])[None]
        first, last = (torch.tensor(v)[:, None] for v in zip(*[(e.prompt, len(e.ids)) for e in cut], strict=True))
        labels.append(tensors[0].masked_fill((places < first) | (places >= last), -100))

    def run() -> None:
        adapter(model)
        for tensors, label in zip(batches, labels, strict=True):
            model(input_ids=tensors[0], labels=label).loss.backward()
            model.zero_grad(set_to_none=True)

    return run


def ours(model: Any, encoded: list[Encoded], make: Callable[[Engine], Any], fuse: bool = True) -> Row:
    """Our engine with one of its sinks."""

    def run() -> Any:
        with Engine(Bare(model), tokens=SIZE * LENGTH, fuse=fuse) as engine:
            sink = make(engine)
            engine.run(planned(encoded, engine.tokens), sink)
            return sink

    return run


def alone(model: Any, encoded: list[Encoded], then: Callable[[Any, int], Any] | None = None) -> Row:
    """One example at a time through autograd; `then` gets each gradient."""

    def run() -> None:
        chosen = list(adapter(model).values())
        for row, e in enumerate(encoded):
            ids = torch.tensor([e.ids])
            label = ids.clone()
            label[:, : e.prompt] = -100
            found = torch.autograd.grad(model(input_ids=ids, labels=label).loss, chosen)
            flat = torch.cat([g.flatten() for g in found])
            if then is not None:
                then(flat, row)

    return run


def mapped(model: Any, encoded: list[Encoded]) -> Row:
    """torch.func: vmap of grad, batches of examples of one length."""
    from torch.func import functional_call, grad, vmap

    chosen = {name: p.detach() for name, p in model.named_parameters() if "lora_" in name}
    rest = {name: p.detach() for name, p in model.named_parameters() if name not in chosen}

    def loss(some: Any, ids: Any) -> Any:
        logits = functional_call(model, {**some, **rest}, (), {"input_ids": ids[None], "use_cache": False}).logits
        return torch.nn.functional.cross_entropy(logits[0, :-1].float(), ids[1:])

    each = vmap(grad(loss), in_dims=(None, 0))

    def run() -> None:
        for start in range(0, len(encoded), SIZE):
            each(chosen, torch.tensor([e.ids for e in encoded[start : start + SIZE]]))

    return run


def less_style(model: Any, encoded: list[Encoded]) -> Row:
    """One example at a time, Adam's scaling, a dense Rademacher map made anew for each 16 examples."""
    sketch, held = Sketch(KEPT, kind="dense"), []

    def then(flat: Any, row: int) -> None:
        held.append((0.1 * flat) / ((0.001 * flat * flat).sqrt() + 1e-8))
        if len(held) == SIZE or row == len(encoded) - 1:
            sketch.apply("all", torch.stack(held))
            held.clear()

    return alone(model, encoded, then)


def with_bergson(model: Any, encoded: list[Encoded]) -> Row:
    """bergson's own collector in memory: hooks, two-sided 8 x 8 projection of each module (3,584 numbers), stored."""
    from bergson import GradientProcessor, IndexConfig, InMemoryCollector
    from bergson.collector.collector import fwd_bwd_factory
    from bergson.utils.worker_utils import extract_peft_target_modules
    from datasets import Dataset

    config = IndexConfig(run_path="unused", loss_reduction="mean")
    data, step = Dataset.from_dict({"input_ids": [e.ids for e in encoded]}), fwd_bwd_factory(config)
    modules, inputs = extract_peft_target_modules(model), model.get_input_embeddings()

    def run() -> Any:
        model.requires_grad_(False)
        inputs.requires_grad_(True)
        processor = GradientProcessor(projection_dim=8)
        more = {"cfg": config, "processor": processor, "target_modules": modules}
        found = InMemoryCollector(model=model.base_model, data=data, **more)
        for start in range(0, len(encoded), SIZE):
            rows = list(range(start, min(len(encoded), start + SIZE)))
            ids = torch.tensor([encoded[row].ids for row in rows])
            with found.with_batch(torch.ones_like(ids, dtype=torch.bool)):
                losses = step(model, ids, ids, {})
            found.process_batch(rows, losses=losses)
        found.teardown()
        inputs.requires_grad_(False)
        return found.gradients

    return run


def with_dattri(model: Any, encoded: list[Encoded]) -> Row:
    """dattri's per-example gradients of the named parameters (vmap), nothing projected."""
    from dattri.task import AttributionTask

    def loss(parameters: Any, data: Any) -> Any:
        ids = data[0][None]
        logits = torch.func.functional_call(model, parameters, (), {"input_ids": ids, "use_cache": False}).logits
        return torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:])

    state = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def run() -> None:
        chosen = list(adapter(model))
        task = AttributionTask(loss_func=loss, model=model, checkpoints=state)
        parameters, _ = task.get_param(ckpt_idx=0, layer_name=chosen)
        each = task.get_grad_loss_func(in_dims=(None, 0), layer_name=chosen, ckpt_idx=0)
        for start in range(0, len(encoded), SIZE):
            each(parameters, (torch.tensor([e.ids for e in encoded[start : start + SIZE]]),))

    return run


def with_traker(model: Any, encoded: list[Encoded]) -> Row:
    """TRAK's own package, its default projector on a CPU, gradients by the adapter; the mean loss as model output."""
    from tempfile import TemporaryDirectory

    from trak import TRAKer
    from trak.modelout_functions import AbstractModelOutput

    class Loss(AbstractModelOutput):
        def __init__(self) -> None:
            pass

        @staticmethod
        def get_output(network: Any, weights: Any, buffers: Any, ids: Any, *rest: Any) -> Any:
            given = {"input_ids": ids[None], "use_cache": False}
            logits = torch.func.functional_call(network, (weights, buffers), (), given).logits
            return torch.nn.functional.cross_entropy(logits[0, :-1], ids[1:])

        def get_out_to_loss_grad(self, network: Any, weights: Any, buffers: Any, batch: Any) -> Any:
            return torch.ones(len(batch[0]), 1)

    def run() -> None:
        with TemporaryDirectory() as folder:
            more = {"device": "cpu", "use_half_precision": False, "proj_dim": KEPT, "grad_wrt": list(adapter(model))}
            made = TRAKer(model, Loss(), len(encoded), save_dir=folder, logging_level=50, **more)
            made.load_checkpoint(model.state_dict(), model_id=0)
            for start in range(0, len(encoded), SIZE):
                ids = torch.tensor([e.ids for e in encoded[start : start + SIZE]])
                made.featurize(batch=(ids,), num_samples=len(ids))

    return run


def peers(model: Any, encoded: list[Encoded], slow: bool) -> dict[str, Row | str]:
    """Other packages, where they are installed."""
    from importlib.util import find_spec

    wanted = [("bergson", "bergson, 8 x 8 a module, stored", with_bergson)]
    wanted.append(("dattri", "dattri, vmap, nothing projected", with_dattri))
    if slow:
        wanted.append(("trak", f"traker, projected to {KEPT}, stored", with_traker))
    return {title: make(model, encoded) if find_spec(name) else "not installed" for name, title, make in wanted}


def rows(model: Any, encoded: list[Encoded], varied: bool, slow: bool) -> dict[str, Row | str]:
    """The table: what each line does, or why it does nothing."""
    weights = torch.eye(GROUPS).repeat(1, 2) / 2
    with Engine(Bare(model), tokens=SIZE * LENGTH) as engine:
        asked = tokens(2 * GROUPS, varied)
        sink = Means(weights)
        engine.run(planned(asked, engine.tokens), sink)
    bank, n, count = sink.bank, len(encoded), Sketch(KEPT)
    table: dict[str, Row | str] = {
        "peft, plain forward and backward (yardstick)": plain(model, encoded),
        f"xferbench, cosine with {GROUPS} targets, exact": ours(model, encoded, lambda e: Dots(bank, n)),
        f"xferbench, sketch to {KEPT}, stored": ours(model, encoded, lambda e: Sketched(count, n, e.device)),
        "xferbench, exact gradients, stored": ours(model, encoded, lambda e: Exact(n)),
        "xferbench, hooks, cosine": ours(model, encoded, lambda e: Dots(bank, n), fuse=False),
        "one example at a time, nothing projected": alone(model, encoded),
    }
    if not varied:
        table["torch.func vmap(grad), nothing projected"] = mapped(model, encoded)
        table |= peers(model, encoded, slow)
    if slow:
        dense = Sketch(KEPT, kind="dense")
        table["xferbench, dense Rademacher, stored"] = ours(model, encoded, lambda e: Sketched(dense, n, e.device))
        table["LESS-style: one at a time, Adam, dense map"] = less_style(model, encoded)
    return table


def measure(table: dict[str, Row | str], repeat: int) -> dict[str, float]:
    """Return the least process time of each engine, in seconds; each runs once before the clock does."""
    best: dict[str, float] = {}
    for turn in range(repeat + 1):
        for name, row in table.items():
            if isinstance(row, str):
                continue
            start = time.process_time()
            row()
            spent = time.process_time() - start
            if turn:
                best[name] = min(best.get(name, spent), spent)
    return best


def show(title: str, table: dict[str, Row | str], best: dict[str, float], n: int) -> None:
    """Print one table in Markdown."""
    yardstick = best[next(iter(table))]
    print(f"\n{title}\n\n| engine | examples/s | ratio |\n|---|---|---|")
    for name, row in table.items():
        if isinstance(row, str):
            print(f"| {name} | {row} | |")
        else:
            print(f"| {name} | {n / best[name]:.1f} | {best[name] / yardstick:.2f} |")


def main() -> None:
    """Read the flags, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--examples", type=int, default=256, help="how many examples (default: 256)")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions, of which the fastest counts (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    parser.add_argument("--slow", action="store_true", help="also the engines that need minutes")
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    model = network()
    for varied, title in ((False, f"All of {LENGTH} tokens"), (True, "Lengths over a factor of ten, a third learnt")):
        encoded = tokens(flags.examples, varied)
        table = rows(model, encoded, varied, flags.slow and not varied)
        show(title, table, measure(table, flags.repeat), len(encoded))


if __name__ == "__main__":
    main()
