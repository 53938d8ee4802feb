"""The command line. Each command calls one function; everything heavy is imported inside it."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from xferbench.commands import Commands
from xferbench.housekeeping import gc, status, step, verify_store
from xferbench.leaderboard.commands import leaderboard
from xferbench.plugins import plugins
from xferbench.studies import ablate, attribute, drift, mix, report

KINDS = ("domains", "trainers", "scorers", "targets", "suites", "executors", "treatments")
HUB = "A folder laid out as on the hub (ORGANISATION/NAME/...), read in place of the hub."


@click.group(
    cls=Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "XFERBENCH",
        "max_content_width": 110,
    },
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="xferbench", message="xferbench %(version)s")
def main(debug: bool) -> None:
    """If I train on this, does it help with that?

    \b
    xferbench run --source math --target gpqa      the main job, on the embedded suite `mini`
    xferbench list domains                         what can be learnt from
    xferbench plugins                              who provides it
    """


@main.command()
@click.argument("experiment", required=False, type=click.Path(path_type=Path))
@click.option("--source", metavar="NAME[,...]", help="Domains to learn from.")
@click.option("--target", metavar="NAME[,...]", help="Benchmarks to measure; lmeval:TASK is any task of lm-eval.")
@click.option("--suite", metavar="NAME", help="Where short names, the model and budgets come from (default: mini).")
@click.option(
    "--model", metavar="NAME_OR_PATH", help="A model of the suite, a folder or a hub id (default: the suite's)."
)
@click.option(
    "--trainer", metavar="RECIPE[,...]", help='sft, sft:learning_rate=1e-4,rank=8, "sft>grpo" (default: sft).'
)
@click.option(
    "--conditions", metavar="NAME[,...]", help="Of baseline,transfer,direct,sequential,joint,placebo (default: all)."
)
@click.option(
    "--curriculum", multiple=True, envvar="XFERBENCH_RUN_CURRICULUM", metavar="NAME>NAME...",
    help='Further things to learn: "math>code" in turn, math+code mixed, math:0.8+code:0.2; may be repeated.',
)  # fmt: skip
@click.option("--checkpoint", multiple=True, metavar="NAME=PATH", help="Trained elsewhere: mine=path,method=rl.")
@click.option("--budget", metavar="NAME", help="Of several domains: additive (default), matched_steps, matched_tokens.")
@click.option("--scorer", metavar="NAME[,...]", help="Influence scores of the source's examples; '' for none.")
@click.option("--seeds", metavar="N[,...]", help="One training run for each (default: 0,1,2).")
@click.option("--train-limit", type=click.IntRange(1), help="Examples drawn from each domain.")
@click.option("--eval-limit", type=click.IntRange(1), help="The first items of each target only (smoke tests).")
@click.option("--eval-points", type=click.IntRange(2), help="Measure each training at so many points on its way.")
@click.option(
    "--query-limit", type=click.IntRange(1), help="Questions of the target that scorers aim at (default: 64)."
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Where results go."
)
@click.option("--score-at", metavar="NAME", help="Score examples at transfer (default) or at baseline.")
@click.option(
    "--lds",
    type=click.IntRange(4),
    is_flag=False,
    flag_value=8,
    metavar="[M]",
    help="Retrain on M random halves of each source (8), and hold the scorers against the losses.",
)
@click.option("--executor", metavar="NAME", help="Where steps run: local (default), ray, slurm:partition=gpu,time=120.")
@click.option("--jobs", type=click.IntRange(1), help="Steps at a time (default: as many as the machine takes).")
@click.option(
    "--step-timeout", type=click.IntRange(1), metavar="SECONDS", help="Begin a step that takes longer again, once."
)
@click.option("--use", metavar="NAME", help="research (default) or commercial: refuse data whose licence forbids it.")
@click.option(
    "--max-dirty", type=click.FloatRange(0, 1), metavar="SHARE",
    help="Refuse a domain that holds more than this share of a target's items.",
)  # fmt: skip
@click.option("--price", type=click.FloatRange(0), metavar="DOLLARS", help="Of an hour of the machine, for `cost`.")
@click.option("--hub", type=click.Path(path_type=Path), help=HUB)
@click.option("--allow-code-execution", is_flag=True, help="Run code that a model writes, in a sandbox.")
@click.option("--dry-run", is_flag=True, help="Show the steps, and what those to do will take; do nothing.")
@click.option("--gpu", default="h100", show_default=True, metavar="NAME[:DOLLARS]", help="Of --dry-run; price an hour.")
@click.option("--json", is_flag=True, help="Print the findings as JSON.")
def run(
    experiment: Path | None, out: Path, hub: Path | None, allow_code_execution: bool, dry_run: bool, json: bool,
    gpu: str, **flags: Any,
) -> None:  # fmt: skip
    """Train, measure beside the controls, score the examples, and print what helps.

    \b
    xferbench run --source math --target gpqa
    xferbench run --source math,code --target gpqa,logic --seeds 0,1,2,3,4 --out runs/two
    xferbench run --source gsm8k --target pubmedqa --model path/to/model
    xferbench run --curriculum "math>code" --curriculum "code>math" --target math,code
    xferbench run --suite openthoughts --dry-run
    xferbench run runs/experiment.yaml
    """
    from xferbench.face import run_command

    _stand_in(hub)
    if allow_code_execution:  # workers, here and on other machines, find it in their environment
        os.environ["HF_ALLOW_CODE_EVAL"] = "1"
    flags["curriculum"] = ",".join(flags["curriculum"]) or None
    flags["checkpoint"] = list(flags["checkpoint"]) or None
    click.get_current_context().exit(run_command(experiment, flags, out, dry_run, json, gpu))


@main.command("list")
@click.argument("kind", required=False)
@click.option("--json", is_flag=True, help="Print as JSON.")
def list_(kind: str | None, json: bool) -> None:
    """List what plugins provide, one line each: domains, trainers, scorers, targets, suites, executors, treatments.

    \b
    xferbench list domains
    xferbench list trainers --json
    """
    from xferbench.errors import UsageError
    from xferbench.listing import listing

    if kind is None:
        raise UsageError(f"say what to list: {', '.join(KINDS)}")
    click.echo(listing(kind, json))


@main.command()
@click.argument("kind")
@click.argument("name")
@click.option("--json", is_flag=True, help="Print as JSON.")
def show(kind: str, name: str, json: bool) -> None:
    """Show everything about one domain, trainer, scorer, target, suite or executor.

    \b
    xferbench show trainer sft
    xferbench show target mini/gpqa
    """
    from xferbench.listing import about

    click.echo(about(kind, name, json))


@main.command()
@click.argument("what", metavar="WHAT[:SETTING=VALUE,...]")
@click.argument("source", metavar="DIR_OR_TABLE.csv", type=click.Path(path_type=Path))
@click.option("--json", is_flag=True, help="Print as JSON.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw into FILE.png or FILE.svg.")
@click.option("--scale", type=click.Choice(["points", "fraction"]), default="points", help="Of a table's values.")
@click.option("--n", multiple=True, metavar="TARGET=ITEMS", help="Items of a target of a table.")
@click.option("--grammar", metavar="PIPELINE", help="features: a spaCy pipeline that counts grammar as well.")
@click.option("--drop", default=5.0, show_default=True, metavar="POINTS", help="order: a loss that is a failure.")
@click.option("--about", type=click.Path(path_type=Path), help="CSV of names: side-effects, moderators.")
def analyse(
    what: str, source: Path, json: bool, plot: Path | None, scale: str, n: tuple[str, ...], drop: float,
    about: Path | None,
    grammar: str | None,
) -> None:  # fmt: skip
    """Analyse a run's folder, or a table from elsewhere.

    \b
    xferbench analyse transfer runs
    xferbench analyse order table.csv --json
    xferbench analyse hypotheses runs --plot hypotheses.png
    xferbench analyse index:source=math,version=v1 table.csv
    xferbench analyse ablation runs/ablation
    xferbench analyse training runs --plot curves.png
    """
    from xferbench.face import analyse_command

    analyse_command(what, source, json, plot, scale, n, drop, about, grammar)


@main.command()
@click.argument("names", metavar="SUITE|DOMAIN|TARGET|MODEL...", nargs=-1, required=True)
@click.option("--hub", type=click.Path(path_type=Path), help=HUB)
def fetch(names: tuple[str, ...], hub: Path | None) -> None:
    """Bring models, data and tasks into the hub's cache, so that runs need no network.

    \b
    xferbench fetch gsm8k pubmedqa
    xferbench fetch mini meta-llama/Llama-3.2-1B
    """
    from xferbench.fetch import fetch_command

    _stand_in(hub)
    click.get_current_context().exit(fetch_command(names))


@main.command()
@click.argument("names", metavar="[SUITE|DOMAIN|TARGET|MODEL]...", nargs=-1)
@click.option("--hub", type=click.Path(path_type=Path), help=HUB)
@click.option("--json", is_flag=True, help="Print as JSON.")
def doctor(names: tuple[str, ...], hub: Path | None, json: bool) -> None:
    """Check versions, devices, hub access and plugins, and whether what NAMES need is at hand without a network.

    \b
    xferbench doctor
    xferbench doctor gsm8k pubmedqa
    """
    from xferbench.doctor import examine

    _stand_in(hub)
    text, healthy = examine(json, names)
    click.echo(text)
    sys.exit(0 if healthy else 1)


@main.command()
@click.argument("what", type=click.Choice(["run", "entry", "board"]), default="run")
def schema(what: str) -> None:
    """Print the JSON schema of what `run --json` prints, of a leaderboard's entry, or of its board.yaml.

    \b
    xferbench schema
    xferbench schema entry
    """
    if what == "run":
        from xferbench.analyse.document import schema_text as of_run

        click.echo(of_run())
    else:
        from xferbench.leaderboard.schema import schema_text

        click.echo(schema_text(what))


def _stand_in(hub: Path | None) -> None:
    """Let a folder stand in for the hub, here and in every worker."""
    if hub is not None:
        os.environ["XFERBENCH_HUB"] = str(hub.absolute())


for command in (status, step, verify_store, gc, mix, ablate, attribute, drift, report, leaderboard, plugins):
    main.add_command(command)


if __name__ == "__main__":
    main()
