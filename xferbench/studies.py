"""The commands around a whole study: mix, ablate, report; rank examples by influence; measure drift."""

from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--source", required=True, metavar="NAME", help="The domain whose share is p.")
@click.option("--with", "other", required=True, metavar="NAME", help="The domain that has the rest.")
@click.option("--target", required=True, metavar="NAME", help="The benchmark that the examples are chosen for.")
@click.option("--scorer", default="cosine", show_default=True, metavar="NAME", help="What the examples are chosen by.")
@click.option("--p", default="0,0.5,1", show_default=True, metavar="P[,...]", help="Shares; 0,0.2,...,1 counts on.")
@click.option("--slots", type=click.IntRange(1), help="Examples in every training (default: as many as the pool).")
@click.option("--pool", type=click.IntRange(1), help="Examples drawn from each domain, and scored.")
@click.option("--score-at", default="mixed", metavar="NAME", help="Score after training on both pools, or at baseline.")
@click.option("--suite", metavar="NAME", help="Where short names, the model and budgets come from (default: mini).")
@click.option(
    "--model", metavar="NAME_OR_PATH", help="A model of the suite, a folder or a hub id (default: the suite's)."
)
@click.option("--trainer", metavar="RECIPE", help="As in run (default: sft).")
@click.option("--seeds", metavar="N[,...]", help="One training run for each (default: 0,1,2).")
@click.option("--eval-limit", type=click.IntRange(1), help="The first items of the target only (smoke tests).")
@click.option("--query-limit", type=click.IntRange(1), help="Questions of the target to aim at (default: 64).")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="The store.")
@click.option("--executor", metavar="NAME", help="Where steps run (default: local).")
@click.option("--jobs", type=click.IntRange(1), help="Steps at a time (default: as many as the machine takes).")
@click.option("--dry-run", is_flag=True, help="Show the steps, and which are done; do nothing.")
@click.option("--json", is_flag=True, help="Print the curve as JSON.")
def mix(
    source: str, other: str, p: str, slots: int | None, pool: int | None, score_at: str, out: Path, dry_run: bool,
    json: bool, **flags: Any,
) -> None:  # fmt: skip
    """Find the best mixture of two domains for a target, its examples chosen by influence, beside the controls.

    \b
    xferbench mix --source math --with science --target gpqa
    xferbench mix --source math --with science --target gpqa --scorer updates --p 0,0.2,...,1
    xferbench mix --source math --with science --target gpqa --scorer less --pool 1000 --slots 500
    """
    from xferbench.face import mix_command
    from xferbench.mix import Mix, shares

    asked = {**flags, "source": f"{source},{other}", "train_limit": pool}
    what = Mix(shares(p), slots, score_at)
    click.get_current_context().exit(mix_command(asked, what, out, dry_run, json))


@click.command()
@click.option("--source", required=True, metavar="NAME[,...]", help="Domains to learn from.")
@click.option("--target", required=True, metavar="NAME[,...]", help="Benchmarks to be measured on.")
@click.option("--train-limit", required=True, metavar="N[,...]", help="Numbers of examples, such as 64,250,all.")
@click.option("--model", metavar="NAME_OR_PATH[,...]", help="Base models of several sizes (default: the suite's).")
@click.option("--suite", metavar="NAME", help="Where short names, the model and budgets come from (default: mini).")
@click.option("--trainer", metavar="RECIPE[,...]", help="As in run (default: sft).")
@click.option("--conditions", default="baseline,transfer", show_default=True, metavar="NAME[,...]", help="As in run.")
@click.option("--scorer", metavar="NAME[,...]", default="", help="As in run; held against the gains at every size.")
@click.option("--lds", type=click.IntRange(4), metavar="M", help="As in run: retrain on M random halves at every size.")
@click.option("--seeds", metavar="N[,...]", help="One training run for each (default: 0,1,2).")
@click.option("--eval-limit", type=click.IntRange(1), help="The first items of each target only (smoke tests).")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="The store.")
@click.option("--executor", metavar="NAME", help="Where steps run (default: local).")
@click.option("--jobs", type=click.IntRange(1), help="Steps at a time (default: as many as the machine takes).")
@click.option("--dry-run", is_flag=True, help="Show the steps, and which are done; do nothing.")
@click.option("--json", is_flag=True, help="Print the comparison as JSON.")
def ablate(train_limit: str, model: str | None, out: Path, dry_run: bool, json: bool, **flags: Any) -> None:
    """Ask the same with less data, or of other base models, and say what becomes of the gain.

    \b
    xferbench ablate --source math --target gpqa --train-limit 64,250,500
    xferbench ablate --source gsm8k --target pubmedqa --model path/to/1B,path/to/3B --train-limit 5000
    xferbench ablate --source math --target gpqa --train-limit 64,250,500 --scorer cosine,random --lds 8
    """
    from xferbench.face import ablate_command

    code = ablate_command(flags, train_limit, model, out, dry_run, json)
    click.get_current_context().exit(code)


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE.html|FILE.md", help="Default: DIR/report.html.")
def report(directory: Path, to: Path | None) -> None:
    """Write what a run found as one page: question, design, findings, what cannot be concluded, recommendations.

    \b
    xferbench report runs
    xferbench report runs --to report.md
    """
    from xferbench.report import report

    click.echo(report(directory, to))


@click.command()
@click.option("--source", metavar="NAME[,...]", required=True, help="Domains whose examples are ranked.")
@click.option("--target", metavar="NAME[,...]", required=True, help="Benchmarks that they are ranked for.")
@click.option("--index", type=click.Path(path_type=Path), required=True, help="Folder of the kept gradients.")
@click.option(
    "--model", metavar="ID_OR_PATH", help="A base model, an adapter, or a run's training step (default: the suite's)."
)
@click.option("--suite", metavar="NAME", help="Where short names, the model and budgets come from (default: mini).")
@click.option(
    "--scorer", metavar="NAME", help="What is kept (default: sketch:dimensions=4096,projection=count,seed=0)."
)
@click.option("--dtype", metavar="NAME", help="float16 (default), bfloat16 or float32.")
@click.option("--train-limit", type=click.IntRange(1), help="Examples drawn from each domain.")
@click.option("--query-limit", type=click.IntRange(1), help="Questions of the target to aim at (default: 64).")
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Examples shown for each target.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the scores into FILE.png or FILE.svg.")
@click.option("--json", is_flag=True, help="Print as JSON.")
def attribute(index: Path, dtype: str | None, top: int, json: bool, plot: Path | None, **flags: Any) -> None:
    """Rank training examples by what a step on them does for a target, from gradients kept on disk.

    \b
    xferbench attribute --source math --target gpqa --index kept
    xferbench attribute --model runs/steps/train-0123456789abcdef --source math,code --target gpqa,logic --index kept
    """
    from xferbench.lookup import attribute_command

    attribute_command(flags, index, dtype, top, json, plot)


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
