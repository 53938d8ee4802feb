"""The one file that loads weights: checks a model before anything starts, loads it, and turns examples into tokens.

Trainers, scorers and targets all encode an example with `encode`, so what is scored is exactly what was learnt.
"""

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from xferbench.api import Checkpoint, Example
from xferbench.errors import DataError, ModelError

SUMS = "SHA256SUMS.json"
"""A model may carry the checksums of its files: {name: sha256}."""
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json", "vocab.txt", "spiece.model")
IGNORED = ("*.msgpack", "*.h5", "*.ot", "*.onnx", "*.gguf", "*.md", "*.png")


@dataclass(frozen=True)
class Model:
    """A loaded model: `network` is a transformers model, wrapped by peft where the checkpoint has an adapter."""

    network: Any
    tokenizer: Any
    checkpoint: Checkpoint

    @property
    def context(self) -> int:
        """The most tokens that the network takes, prompt and answer together."""
        return context(self.network.config.to_dict())


@dataclass(frozen=True)
class Encoded:
    """Token ids of one example; the first `prompt` of them are given, the rest (the completion) is to be learnt."""

    ids: tuple[int, ...]
    prompt: int


def context(config: dict[str, Any]) -> int:
    """Return the context length that a model's configuration states, in tokens (2048 where it states none)."""
    for key in ("max_position_embeddings", "n_positions", "max_seq_len"):
        if isinstance(config.get(key), int):
            return int(config[key])
    return 2048


def locate(model: str) -> Path:
    """Return the local folder of `model` (a folder, or a hub id), fetching it from the hub if it is not cached.

    Raises ModelError in one line: folder missing, no weights, no tokenizer, hub out of reach, gated without a token.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _complete(folder)
    if (mirrored := Path(os.environ.get("XFERBENCH_HUB", ""), model)).is_dir():  # --hub
        return _complete(mirrored)
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise ModelError(f"model folder {model} does not exist (a hub id has the form organisation/name)")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return _complete(Path(snapshot_download(model, ignore_patterns=list(IGNORED))))
    except GatedRepoError:
        raise ModelError(f"model {model} is gated: accept its terms on its hub page, then set HF_TOKEN") from None
    except RepositoryNotFoundError:
        raise ModelError(f"model {model} is neither a folder here nor a model on the hub") from None
    except (LocalEntryNotFoundError, OSError):
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0") else ""
        raise ModelError(
            f"model {model} is not a folder here, not in the hub's cache, and the hub cannot be reached{offline}: "
            f"fetch it where there is a network, or give --model a folder"
        ) from None


def adapted(folder: Path) -> Checkpoint:
    """Return the checkpoint of an adapter's folder: the model that it says it is for, and itself."""
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        return Checkpoint(str(config["base_model_name_or_path"]), str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} is no adapter: adapter_config.json: {type(error).__name__}: {error}") from None


def _complete(folder: Path) -> Path:
    if not (folder / "config.json").is_file() and (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"model folder {folder} is an adapter and no whole model: --checkpoint NAME={folder} measures it"
        )
    if not (folder / "config.json").is_file():
        raise ModelError(f"model folder {folder} has no config.json: is it a Hugging Face model?")
    if not any(any(folder.glob(pattern)) for pattern in WEIGHTS):
        raise ModelError(f"model folder {folder} has no weights (looked for {', '.join(WEIGHTS)})")
    if not any((folder / name).is_file() for name in TOKENIZER):
        raise ModelError(f"model folder {folder} has no tokenizer (looked for {', '.join(TOKENIZER[:4])})")
    try:
        json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{folder}/config.json cannot be read: {error}") from None
    return folder


def parameters(folder: Path) -> int | None:
    """Return how many numbers the safetensors files of a model hold, tied weights once; None where there are none."""
    from safetensors import SafetensorError, safe_open

    total = 0
    try:
        for path in folder.glob("*.safetensors"):
            with safe_open(path, framework="np") as weights:
                total += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    return total or None


def fingerprint(folder: Path, known: dict[str, str] | None = None) -> str:
    """Return a hash of weights, configuration and tokenizer: the identity of a model, wherever it lies.

    A folder that lists checksums (SHA256SUMS.json) must agree with them; ModelError names the file that does not.
    `known` maps "path size mtime" to the digest of a file that was hashed before; it is filled in.
    """
    known = {} if known is None else known
    total = hashlib.sha256()
    digests: dict[str, str] = {}
    skip = ("README.md", SUMS, ".gitattributes")
    for path in sorted(p for p in folder.iterdir() if p.is_file() and p.name not in skip):
        state = path.stat()
        key = f"{path.resolve()} {state.st_size} {state.st_mtime_ns}"
        if key not in known:
            with path.open("rb") as file:
                known[key] = hashlib.file_digest(file, "sha256").hexdigest()
        digests[path.name] = known[key]
        total.update(f"{path.name} {known[key]}\n".encode())
    if (folder / SUMS).is_file():
        for name, wanted in json.loads((folder / SUMS).read_text(encoding="utf-8")).items():
            if name not in skip and digests.get(name) != wanted:
                fault = f"is damaged: its checksum is not the one in {SUMS}" if name in digests else "is missing"
                raise ModelError(f"{folder / name} {fault}; install or fetch the model again")
    return total.hexdigest()


