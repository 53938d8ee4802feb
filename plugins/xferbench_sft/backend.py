"""How a base is held and computed while it is trained: the bits of its weights and the attention's implementation."""

from collections.abc import Iterable
from typing import Any

from xferbench import UsageError, check_cuda

ATTENTION = ("auto", "sdpa", "eager", "flash_attention_2")
Settings = Any
"""A trainer's dataclass with bits and attention (and lora)."""


def check_backend(settings: Settings) -> None:
    """Refuse values that exist nowhere, and weights of few bits that are to be trained themselves."""
    who = f"trainer {settings.name}"
    if settings.bits not in (None, 4, 8) or isinstance(settings.bits, bool | float):
        raise UsageError(f"{who}: bits is 4, 8 or none, not {settings.bits}")
    if settings.bits and not settings.lora:
        raise UsageError(f"{who}: bits={settings.bits} holds the weights still, so it is for adapters (lora=true)")
    if settings.attention not in ATTENTION:
        known = f"{', '.join(ATTENTION[:-1])} or {ATTENTION[-1]}"
        raise UsageError(f"{who}: attention is {known}, not {settings.attention}")


def check_device(settings: Settings) -> None:
    """Refuse what this machine cannot do: few bits, flash attention and vLLM need CUDA and a package each."""
    check_cuda(f"trainer {settings.name}", _asked(settings))


def _asked(settings: Settings) -> Iterable[tuple[str, str]]:
    if settings.bits:
        yield f"bits={settings.bits}", "bits"
    if settings.attention == "flash_attention_2":
        yield f"attention={settings.attention}", settings.attention
    if getattr(settings, "vllm", False):
        yield "vllm=true", "vllm"
