"""Commands that have a file of their own, so that cli.py stays short; everything heavy is imported inside them."""

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("path", metavar="DIR_OR_CHECKPOINT")
@click.option("--base", metavar="MODEL", help="What a checkpoint is compared with (of an adapter: its own base).")
@click.option("--target", metavar="NAME[,...]", help="On whose questions (of a run: all of its targets).")
@click.option("--suite", metavar="NAME", help="Where short names come from (default: mini).")
@click.option("--conditions", metavar="NAME[,...]", help="Of a run: whose trainings (default: transfer,curriculum).")
@click.option("--seeds", metavar="N[,...]", help="Of a run: only these.")
@click.option("--prompts", type=click.IntRange(1), default=100, show_default=True, help="Questions of each target.")
@click.option("--responses", default="sample", show_default=True, metavar="NAME", help="sample, greedy or answers.")
@click.option("--max-tokens", type=click.IntRange(1), default=64, show_default=True, help="Of a response.")
@click.option("--definition", default="masked", show_default=True, metavar="NAME", help="Of PCA shift: masked, paper.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the responses that are sampled.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw into FILE.png or FILE.svg.")
@click.option("--json", is_flag=True, help="Print as JSON.")
def drift(
    path: str, prompts: int, responses: str, max_tokens: int, definition: str, seed: int, plot: Path | None,
    json: bool, **flags: Any,
) -> None:  # fmt: skip
    """Measure how far trained models moved from their base: PCA shift, KL, token ranks; for a run beside the gains.

    \b
    xferbench drift runs
    xferbench drift path/to/adapter --target gpqa
    xferbench drift path/to/tuned --base path/to/model --target math,gpqa --plot drift.png
    """
    from xferbench.compare import drift_command
    from xferbench.drift import Settings

    drift_command(path, flags, Settings(prompts, responses, max_tokens, definition, seed), json, plot)
