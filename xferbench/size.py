"""How large a causal language model is, by its configuration or its files: parameters, and bytes of memory at work."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BF16, ADAM = 2, 16
"""Bytes of a weight in bfloat16; of a trained adapter weight in float32 with its gradient and Adam's two moments."""
WHOLE = 8
"""Bytes of a weight that is trained in bfloat16: weight, gradient and two moments."""


@dataclass(frozen=True)
class Shape:
    """A decoder of the Llama family (Llama, Qwen, Mistral): what its config.json says of its size."""

    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    tied: bool = True
    qk_norm: bool = False
    bias: bool = False

    @property
    def linear(self) -> list[tuple[int, int]]:
        """Inputs and outputs of the linear maps of one layer."""
        wide, narrow = self.heads * self.head, self.kv_heads * self.head
        attention = [(self.hidden, wide), (self.hidden, narrow), (self.hidden, narrow), (wide, self.hidden)]
        return [*attention, (self.hidden, self.inner), (self.hidden, self.inner), (self.inner, self.hidden)]

    @property
    def parameters(self) -> int:
        """All weights."""
        layer = sum(i * o for i, o in self.linear) + 2 * self.hidden + (2 * self.head if self.qk_norm else 0)
        layer += (self.heads + 2 * self.kv_heads) * self.head if self.bias else 0
        return self.layers * layer + self.hidden + self.vocabulary * self.hidden * (1 if self.tied else 2)

    def adapter(self, rank: int) -> int:
        """Weights of a LoRA adapter on every linear map (Hu et al. 2021)."""
        return self.layers * sum(rank * (i + o) for i, o in self.linear)

    def flops(self, tokens: float, length: float, passes: int) -> float:
        """Floating-point operations of `passes` times a forward pass (2 a weight and token, and the attention)."""
        attention = 2 * self.layers * self.heads * self.head * length
        return passes * tokens * (2 * self.parameters + attention)

    def training_bytes(self, tokens: float, rank: int, checkpointing: bool) -> float:
        """Memory of one training step on `tokens` at a time; rank 0: all weights are trained.

        Activations are 34 bytes a token, layer and hidden unit (Korthikanti et al. 2022, without the attention matrix,
        which is never kept), or 2 with checkpointing and one layer whole; the logits are held in 16 and 32 bits.
        """
        weights = BF16 * self.parameters + ADAM * self.adapter(rank) if rank else WHOLE * self.parameters
        one = 34 * self.hidden * tokens
        acts = 2 * self.hidden * self.layers * tokens + one if checkpointing else self.layers * one
        return weights + acts + 10 * self.vocabulary * tokens

    def generating_bytes(self, tokens: float) -> float:
        """Memory of generating with `tokens` in the cache."""
        return BF16 * self.parameters + self.cache_bytes(tokens)

    def cache_bytes(self, tokens: float) -> float:
        """Memory of the keys and values of so many tokens."""
        return tokens * self.layers * 2 * BF16 * self.kv_heads * self.head


def shape(config: Mapping[str, Any]) -> Shape | None:
    """Read a config.json; None where it is of another family."""
    try:
        heads = int(config["num_attention_heads"])
        return Shape(
            int(config["hidden_size"]), int(config["intermediate_size"]), int(config["num_hidden_layers"]), heads,
            int(config.get("num_key_value_heads") or heads),
            int(config.get("head_dim") or config["hidden_size"] // heads), int(config["vocab_size"]),
            bool(config.get("tie_word_embeddings", False)),
            bool(config.get("qk_norm", str(config.get("model_type", "")).startswith("qwen3"))),
            str(config.get("model_type", "")) == "qwen2",
        )  # fmt: skip
    except (KeyError, TypeError, ValueError):
        return None


def of_folder(folder: str) -> Shape | None:
    """Read the shape of a model that is at hand."""
    path = Path(folder) / "config.json"
    return shape(json.loads(path.read_text(encoding="utf-8"))) if folder and path.is_file() else None
