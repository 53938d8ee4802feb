"""The one package that knows lm-eval: any of its tasks, ours or a stock one, as a target.

lm-eval is used as a library, with the facts of its version 0.4.13 in mind: its response cache is not keyed by the
model (never used here), its index of tasks takes seconds (YAML files are loaded by path instead), it reseeds the
global generators (ours are put back), and it returns nothing when LOCAL_RANK is set (scrubbed for the call).
"""

import dataclasses
import hashlib
import json
import math
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from xferbench.api import Example, Item, Measurement, Output
from xferbench.errors import DataError, PluginError, UsageError, XferbenchError, unknown
from xferbench.hub import concerns_data, content, explain, inside, noted
from xferbench.lmeval import loading
from xferbench.lmeval.classes import first, named, picked
from xferbench.lmeval.engine import requests, unasked, undisturbed, vllm, wrapped
from xferbench.lmeval.files import loaded, manager, stock
from xferbench.models import Model, tokenizer, tokens

ALLOW = "--allow-code-execution (or HF_ALLOW_CODE_EVAL=1)"


def code_allowed() -> bool:
    """Tell whether the user allowed that code be run which a model wrote."""
    return os.environ.get("HF_ALLOW_CODE_EVAL") == "1"


@dataclass(frozen=True)
class LmEvalTask:
    """A target that lm-eval measures: a task YAML of a plugin, or a stock task by its own name."""

    settable: ClassVar[tuple[str, ...]] = (
        "metric", "filter", "num_fewshot", "batch_size", "backend", "draw", "draw_seed", *loading.KNOWN
    )  # fmt: skip
    name: str
    task: str
    """The path of a task YAML, or the name of a task that lm-eval ships."""
    group: str = "other"
    version: str = "1"
    domain: str | None = None
    """The domain that DIRECT trains on."""
    summary: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    metric: str | None = None
    """The metric that counts; None: the first that the task lists."""
    filter: str | None = None
    """The filter of lm-eval that counts; None: the first that the task lists."""
    num_fewshot: int | None = None
    """Solved examples put before each question; None: as the task says."""
    batch_size: int = 32
    """Prompts a batch, fixed, since it can move the last digits."""
    backend: str = "hf"
    """What answers: hf (transformers, the reference) or vllm (for a GPU; its last digits differ)."""
    draw: int | None = None
    """So many items drawn at random in place of all; a smaller draw is part of a larger one."""
    draw_seed: int = 0
    """Of the random draw: the same items for every checkpoint."""
    ask: Callable[[int | None], Sequence[Example]] | None = None
    """Returns held-out questions for scorers to aim at; None: the task's own validation, training or test questions."""
    classes: Callable[[Mapping[str, Any], str], tuple[str | None, str]] | None = None
    """Of an item and what was written: the class named (None: none of them) and the right one. None: the options of a
    multiple choice, and otherwise the answers as they stand where there are few different ones."""

    sources: tuple[str, ...] = ()
    """Further files, beside the YAML and the Python in its folder, that decide what is asked or how it is scored."""
    runs_code: bool = False
    """Its task runs what the model wrote, in a sandbox that the plugin brings; done only where the user allows it."""
    bits: int | None = None
    """Hold the base's weights in 4 (nf4) or 8 bits while it is measured (CUDA, bitsandbytes)."""
    attention: str | None = None
    """sdpa, eager or flash_attention_2 (CUDA, flash-attn); None: transformers' choice."""
    dtype: str | None = None
    """bfloat16, float16 or float32; None: bfloat16 where a GPU has it, else float32."""

    def __post_init__(self) -> None:
        loading.check_values(self)
        if self.draw is not None and (not isinstance(self.draw, int) or isinstance(self.draw, bool) or self.draw < 1):
            raise UsageError(f"target {self.name}: draw takes a whole number above 0 or none, not {self.draw}")

    @property
    def silent(self) -> tuple[str, ...]:
        """Settings that change nothing here, and are no part of an identity: what is not asked for."""
        unused = [name for name in loading.KNOWN if name not in self.loading]
        return (*unused, *(() if self.draw is not None else ("draw", "draw_seed")))

    @property
    def loading(self) -> dict[str, Any]:
        """How models.load is to hold the network that is measured; {}: as ever."""
        return loading.held(self)

    @property
    def needs_model(self) -> bool:
        """With vllm no network is loaded for it: the engine reads the checkpoint itself."""
        return self.backend == "hf"

    def fingerprint(self) -> str:
        """Hash the YAML, what it includes, the Python beside it, its pin, and the settings that change a score.

        Where a folder stands in for the hub, no pin counts: the bytes of its files do.
        """
        path = self._path()
        total = hashlib.sha256(path.read_bytes())
        texts = [path.read_text(encoding="utf-8")]
        for beside in sorted(path.parent.glob("*.py")):
            total.update(beside.read_bytes())
        for source in self.sources:
            try:
                total.update(Path(source).read_bytes())
            except OSError as error:
                raise DataError(f"target {self.name}: {source} cannot be read: {error.strerror}") from None
        for included in re.findall(r"^include:\s*(\S+)", texts[0], re.M):
            if (path.parent / included).is_file():
                total.update((path.parent / included).read_bytes())
                texts.append((path.parent / included).read_text(encoding="utf-8"))
        said = ("version", *(key for key in self.settable if key not in self.silent))
        total.update(json.dumps([getattr(self, key) for key in said]).encode())
        total.update(str(self.data.get("revision") or "").encode())
        read = re.findall(r"""^dataset_path:\s*["']?([^\s"']+)""", "\n".join(texts), re.M)
        for data in sorted({*read, str(self.data.get("id") or "")}):
            total.update(content(data).encode())
        return total.hexdigest()

    def check_device(self) -> None:
        """Refuse an engine or a way to hold the network that this machine has not."""
        loading.check_device(self)

    def check(self, tokenizer: Any, context: int, limit: int | None) -> None:
        """Raise DataError when the data cannot be had, there are no items, or an item does not fit the context."""
        if self.runs_code and not code_allowed():
            raise UsageError(f"target {self.name} runs code that the model writes, in a sandbox: {ALLOW} allows it")
        task = self._build()
        requests(task, tokenizer, *self._which(task, limit))
        longest, over = 0, 0
        for request in task.instances:
            tokens = len(tokenizer(str(request.args[0]))["input_ids"])
            if isinstance(request.args[1], dict):
                tokens += int(request.args[1].get("max_gen_toks", 256))
            else:
                tokens += len(tokenizer(str(request.args[1]), add_special_tokens=False)["input_ids"])
            longest, over = max(longest, tokens), over + (tokens > context)
        count = len(task.instances)
        task.instances.clear()
        if not count:
            raise DataError(f"target {self.name} has no items")
        if over:
            shots = task.config.num_fewshot
            fewer = f", or fewer examples in the prompt ({self.name}:num_fewshot=0)" if shots else ""
            raise DataError(
                f"target {self.name}: {over} of {count} requests need up to {longest} tokens, "
                f"the model takes {context}: choose a model with a longer context{fewer}"
            )

    def measure(self, model: Model, limit: int | None) -> Measurement:
        """Score `model` on the first `limit` items (None: all), as lm-eval itself would."""
        task = self._build()
        samples = self._samples(model, limit, task)
        measured = self._measurement(samples, task)
        outputs = self._outputs(samples, task, model.tokenizer, measured.metric)
        task.instances.clear()  # the task stays for the next checkpoint, its requests need not
        return dataclasses.replace(measured, outputs=outputs)

    def answers(self, model: Model, limit: int | None) -> list[tuple[Item, Example, str]]:
        """Return for each item its score, the question with the reference answer, and what `model` wrote.

        UsageError for a task whose answers are chosen and not written.
        """
        task = self._build()
        if task.OUTPUT_TYPE != "generate_until":
            raise UsageError(f"target {self.name} is {task.OUTPUT_TYPE}: its answers are chosen, so there is no text")
        samples = self._samples(model, limit, task)
        items = self._measurement(samples, task).items
        chosen = [row for row in samples if row["filter"] == samples[0]["filter"]]
        rows = zip(items, sorted(chosen, key=lambda row: row["doc_id"]), strict=True)
        return [(item, self._question(task, row["doc"], item.id), row["resps"][0][0]) for item, row in rows]

    def _samples(self, model: Model, limit: int | None, task: Any) -> list[dict[str, Any]]:
        from lm_eval import simple_evaluate

        words = model.tokenizer if self.needs_model else tokenizer(model.checkpoint.base)
        first_ones, drawn = self._which(task, limit)
        with undisturbed(), unasked():
            found = simple_evaluate(
                model=wrapped(model, self.batch_size) if self.needs_model else vllm(model.checkpoint, self.dtype),
                tasks=[task],
                task_manager=manager(),
                limit=first_ones,
                samples=None if drawn is None else {task.config.task: drawn},
                num_fewshot=self.num_fewshot,
                bootstrap_iters=0,
                apply_chat_template=bool(getattr(words, "chat_template", None)),
                log_samples=True,
                confirm_run_unsafe_code=self.runs_code and code_allowed(),
            )
        if found is None:
            raise PluginError(
                f"lm-eval returned nothing for {self.name}: it thinks that it is one of several processes"
            )
        (samples,) = found["samples"].values()
        return list(samples)

    def _which(self, task: Any, limit: int | None) -> tuple[int | None, list[int] | None]:
        """The first so many items (None: all), or the places of those drawn at random, of which `limit` as well."""
        if self.draw is None:
            return limit, None
        count = len(task.eval_docs)
        if self.draw > count:
            raise UsageError(f"target {self.name} has {count} items, and draw={self.draw} asks for more")
        drawn = random.Random(f"items {self.draw_seed}").sample(range(count), count)[: self.draw]
        return None, sorted(drawn[:limit])

    def texts(self, limit: int | None) -> list[tuple[str, str]]:
        """Return (id, question) of the first `limit` items, as `measure` names them: for contamination."""
        from lm_eval.utils import handle_non_serializable, hash_string

        task = self._build()
        seen: Counter[tuple[str, str]] = Counter()
        found = []
        first_ones, drawn = self._which(task, limit)
        for _, doc in task.doc_iterator(limit=first_ones, samples=drawn):
            text = str(task.doc_to_text(doc))
            whole = json.dumps(doc, indent=2, default=handle_non_serializable, ensure_ascii=False)
            found.append((_name(doc, hash_string(whole), text, seen), text))
        return found

    def queries(self, limit: int | None) -> Sequence[Example]:
        """Return questions with their answers: from the plugin, or the task's validation, training or test split."""
        if self.ask is not None:
            return self.ask(limit)
        task = self._build()
        docs = next(
            d()
            for has, d in (
                (task.has_validation_docs(), task.validation_docs),
                (task.has_training_docs(), task.training_docs),
                (True, task.test_docs),
            )
            if has
        )
        found = []
        for number, doc in enumerate(docs):
            if limit is not None and number >= limit:
                break
            found.append(Example(f"{self.name}-{number}", str(task.doc_to_text(doc)), _answer(task, doc), self.name))
        return found

    def questions(self) -> Iterator[Example]:
        """Yield the test items themselves: the id that an Item of theirs has (but for #2, ... of repeated ones)."""
        from lm_eval.utils import handle_non_serializable, hash_string

        task = self._build()
        for doc in task.eval_docs:
            text = json.dumps(doc, indent=2, default=handle_non_serializable, ensure_ascii=False)
            name = str(doc["id"]) if isinstance(doc, dict) and "id" in doc else hash_string(text)[:16]
            yield self._question(task, doc, name)

    def _question(self, task: Any, doc: Any, name: str) -> Example:
        return Example(name, str(task.doc_to_text(doc)), _answer(task, doc), self.name)

    def _path(self) -> Path:
        path = Path(self.task)
        return path if path.suffix in (".yaml", ".yml") else stock()[self.task]

    def _build(self) -> Any:
        """Load the task: the YAML by its path, so that a broken one is an error and not merely absent.

        A process loads a task and its data once, for all the checkpoints that it measures.
        """
        path = self._path()
        if not path.is_file():
            raise PluginError(f"target {self.name}: no such task file {path}")
        with undisturbed(), inside():
            try:
                tasks = loaded(str(path), self.data.get("revision"), self.fingerprint(), os.getcwd())
            except Exception as error:
                raise self._cause(error) from error
        if len(tasks) != 1:
            raise UsageError(
                f"target {self.name} is a group of {len(tasks)} tasks; name one: {', '.join(list(tasks)[:8])}"
            )
        (task,) = tasks.values()
        data = next(iter((getattr(task, "dataset", None) or {}).values()), None)
        noted(self.data.get("id") or task.config.dataset_path or self.name, self.data.get("revision"), data)
        if task.config.unsafe_code and not self.runs_code:
            raise UsageError(f"target {self.name} runs what the model writes without a sandbox: never done here")
        if self.num_fewshot is not None:
            task.set_config(key="num_fewshot", value=self.num_fewshot)
        elif task.config.num_fewshot is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=1234)
        return task

    def _cause(self, error: Exception) -> XferbenchError:
        import yaml

        if isinstance(error, XferbenchError):
            return error
        path = self._path()
        keys = dict(re.findall(r"^(dataset_path|\w+_split):\s*(\S+)", path.read_text(encoding="utf-8"), re.M))
        data = self.data or {"id": keys.get("dataset_path", self.name)}
        if concerns_data(error):
            return explain(error, data)
        where, text = data.get("id", self.name), " ".join(str(error).split())[:200]
        if isinstance(error, KeyError) and error.args[:1] and error.args[0] in keys.values():
            return DataError(f"target {self.name}: {where} has no split {text}; did its maker rename it?")
        if isinstance(error, KeyError) or type(error).__name__ == "UndefinedError":
            column = text.removesuffix(" is undefined")
            return DataError(f"target {self.name}: {where} has no column {column}; did its maker rename it?")
        if isinstance(error, IndexError) or "corresponds to no data" in text:
            return DataError(f"target {self.name} has no items: the split of {where} that it asks is empty")
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        what = "is not valid YAML" if isinstance(error, yaml.YAMLError) else "cannot be loaded"
        return PluginError(f"target {self.name}: the task {path.name} {what}: {text}")

    def _measurement(self, samples: list[dict[str, Any]], task: Any) -> Measurement:
        known = list(dict.fromkeys(name for row in samples[:1] for name in row["metrics"]))
        filters = list(dict.fromkeys(row["filter"] for row in samples))
        metric, chosen = self.metric or known[0], self.filter or filters[0]
        if metric not in known:
            raise unknown(f"metric of {self.name}", metric, known)
        if chosen not in filters:
            raise unknown(f"filter of {self.name}", chosen, filters)
        if not all(isinstance(row[metric], (int, float)) for row in samples):
            raise UsageError(f"target {self.name}: metric {metric} has no score for each item; choose one of {known}")
        seen: Counter[tuple[str, str]] = Counter()
        items = []
        for row in sorted((row for row in samples if row["filter"] == chosen), key=lambda row: row["doc_id"]):
            prompt = row["prompt_hash"][:16]
            items.append(Item(_name(row["doc"], row["doc_hash"], prompt, seen), prompt, float(row[metric])))
        if not items:
            raise DataError(f"target {self.name} has no items")
        n = len(items)
        mean = math.fsum(item.score for item in items) / n
        spread = math.fsum((item.score - mean) ** 2 for item in items)
        return Measurement(metric, mean, math.sqrt(spread / max(1, n - 1) / n), n, tuple(items))

    def _outputs(self, samples: list[dict[str, Any]], task: Any, tokenizer: Any, metric: str) -> tuple[Output, ...]:
        """What came out for each item; classes where the task has some."""
        chosen = self.filter or samples[0]["filter"]
        rows = sorted((row for row in samples if row["filter"] == chosen), key=lambda row: row["doc_id"])
        asked = [len(tokenizer(str(row["arguments"][0][0]))["input_ids"]) for row in rows]
        if task.OUTPUT_TYPE == "multiple_choice":
            options = picked(rows, task, metric)
            return tuple(Output(n, None, *classes) for n, classes in zip(asked, options, strict=True))
        if task.OUTPUT_TYPE != "generate_until":
            return tuple(map(Output, asked))
        written = [str(row["resps"][0][0]) for row in rows]
        if self.classes is not None:
            classes: list[tuple[str | None, str | None]] = [
                self.classes(row["doc"], text) for row, text in zip(rows, written, strict=True)
            ]
        else:
            answers, right = ([str(first(row[key])) for row in rows] for key in ("filtered_resps", "target"))
            classes = named(answers, right)
        lengths = [tokens(tokenizer, text) for text in written]
        return tuple(Output(n, length, *one) for n, length, one in zip(asked, lengths, classes, strict=True))


def stock_target(name: str) -> LmEvalTask:
    """Return the target `lmeval:NAME`: the task that lm-eval ships under that name."""
    task = name.removeprefix("lmeval:")
    if task not in (known := stock()):
        raise unknown("lm-eval task", task, known)
    return LmEvalTask(name, task, summary=f"the lm-eval task {task}, as it is", data={"lm_eval": task})


def _name(doc: Any, digest: str, prompt: str, seen: Counter[tuple[str, str]]) -> str:
    """Return the id of an item: its data set's own, or a hash; a second of one id and prompt is told apart."""
    name = str(doc["id"]) if isinstance(doc, dict) and "id" in doc else digest[:16]
    seen[name, prompt] += 1
    return name + (f"#{seen[name, prompt]}" if seen[name, prompt] > 1 else "")


def _answer(task: Any, doc: Any) -> str:
    target = task.doc_to_target(doc)
    if task.OUTPUT_TYPE == "multiple_choice":
        choices = task.doc_to_choice(doc)
        target = choices[target] if isinstance(target, int) else target
    return str(target[0] if isinstance(target, (list, tuple)) else target)
