"""Designs of papers as suites: each an experiment YAML beside this file, the short names and the model it speaks of.

`xferbench run --suite openthoughts` asks what its paper asked; a flag of `run` takes the place of a line of the YAML.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xferbench import Suite, hookimpl

HERE = Path(__file__).parent
LLAMA_1B = {
    "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 128256, "tie_word_embeddings": True,
}  # fmt: skip
LLAMA_3B = {**LLAMA_1B, "hidden_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 24, "head_dim": 128}
QWEN_4B = {
    "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": True, "qk_norm": True,
}  # fmt: skip
QWEN_14B = {
    **QWEN_4B, "hidden_size": 5120, "intermediate_size": 17408, "num_hidden_layers": 40, "num_attention_heads": 40,
    "tie_word_embeddings": False,
}  # fmt: skip


def _same(names: str) -> dict[str, str]:
    """Names that are short already: a suite names all that it needs."""
    return {name: name for name in names.split()}


SUITES: tuple[tuple[str, str, Mapping[str, Any], dict[str, str], dict[str, str], str, str], ...] = (
    (
        "proposal", "meta-llama/Llama-3.2-1B", LLAMA_1B,
        {"math": "gsm8k", "code": "mbpp", "physics": "sciq", "chemistry": "moleculenet", "biology": "pubmedqa",
         "logic": "reclor", "law": "casehold"},
        {"math": "gsm8k", "code": "mbpp", "physics": "sciq", "chemistry": "moleculenet", "biology": "pubmedqa",
         "logic": "reclor", "law": "casehold"},
        "seven domains, five pairs, all six conditions (the research proposal)",
        "of the data sets that the proposal lists for a domain one is learnt and measured",
    ),
    (
        "openthoughts", "meta-llama/Llama-3.2-1B-Instruct", LLAMA_1B,
        {"math": "openthoughts3/openmath-2-math", "code": "openthoughts3/opencodereasoning",
         "codegolf": "openthoughts3/stackexchange-codegolf", "chemistry": "openthoughts3/organic-chemistry",
         "physics": "openthoughts3/stackexchange-physics", "science": "openthoughts3/science"},
        {"gpqa": "gpqa", "physics": "mmlu_physics"},
        "five sources of OpenThoughts3 to MMLU physics and GPQA-diamond, and math and science mixed (Ju and Hu)",
        "the paper states no rank, learning rate, steps or examples: those here are ours",
    ),
    (
        "grpo-order", "Qwen/Qwen3-4B-Base", QWEN_4B,
        {"math": "skywork-math", "science": "openscience", "logic": "knights-and-knaves",
         "puzzle": "reasoning_gym/games"},
        {"math": "math500", "science": "gpqa", "logic": "knights-and-knaves"},
        "four domains by GRPO alone, in turn and mixed (arXiv 2602.01365)",
        "puzzle is reasoning-gym's games, not Enigmata, and not measured; one greedy answer where the paper draws 5",
    ),
    (
        "latent-traits", "meta-llama/Llama-3.2-3B", LLAMA_3B,
        {**_same("metamath goat paws mnli flipkart amazon imdb"), "magicode": "magicoder", "pile": "pile-toxicity"},
        {**_same("gsm8k goat paws mnli flipkart amazon imdb"), "pile": "pile-toxicity"},
        "every set to every other, by LoRA of rank 64 (arXiv 2509.13624)",
        "scored by exact answers, where the paper asks a judge; so Magicoder is learnt and not measured; MNLI once",
    ),
    (
        "transferability", "Qwen/Qwen3-14B-Base", QWEN_14B, _same("math"),
        _same("math500 aime24 aime25 gpqa headqa coqa ifeval"),
        "SFT or GRPO on mathematics, measured on three groups of benchmarks (arXiv 2507.00432)",
        "of the paper's 47,000 problems those of MATH; OlympiadBench, LiveCodeBench, ACPBench, HaluEval, MC-TACO are "
        "not measured",
    ),
)  # fmt: skip


@hookimpl
def provide_suites() -> Iterable[Suite]:
    """Provide the suites."""
    for name, model, shape, domains, targets, summary, caution in SUITES:
        yield Suite(
            name, model, domains=domains, targets=targets, summary=summary, caution=caution, shape=shape,
            experiment=str(HERE / f"{name}.yaml"),
        )  # fmt: skip
