"""What needs a card: few bits, flash attention and vLLM are refused where there is none, everywhere in one way."""

from collections.abc import Iterable
from importlib.util import find_spec

from xferbench.errors import UsageError

PACKAGES = {
    "bits": ("bitsandbytes", "bitsandbytes"),
    "flash_attention_2": ("flash_attn", "flash-attn"),
    "vllm": ("vllm", "vllm"),
}
"""The module and the package behind what is no part of torch and transformers."""


def check_cuda(who: str, asked: Iterable[tuple[str, str]]) -> None:
    """Raise UsageError for the first of `asked` that this machine cannot do.

    who: what asks, as the message names it ("trainer sft"). asked: pairs of a setting as it was said ("bits=4") and
    what it needs: "bits", "flash_attention_2" or "vllm". Nothing asked: nothing is imported.
    """
    for said, needs in asked:
        module, package = PACKAGES[needs]
        if find_spec(module) is None:
            raise UsageError(f"{who}: {said} needs the package {package} (pip install {package}), and CUDA")
        import torch

        if not torch.cuda.is_available():
            raise UsageError(f"{who}: {said} needs CUDA, and no card is seen here: leave it out")
