"""The training itself: prompts and the domain's reward into trl's GRPOTrainer, adapter and reward curve out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from xferbench import Checkpoint, DataError, Example, Reward, StepError, encode
from xferbench_grpo.judge import Judge
from xferbench_sft.network import Report, begin, common, log, save, spent

if TYPE_CHECKING:
    from xferbench_grpo import GRPO


def improve(
    settings: "GRPO", start: Checkpoint, examples: Sequence[Example], reward: Reward, out: Path, seed: int
) -> Checkpoint:
    """Train and save; return the new checkpoint (an adapter folder, or a folder with the whole model)."""
    model = begin(settings, start, seed)
    room = min(settings.max_length, model.context) - settings.max_completion
    fitting = [one for one in examples if encode(model.tokenizer, one).prompt <= room]
    prompts = settings.batch_size // settings.k
    if len(fitting) < prompts:
        raise DataError(
            f"grpo needs at least {prompts} prompts a step that fit {room} tokens; there are {len(fitting)}"
        )
    judge = Judge(fitting, reward)
    chat = bool(getattr(model.tokenizer, "chat_template", None))
    trainer = GRPOTrainer(
        model=model.network,
        reward_funcs=judge,
        args=_config(settings, out, seed),
        train_dataset=Dataset.from_list([_row(i, one, chat) for i, one in enumerate(fitting)]),
        processing_class=model.tokenizer,
        callbacks=[Report()],
    )
    trainer.train()
    if judge.errors and judge.judged == 0:
        name, text = next(iter(judge.errors.items()))
        raise StepError(f"the reward failed on every response, first on {name}: {text}")
    made = save(settings, model, out)
    history = [row for row in trainer.state.log_history if "reward" in row]
    tokens = int(history[-1].get("num_tokens", 0)) if history else 0
    fate = {"dropped": len(examples) - len(fitting), "cut": 0, "reward_errors": len(judge.errors)}
    log([*judge.curve, *_clipped(history)], spent(settings, model, trainer.state.global_step, tokens) | fate, out)
    return made


def _row(index: int, example: Example, chat: bool) -> dict[str, Any]:
    prompt: Any = [{"role": "user", "content": example.prompt}] if chat else example.prompt
    return {"prompt": prompt, "index": index}


def _clipped(history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The share of responses that did not end by themselves, step by step."""
    key = "completions/clipped_ratio"
    return [{"step": row["step"], "unended": row[key], "loss": row.get("loss")} for row in history if key in row]


def _config(settings: "GRPO", out: Path, seed: int) -> GRPOConfig:
    return GRPOConfig(
        **common(settings, out, seed),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch_size,
        num_generations=settings.k,
        max_completion_length=settings.max_completion,
        temperature=settings.temperature,
        top_p=settings.top_p,
        epsilon=settings.clip,
        epsilon_high=settings.clip_high,
        beta=settings.kl,
        loss_type=settings.loss,
        use_vllm=settings.vllm,
        gradient_checkpointing=False,
        logging_steps=1,
    )
