"""A tiny random model, made on the spot in a second: what a plugin is tried on when nothing of the world is at hand."""

from pathlib import Path
from typing import Any

LINES = (
    "Which letter follows a? b",
    "Is 12 odd or even? even",
    "Is 7 odd or even? odd",
    "The quick brown fox jumps over the lazy dog.",
    "Question: what is two and two? Answer: four",
)


def byte_level_tokenizer(template: str | None = None) -> Any:
    """Train a byte-level BPE tokenizer on a few lines: any text encodes. `template` is its chat template, if any."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|end|>", "<|endoftext|>"]  # transformers adds the second to any Qwen2 that lacks it
    trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=special, initial_alphabet=alphabet)
    made.train_from_iterator(LINES, trainer)
    found = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>")
    found.chat_template = template
    return found


def make_model(folder: Path, architecture: str = "llama", template: str | None = None, context: int = 256) -> Path:
    """Save a random causal language model (llama, qwen2 or gpt2; 2 layers of 32) with its tokenizer into `folder`.

    Equal arguments give equal bytes.
    """
    import torch
    import transformers

    tokenizer = byte_level_tokenizer(template)
    ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": None}
    config: Any
    if architecture == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=context, **ends
        )
    else:
        kind: Any = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}[architecture]
        config = kind(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=context, **ends,
        )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = transformers.AutoModelForCausalLM.from_config(config)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