@lru_cache(maxsize=1)
def _tokenizer(base: str) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base)
    except Exception as error:  # transformers raises anything here, from KeyError to OSError
        raise ModelError(f"the tokenizer of {base} cannot be loaded: {error}") from error
    config = json.loads((Path(base) / "config.json").read_text(encoding="utf-8")) if Path(base).is_dir() else {}
    # Some tokenizer classes add a pad token of their own, beyond the rows of the embedding.
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id >= config.get("vocab_size", math.inf):
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def tokenizer(base: str) -> Any:
    """Load the tokenizer of a model folder; one without a pad token pads with its end-of-text token."""
    return _tokenizer(base)


def load(
    checkpoint: Checkpoint,
    trainable: bool = False,
    bits: int | None = None,
    attention: str | None = None,
    dtype: str | None = None,
) -> Model:
    """Load a checkpoint, in eval mode unless `trainable`.

    `bits`: hold the base's weights in 4 or 8 bits (bitsandbytes), ready for an adapter on them to be trained.
    `attention`: transformers' attn_implementation; None: its own choice.
    `dtype`: of the weights, by torch's name; None: bfloat16 on a GPU that has it, float32 elsewhere.
    """
    import torch
    from transformers import AutoModelForCausalLM

    cuda = torch.cuda.is_available()
    usual = torch.bfloat16 if cuda and torch.cuda.is_bf16_supported() else torch.float32
    numbers = getattr(torch, dtype) if dtype else usual
    more = {"attn_implementation": attention} if attention else {}
    more |= _narrow(bits, numbers) if bits else {}
    try:
        network: Any = AutoModelForCausalLM.from_pretrained(checkpoint.base, dtype=numbers, **more)
    except Exception as error:
        raise ModelError(f"model {checkpoint.base} cannot be loaded: {str(error).splitlines()[0]}") from error
    if bits:
        from peft import prepare_model_for_kbit_training

        network = prepare_model_for_kbit_training(network, use_gradient_checkpointing=False)  # trl sees to that
    else:
        network = network.to("cuda" if cuda else "cpu")
    return wear(network, tokenizer(checkpoint.base), checkpoint, trainable)


def _narrow(bits: int, dtype: Any) -> dict[str, Any]:
    """How transformers loads weights of few bits: those of QLoRA (Dettmers et al. 2023, arXiv 2305.14314), or int8."""
    import torch
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=bits == 4,
        load_in_8bit=bits == 8,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    where = torch.cuda.current_device() if torch.cuda.is_available() else "cpu"
    return {"quantization_config": config, "device_map": {"": where}}


def wear(network: Any, tokenizer: Any, checkpoint: Checkpoint, trainable: bool = False) -> Model:
    """Put the adapter of a checkpoint, if it has one, on the network of its base; `unload()` takes it off again."""
    if checkpoint.adapter is not None:
        from peft import PeftModel

        network = PeftModel.from_pretrained(network, checkpoint.adapter, is_trainable=trainable)
    elif not trainable:
        network.requires_grad_(False)
    if not getattr(network, "is_quantized", False):  # such a one lies where it was loaded
        network = network.to(network.device)
    return Model(network.train() if trainable else network.eval(), tokenizer, checkpoint)


def encode(tokenizer: Any, example: Example, max_length: int | None = None) -> Encoded:
    """Turn one example into tokens: as a user's and an assistant's turn where the tokenizer has a chat template.

    Without a template the text is the prompt, a space where neither side has one, the answer, and the end token.
    An example longer than `max_length` tokens is cut at its end. Raises DataError when nothing is left to learn.
    """
    if getattr(tokenizer, "chat_template", None):
        user = [{"role": "user", "content": example.prompt}]
        both = [*user, {"role": "assistant", "content": example.answer.strip()}]
        prompt = tokenizer.apply_chat_template(user, add_generation_prompt=True, tokenize=True, return_dict=True)
        whole = tokenizer.apply_chat_template(both, tokenize=True, return_dict=True)["input_ids"]
        prompt = prompt["input_ids"]
        answer = example.answer.strip()
    else:
        gap = "" if example.prompt[-1:].isspace() or example.answer[:1].isspace() else " "
        answer = gap + example.answer
        prompt = tokenizer(example.prompt)["input_ids"]
        if prompt and prompt[-1] == tokenizer.eos_token_id:
            prompt = prompt[:-1]
        whole = _ended(tokenizer, tokenizer(example.prompt + answer)["input_ids"])
    if whole[: len(prompt)] != prompt:
        # The tokens of the joined text cross the border: what is learnt must follow the prompt as it will be asked.
        whole = prompt + _ended(tokenizer, tokenizer(answer, add_special_tokens=False)["input_ids"])
    ids = tuple(whole[:max_length])
    if len(ids) <= len(prompt):
        raise DataError(
            f"example {example.id}: {len(prompt)} tokens of prompt leave no room for an answer in {max_length}"
        )
    return Encoded(ids, len(prompt))


def tokens(tokenizer: Any, text: str) -> int:
    """Count the tokens of an answer alone: no blanks around it, no end token."""
    return len(tokenizer(text.strip(), add_special_tokens=False)["input_ids"])


def _ended(tokenizer: Any, ids: Sequence[int]) -> list[int]:
    ids = list(ids)
    end = tokenizer.eos_token_id
    return ids if end is None or (ids and ids[-1] == end) else [*ids, end]
