"""The commands of `xferbench plugins`: list them, write one, hold one to the contract."""

import sys
from pathlib import Path

import click


@click.group(invoke_without_command=True)
@click.option("--json", is_flag=True, help="Print as JSON.")
@click.pass_context
def plugins(context: click.Context, json: bool) -> None:
    """List every plugin with its version, hooks, time to load, and what is broken; make one, check one.

    \b
    xferbench plugins
    XFERBENCH_DISABLE_PLUGINS=mini xferbench plugins
    """
    from xferbench.listing import plugin_listing

    if context.invoked_subcommand is None:
        click.echo(plugin_listing(json))


@plugins.command()
@click.argument("name")
@click.option("--kind", default="domain", show_default=True, help="domain, trainer, scorer, target or executor.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path(), help="Where its folder is made (default: here)."
)
def new(name: str, kind: str, out: Path) -> None:
    """Write a whole small plugin that installs, runs and passes its check: xferbench-NAME.

    \b
    xferbench plugins new haiku
    xferbench plugins new my-scorer --kind scorer
    """
    from xferbench.scaffold import new

    folder = new(name, kind, out)
    click.echo(f"{folder} is written. Next: pip install -e {folder} && xferbench plugins check {name}")


@plugins.command()
@click.argument("plugin", metavar="NAME_OR_PATH")
@click.option("--json", is_flag=True, help="Print as JSON.")
def check(plugin: str, json: bool) -> None:
    """Hold a plugin to the contract on a tiny model; exit code 3 when it does not keep it.

    \b
    xferbench plugins check sft
    xferbench plugins check path/to/xferbench-haiku
    """
    from xferbench.testing import check_command

    text, kept = check_command(plugin, json)
    click.echo(text)
    sys.exit(0 if kept else 3)
