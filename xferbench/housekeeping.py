"""Commands on a run's folder: what is done, one step alone, what is damaged, what nothing refers to."""

from pathlib import Path

import click


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), default=Path("runs"))
@click.option("--json", is_flag=True, help="Print as JSON.")
def status(directory: Path, json: bool) -> None:
    """Show the steps of a run: done, running, failed, waiting.

    \b
    xferbench status runs
    """
    from xferbench.status import status_text

    click.echo(status_text(directory, json))


@click.command()
@click.argument("recipes", metavar="STEP.json...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--step-timeout", type=click.IntRange(1), metavar="SECONDS", help="End a step that takes longer.")
def step(recipes: tuple[Path, ...], step_timeout: int | None) -> None:
    """Do steps of a store from their recipes, one after another; what is done already is left as it is.

    \b
    xferbench step runs/steps/train-0123456789abcdef/step.json
    """
    from xferbench.job import step_command

    click.get_current_context().exit(step_command(list(recipes), step_timeout))


@click.command("verify-store")
@click.argument("directory", type=click.Path(path_type=Path), default=Path("runs"))
@click.option("--json", is_flag=True, help="Print as JSON.")
def verify_store(directory: Path, json: bool) -> None:
    """Read every file of every step that is done again; name what is damaged, so that the next run does it again.

    \b
    xferbench verify-store runs
    """
    from xferbench.upkeep import verify_command

    verify_command(directory, json)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), default=Path("runs"))
@click.option("--yes", is_flag=True, help="Do not ask.")
def gc(directory: Path, yes: bool) -> None:
    """Remove the steps that no experiment of a folder refers to; shows them with their sizes, and asks.

    \b
    xferbench gc runs
    """
    from xferbench.upkeep import gc_command

    gc_command(directory, yes)
