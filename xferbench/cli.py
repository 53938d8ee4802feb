"""The command line. Each command calls one function; everything heavy is imported inside it."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from xferbench.leaderboard.commands import leaderboard

KINDS = ("domains", "trainers", "scorers", "targets", "suites", "executors")


class Commands(click.Group):
    """Turns every error that a user can cause into one line and its exit code; a traceback only with --debug."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        from xferbench.errors import XferbenchError

        try:
            return super().invoke(ctx)
        except XferbenchError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"xferbench: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("xferbench: stopped", err=True)
            ctx.exit(130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            ctx.exit(0)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            click.echo(
                f"xferbench: unexpected {type(error).__name__}: {error} (xferbench --debug ... shows where)", err=True
            )
            ctx.exit(1)


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
@click.option("--model", metavar="ID_OR_PATH", help="Base model: a hub id or a folder (default: the suite's).")
@click.option(
    "--trainer", metavar="RECIPE[,...]", help='sft, sft:learning_rate=1e-4,rank=8, "sft>grpo" (default: sft).'
)
@click.option(
    "--conditions", metavar="NAME[,...]", help="Of baseline,transfer,direct,sequential,joint,placebo (default: all)."
)
@click.option("--scorer", metavar="NAME[,...]", help="Influence scores of the source's examples; '' for none.")
@click.option("--seeds", metavar="N[,...]", help="One training run for each (default: 0,1,2).")
@click.option("--train-limit", type=click.IntRange(1), help="Examples drawn from each domain.")
@click.option("--eval-limit", type=click.IntRange(1), help="The first items of each target only (smoke tests).")
@click.option(
    "--query-limit", type=click.IntRange(1), help="Questions of the target that scorers aim at (default: 64)."
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Where results go."
)
@click.option("--score-at", metavar="NAME", help="Score examples at transfer (default) or at baseline.")
@click.option("--executor", metavar="NAME", help="Where steps run (default: local).")
@click.option("--jobs", type=click.IntRange(1), help="Steps at a time (default: as many as the machine takes).")
@click.option("--dry-run", is_flag=True, help="Show the steps, and which are done; do nothing.")
@click.option("--json", is_flag=True, help="Print the findings as JSON.")
def run(experiment: Path | None, out: Path, dry_run: bool, json: bool, **flags: Any) -> None:
    """Train, measure beside the controls, score the examples, and print what helps.

    \b
    xferbench run --source math --target gpqa
    xferbench run --source math,code --target gpqa,logic --seeds 0,1,2,3,4 --out runs/two
    xferbench run --source gsm8k --target pubmedqa --model path/to/model
    xferbench run runs/experiment.yaml
    """
    from xferbench.face import run_command

    click.get_current_context().exit(run_command(experiment, flags, out, dry_run, json))


@main.command("list")
@click.argument("kind", metavar="[" + "|".join(KINDS) + "]")
@click.option("--json", is_flag=True, help="Print as JSON.")
def list_(kind: str, json: bool) -> None:
    """List what plugins provide, one line each.

    \b
    xferbench list domains
    xferbench list trainers --json
    """
    from xferbench.listing import listing

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
@click.option("--json", is_flag=True, help="Print as JSON.")
def plugins(json: bool) -> None:
    """List every plugin with its version, hooks, time to load, and what is broken.

    \b
    xferbench plugins
    XFERBENCH_DISABLE_PLUGINS=mini xferbench plugins
    """
    from xferbench.listing import plugin_listing

    click.echo(plugin_listing(json))


@main.command()
@click.argument("directory", type=click.Path(path_type=Path), default=Path("runs"))
@click.option("--json", is_flag=True, help="Print as JSON.")
def status(directory: Path, json: bool) -> None:
    """Show the steps of a run: done, running, failed, waiting.

    \b
    xferbench status runs
    """
    from xferbench.status import status_text

    click.echo(status_text(directory, json))


@main.command()
@click.argument("what")
@click.argument("source", metavar="DIR_OR_TABLE.csv", type=click.Path(path_type=Path))
@click.option("--json", is_flag=True, help="Print as JSON.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw into FILE.png or FILE.svg.")
@click.option("--scale", type=click.Choice(["points", "fraction"]), default="points", help="Of a table's values.")
@click.option("--n", multiple=True, metavar="TARGET=ITEMS", help="Items of a target of a table.")
def analyse(what: str, source: Path, json: bool, plot: Path | None, scale: str, n: tuple[str, ...]) -> None:
    """Analyse a run's folder, or a table from elsewhere.

    \b
    xferbench analyse transfer runs
    xferbench analyse order table.csv --json
    """
    from xferbench.face import analyse_command

    analyse_command(what, source, json, plot, scale, n)


@main.command()
@click.option("--json", is_flag=True, help="Print as JSON.")
def doctor(json: bool) -> None:
    """Check versions, devices, hub access and plugins; say what would fail and how to mend it.

    \b
    xferbench doctor
    """
    from xferbench.doctor import examine

    text, healthy = examine(json)
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


main.add_command(leaderboard)


if __name__ == "__main__":
    main()
