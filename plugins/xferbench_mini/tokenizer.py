"""The tokenizer: byte-level BPE, so any text encodes and comes back the same; every digit is a token of its own."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

EOS, PAD = "<eos>", "<pad>"
VOCABULARY = 1024
POSITIONS = 512
WORDS = r"[0-9]|[ \n]?[A-Za-z]+:?| ?[^\sA-Za-z0-9]+|\s"
"""What BPE may merge inside of: one digit, a word with the space or newline before it, a run of signs, one space."""


def learn(texts: Iterable[str]) -> Any:
    """Learn a tokenizer of VOCABULARY tokens (256 bytes, two specials, merges) from texts."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save(tokenizer: Any, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json as transformers reads them."""
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=POSITIONS,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    ).save_pretrained(folder)
