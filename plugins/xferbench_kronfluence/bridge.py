"""From examples and a loaded network to kronfluence's Analyzer and back."""

import copy
import tempfile
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from xferbench import DataError, Encoded, Example, UsageError, encode


def influence(scorer: Any, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
    """Return the EK-FAC influence of each example on each group (examples, groups), float64."""
    try:
        from kronfluence.analyzer import Analyzer, prepare_model
        from kronfluence.arguments import FactorArguments, ScoreArguments
    except ImportError:
        raise UsageError("scorer ekfac needs kronfluence: pip install 'xferbench[kronfluence]'") from None
    if scorer.fisher not in ("true", "empirical"):
        raise UsageError(f"scorer ekfac has no fisher {scorer.fisher!r} (known: true, empirical)")
    # kronfluence wraps the layers where they are, and leaves them wrapped.
    network = copy.deepcopy(model.network).eval()
    task = _task(_tracked(network))
    rows, learnt = _encoded(model, examples, "examples")
    asked = [_encoded(model, group, "queries")[1] for group in queries]
    network = prepare_model(network, task)
    width = scorer.batch_size
    found = np.full((len(examples), len(queries)), np.nan)
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices):
        torch.manual_seed(scorer.seed)
        analyzer = Analyzer("scores", network, task, cpu=not devices, output_dir=folder, disable_tqdm=True)
        settings = FactorArguments(strategy="ekfac", use_empirical_fisher=scorer.fisher == "empirical")
        train = _Rows(learnt)
        analyzer.fit_all_factors("ekfac", train, per_device_batch_size=width, factor_args=settings)
        # None: a tenth of the mean eigenvalue of each layer.
        wanted = ScoreArguments(damping_factor=None, aggregate_query_gradients=True)
        for column, group in enumerate(asked):
            name = f"group{column}"
            analyzer.compute_pairwise_scores(
                name, "ekfac", _Rows(group), train, per_device_query_batch_size=width,
                per_device_train_batch_size=width, score_args=wanted, overwrite_output_dir=True,
            )  # fmt: skip
            scores = analyzer.load_pairwise_scores(name)
            found[rows, column] = scores["all_modules"].double().numpy()[0] / len(group)
    broken = [examples[row].id for row in rows if not np.isfinite(found[row]).all()]
    if broken:
        found[~np.isfinite(found).all(1)] = np.nan
        text = f"{len(broken)} examples have no finite score, score nan: {', '.join(broken[:10])}"
        warnings.warn(text, stacklevel=2)
    return found


def _tracked(network: Any) -> list[str]:
    """Return the names of the linear layers A and B of every LoRA layer."""
    parts = [
        name
        for name, module in network.named_modules()
        if (".lora_A." in name or ".lora_B." in name) and type(module) is torch.nn.Linear
    ]
    if not parts:
        kinds = ", ".join(sorted({type(module).__name__ for module in network.modules()}))
        raise UsageError(f"scorer ekfac needs LoRA on linear layers; kinds of layer found: {kinds}")
    return parts


def _encoded(model: Any, given: Sequence[Example], what: str) -> tuple[list[int], list[Encoded]]:
    """Return places and tokens of the examples that leave an answer to learn; warn of the others."""
    rows, found, skipped = [], [], []
    for row, example in enumerate(given):
        try:
            found.append(encode(model.tokenizer, example, model.context))
            rows.append(row)
        except DataError:
            skipped.append(example.id)
    if skipped:
        text = f"{len(skipped)} of {len(given)} {what} leave no answer to learn: {', '.join(skipped[:10])}"
        warnings.warn(text, stacklevel=2)
    if not found:
        raise DataError(f"none of the {what} can be used")
    return rows, found


class _Rows(torch.utils.data.Dataset[Any]):
    """Examples padded on the right to the longest, as kronfluence's loader wants them."""

    def __init__(self, given: Sequence[Encoded]) -> None:
        self.given, self.longest = given, max(len(one.ids) for one in given)

    def __len__(self) -> int:
        return len(self.given)

    def __getitem__(self, row: int) -> dict[str, Any]:
        one = self.given[row]
        rest = self.longest - len(one.ids)
        ids = torch.tensor([*one.ids, *[one.ids[-1]] * rest])
        mask = torch.tensor([1] * len(one.ids) + [0] * rest)
        place = torch.arange(self.longest)
        return {"ids": ids, "mask": mask, "labels": ids.where((place >= max(one.prompt, 1)) & (mask > 0), -100)}


def _task(names: list[str]) -> Any:
    from kronfluence.task import Task

    class Answers(Task):
        """The loss of an example is the mean over its learnt tokens; a batch's is the sum over examples."""

        def compute_train_loss(self, batch: Any, model: Any, sample: bool = False) -> Any:
            logits = model(input_ids=batch["ids"], attention_mask=batch["mask"], use_cache=False).logits[:, :-1].float()
            labels = batch["labels"][:, 1:]
            learnt = labels >= 0
            counts = learnt.sum(1, keepdim=True).expand_as(labels)[learnt]
            if not sample:
                return (cross_entropy(logits[learnt], labels[learnt], reduction="none") / counts).sum()
            # Drawn labels are independent from token to token, so 1 / sqrt(n) gives the Fisher of the mean loss.
            drawn = torch.multinomial(torch.softmax(logits[learnt].detach(), -1), 1)[:, 0]
            return (cross_entropy(logits[learnt], drawn, reduction="none") / counts.sqrt()).sum()

        def compute_measurement(self, batch: Any, model: Any) -> Any:
            return self.compute_train_loss(batch, model)

        def get_influence_tracked_modules(self) -> list[str]:
            return names

        def get_attention_mask(self, batch: Any) -> Any:
            return batch["mask"]

    return Answers()
