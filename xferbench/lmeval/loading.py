"""How the network that is measured is held, and by which engine: bits of its weights, attention, numbers."""

from collections.abc import Iterator
from typing import Any

from xferbench.cuda import check_cuda
from xferbench.errors import UsageError, unknown

BACKENDS = ("hf", "vllm")
KNOWN: dict[str, tuple[Any, ...]] = {
    "bits": (4, 8),
    "attention": ("sdpa", "eager", "flash_attention_2"),
    "dtype": ("bfloat16", "float16", "float32"),
}
"""The settings, and the values that each takes; None: as a model is loaded anyway."""

Target = Any
"""A target with backend and the settings above."""


def held(target: Target) -> dict[str, Any]:
    """Return those of the settings that are used: the keywords of models.load."""
    return {name: getattr(target, name) for name in KNOWN if getattr(target, name) is not None}


def check_values(target: Target) -> None:
    """Refuse values that exist nowhere, and what an engine does not take."""
    if target.backend not in BACKENDS:
        raise unknown(f"backend of target {target.name}", target.backend, BACKENDS)
    for name, value in held(target).items():
        known = KNOWN[name]
        if type(value) is not type(known[0]) or value not in known:
            raise UsageError(f"target {target.name}: {name} is {', '.join(map(str, known))} or none, not {value}")
        if target.backend == "vllm" and name != "dtype":
            raise UsageError(f"target {target.name}: {name}={value} is for backend=hf; vllm goes its own way")
    if target.attention == "flash_attention_2" and target.dtype == "float32":
        raise UsageError(f"target {target.name}: attention=flash_attention_2 knows bfloat16 and float16, not float32")


def check_device(target: Target) -> None:
    """Refuse what this machine cannot do: few bits, flash attention and vLLM need CUDA and a package each."""
    check_cuda(f"target {target.name}", _asked(target))


def _asked(target: Target) -> Iterator[tuple[str, str]]:
    if target.backend == "vllm":
        yield "backend=vllm", "vllm"
    if target.bits:
        yield f"bits={target.bits}", "bits"
    if target.attention == "flash_attention_2":
        yield f"attention={target.attention}", target.attention
