"""The scorer whose gradients can be kept: a sketch of each example's, made once, scores any target afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from xferbench import Example


@dataclass(frozen=True)
class SketchedCosine:
    """cos( S g(z), S mean of g(z') ) of sketches S g: what `xferbench attribute --index` keeps and compares.

    An estimate of `cosine` whose standard error is sqrt((1 + cos^2) / dimensions), 0.016 at 4096. Its gain is that a
    sketch can be stored; where the targets are known beforehand, `cosine` is exact and as fast.
    """

    name: ClassVar[str] = "sketch"

    dimensions: int = 4096
    """Numbers kept of each gradient."""
    projection: str = "count"
    """count, sparse or dense: see sketch.py."""
    seed: int = 0
    """Seed of the projection."""
    layers: str = ""
    """Pieces of layer names, joined by + ("q_proj+v_proj"); empty: every adapted layer, or every linear one."""
    batch_tokens: int = 0
    """Tokens in one batch, padding included; 0: 2048 on a CPU, 8192 on a GPU. It does not change the scores."""

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups), about -1 ... 1; nan where there is no finite gradient."""
        import torch

        rows, aims = self.features(model, examples).double(), self.aim(model, queries).double()
        lengths = torch.linalg.vector_norm(rows, dim=1)[:, None], torch.linalg.vector_norm(aims, dim=1)
        return (rows @ aims.T / lengths[0] / lengths[1]).numpy()

    def features(self, model: Any, examples: Sequence[Example]) -> Any:
        """Return the sketch of each example's gradient, float32 (examples, dimensions) on the CPU; nan: none."""
        import torch

        from xferbench_gradients.engine import Engine
        from xferbench_gradients.scoring import finished
        from xferbench_gradients.sinks import Sketched
        from xferbench_gradients.sketch import Sketch

        sketch = Sketch(self.dimensions, self.seed, self.projection)
        with Engine(model, self.layers, self.batch_tokens) as engine:
            learnt = engine.plan(examples)
            sink = Sketched(sketch, len(examples), engine.device)
            engine.run(learnt, sink)
            sink.out[~sink.out.any(1)] = torch.nan  # without a gradient there is no direction
            return torch.from_numpy(finished(sink.out, learnt))

    def aim(self, model: Any, queries: Sequence[Sequence[Example]]) -> Any:
        """Return the sketch of each group's mean gradient, float32 (groups, dimensions) on the CPU."""
        from xferbench_gradients.engine import Engine
        from xferbench_gradients.scoring import means, shares
        from xferbench_gradients.sketch import Sketch

        sketch = Sketch(self.dimensions, self.seed, self.projection)
        with Engine(model, self.layers, self.batch_tokens) as engine:
            asked = engine.plan([query for group in queries for query in group])
            bank = means(engine, asked, shares(queries, asked))
            return sum(sketch.apply(block, rows) for block, rows in bank.items()).float().cpu()
