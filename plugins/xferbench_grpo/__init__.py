"""Reinforcement learning from verifiable rewards by trl's GRPOTrainer, with LoRA by peft or of all weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from xferbench import Checkpoint, Example, Reward, UsageError, hookimpl


@dataclass(frozen=True)
class GRPO:
    """Group relative policy optimisation on the domain's own reward (Shao et al. 2024, arXiv 2402.03300; trl)."""

    name: ClassVar[str] = "grpo"
    needs_reward: ClassVar[bool] = True
    step_settings: ClassVar[tuple[str, ...]] = ("steps",)
    learning_rate: float = 1e-5
    steps: int = 100
    k: int = 8
    """Responses to each prompt: a group, whose rewards are compared with each other only."""
    batch_size: int = 64
    """Responses a step; a multiple of k."""
    temperature: float = 1.0
    top_p: float = 1.0
    max_completion: int = 256
    """Tokens of a response; what does not end by then is cut, and counted."""
    max_length: int = 2048
    """Tokens of prompt and response together; a longer prompt is left out, and counted."""
    clip: float = 0.2
    clip_high: float | None = None
    """Upper clip range; None: the same as clip."""
    kl: float = 0.0
    """Weight of the KL divergence to the start."""
    loss: str = "dapo"
    """trl's loss_type: dapo, grpo, bnpo, dr_grpo, ..."""
    lora: bool = True
    """False: all weights are trained and a whole model is saved."""
    rank: int = 16
    alpha: int = 32
    rslora: bool = False
    dropout: float = 0.0
    target_modules: str = "all-linear"
    """peft's names of the layers that get an adapter, joined by |."""
    schedule: str = "constant_with_warmup"
    warmup: float = 0.05
    weight_decay: float = 0.0
    vllm: bool = False
    """Generate with vLLM (needs CUDA and vllm installed)."""

    def __post_init__(self) -> None:
        for name in (
            "learning_rate",
            "steps",
            "batch_size",
            "temperature",
            "max_completion",
            "max_length",
            "rank",
            "alpha",
        ):
            if getattr(self, name) <= 0:
                raise UsageError(f"trainer grpo: {name} must be above 0, not {getattr(self, name)}")
        for name in ("warmup", "dropout", "weight_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"trainer grpo: {name} must be from 0 to below 1, not {getattr(self, name)}")
        if self.k < 2:
            raise UsageError(
                f"trainer grpo: k={self.k}: a group of one response has nothing to be compared with; k >= 2"
            )
        if self.batch_size % self.k:
            raise UsageError(f"trainer grpo: batch_size {self.batch_size} is not a multiple of k={self.k}")

    def train(
        self, start: Checkpoint, examples: Sequence[Example], reward: Reward | None, out: Path, seed: int
    ) -> Checkpoint:
        """Train from `start` on the prompts of the examples; their answers are seen by the reward only."""
        from xferbench_grpo.improve import improve

        if reward is None:
            raise UsageError("trainer grpo needs a domain with a reward")
        return improve(self, start, examples, reward, out, seed)


@hookimpl
def provide_trainers() -> list[type[GRPO]]:
    """Provide grpo."""
    return [GRPO]
