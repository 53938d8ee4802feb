"""Makes the pages of the site that lie outside docs/: front page, policies, notebook, and the reference from the code.

mkdocs calls `on_files` and `on_page_markdown`; `pages` needs no mkdocs, so that tests can read what it writes.
"""

import ast
import dataclasses
import html
import inspect
import json
import posixpath
import re
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MOVED = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "leaderboards/mini/README.md": "studies/mini-board.md",
}
"""Files of the repository that are pages of the site, and under which name."""
NAMED = {
    **MOVED,
    "docs/notebook.ipynb": "notebook.md",
    "xferbench/__init__.py": "reference/python.md",
    "xferbench/cli.py": "reference/commands.md",
}
"""What a link to a file of the repository leads to in the site."""
PICTURES = {"leaderboards/mini/figures/gains-mini_model.svg": "studies/figures/gains-mini_model.svg"}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")


def pages() -> dict[str, str]:
    """Return {name: Markdown} of every page that is made."""
    made = {name: (ROOT / path).read_text(encoding="utf-8") for path, name in MOVED.items()}
    made["notebook.md"] = notebook(DOCS / "notebook.ipynb")
    made["reference/commands.md"] = commands()
    made["reference/python.md"] = python()
    for kind in ("domain", "target", "trainer", "scorer", "executor", "suite"):
        made[f"reference/{kind}s.md"] = registry(kind)
    return made


def commands() -> str:
    """Return the page of the command line: the help of every command, examples in it."""
    from xferbench.cli import main

    said = (
        "What `--help` says of each command. Exit codes: 0 done, 1 a step failed, 2 wrong usage, 3 a verification "
        "failed. Every flag may also be given as a variable: `XFERBENCH_RUN_SEEDS=0,1`."
    )
    blocks = ["# Commands", said]
    for path, command in walk(main):
        with click.Context(command, info_name=path, max_content_width=100, terminal_width=100) as context:
            blocks.append(f"## {path}\n\n```text\n{command.get_help(context)}\n```")
    return "\n\n".join(blocks) + "\n"


def walk(command: click.Command, path: str = "xferbench") -> Iterator[tuple[str, click.Command]]:
    """Yield (how it is called, command) of a command and of all below it."""
    yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from walk(below, f"{path} {name}")


def python() -> str:
    """Return the page of `xferbench.__all__`: every name, its signature, its docstring, its fields."""
    import xferbench

    blocks = ["# Python", "The names of `xferbench`, all of them and no more: what a plugin or a notebook imports. "
              "They change only as [the policy](../contributing.md#what-is-stable) says."]  # fmt: skip
    for name in xferbench.__all__:
        value = getattr(xferbench, name)
        blocks.append(f"## {name}")
        if inspect.isclass(value) or inspect.isfunction(value):
            blocks.append(f"```python\n{signature(name, value)}\n```\n\n{doc(value)}")
            if inspect.isclass(value):
                blocks += list(members(value))
        else:
            blocks.append(f"`{value!r}`" if isinstance(value, (int, str)) else CONSTANTS[name])
    return "\n\n".join(blocks) + "\n"


CONSTANTS = {
    "Reward": "`Callable[[Example, str], float | None]`: reward(example, completion) is 1.0 for right down to 0.0 for "
    "wrong, None when the completion cannot be judged.",
    "hookimpl": "The mark of a plugin's hooks: `@hookimpl` above `provide_domains`, `provide_trainers`, "
    "`provide_scorers`, `provide_targets`, `provide_suites` or `provide_executors`.",
}


def signature(name: str, value: Any) -> str:
    """Return `name(arguments)` as the source has it, without the modules of types; a role is only named."""
    if getattr(value, "_is_protocol", False) or (inspect.isclass(value) and issubclass(value, Exception)):
        return name
    return name + re.sub(r"\b(collections\.abc|typing|pathlib|concurrent\.futures\._base|xferbench\.\w+)\.", "",
                         str(inspect.signature(value)).replace("'", ""))  # fmt: skip


def members(kind: type) -> Iterator[str]:
    """Yield a line for each documented field, property and method of a class."""
    lines = [f"- `{name}`: {text}" for name, text in notes(kind).items()]
    for name, value in vars(kind).items():
        function = value.fget if isinstance(value, property) else value
        if not name.startswith("_") and inspect.isfunction(function) and function.__doc__:
            shown = name if isinstance(value, property) else signature(name, function)
            lines.append(f"- `{shown}`: {' '.join(doc(function).split())}")
    if lines:
        yield "\n".join(lines)


def doc(value: Any) -> str:
    """Return a docstring as Markdown: its doctest as a block, placeholders not taken for tags."""
    text = inspect.getdoc(value) or ""
    text, *example = re.split(r"(?m)^(?=>>> )", text, maxsplit=1)
    shown = text.strip().replace("<", "&lt;")
    return shown + "".join(f"\n\n```python\n{part.strip()}\n```" for part in example)


def notes(kind: type) -> dict[str, str]:
    """Return {field: the string below it} of a class and those that it inherits from, in their order."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(one)))
        except (OSError, TypeError):
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for field, below in pairwise(body):
            said = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and said:
                found[field.target.id] = " ".join(str(below.value.value).split())  # type: ignore[attr-defined]
    return found


def registry(kind: str) -> str:
    """Return the page of all that plugins of this distribution provide of one kind, with every setting."""
    from xferbench.catalog import load, summary

    catalog = load()
    blocks = [f"# {kind.capitalize()}s", f"All that the default plugins provide; `xferbench list {kind}s` "
              f"shows yours as well, `xferbench show {kind} NAME` one of them."]  # fmt: skip
    for name in catalog.names(kind):
        entry = catalog.entry(kind, name)
        if entry.plugin.package != "xferbench":
            continue
        value = entry.value
        blocks.append(f"## {name}\n\n{(doc(value) if isinstance(value, type) else summary(value)) or '-'}")
        blocks += list(about(kind, value))
    return "\n\n".join(blocks) + "\n"


def about(kind: str, value: Any) -> Iterator[str]:
    """Yield what is known of a domain, target or suite, and the table of settings of anything that has some."""
    from xferbench.settings import fields

    data = getattr(value, "data", None) or {}
    facts = {key: getattr(value, key, None) for key in ("group", "domain", "version", "train_limit", "eval_limit")}
    facts |= {key: data.get(key) for key in ("id", "licence")}
    if kind in ("domain", "target", "suite"):
        yield "\n".join(f"- {key.replace('_', ' ')}: `{fact}`" for key, fact in facts.items() if fact is not None)
    if kind == "suite":
        names = {**value.domains, **value.targets}
        yield "Short names: " + ", ".join(f"`{short}` is `{full}`" for short, full in sorted(names.items())) + "."
        yield "Settings: " + ", ".join(f"`{name}` {json.dumps(dict(kept))}" for name, kept in value.trainers.items())
    if dataclasses.is_dataclass(value) and kind not in ("domain", "suite"):
        said = notes(value if isinstance(value, type) else type(value))
        lines = [f"| `{key}` | `{default}` | {cell(said.get(key, ''))} |" for key, default in fields(value).items()]
        if lines:
            yield "\n".join(["| setting | default | |", "|---|---|---|", *lines])


def cell(text: str) -> str:
    """Return a text that may stand in a cell of a table."""
    return text.replace("<", "&lt;").replace("|", "\\|")


def notebook(path: Path) -> str:
    """Return a notebook as Markdown: its cells, and the outputs that are stored in it."""
    blocks = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        blocks.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data:
                blocks.append("".join(data["text/html"]))
            else:
                shown = "".join(output.get("text", data.get("text/plain", [])))
                blocks.append(f"<pre><code>{html.escape(shown.rstrip())}</code></pre>")
    return "\n\n".join(blocks) + "\n"


def moved(text: str, page: str) -> str:
    """Return a page's Markdown with its links as the site has them; what the site has not becomes plain text.

    `page`: where the text lies in the site; its links are those of its place in the repository.
    """
    homes = {name: path for path, name in MOVED.items()}
    here = posixpath.dirname(homes.get(page, f"docs/{page}"))

    def link(match: re.Match[str]) -> str:
        bang, label, target, anchor = match[1], match[2], match[3], match[4] or ""
        path = posixpath.normpath(posixpath.join(here, target))
        name = NAMED.get(path) or PICTURES.get(path) or (path[5:] if path.startswith("docs/") else None)
        if name is None:
            return label
        return f"{bang}[{label}]({posixpath.relpath(name, posixpath.dirname(page) or '.')}{anchor})"

    parts = re.split(r"(?ms)(^```.*?^```$)", text)
    return "".join(part if part.startswith("```") else LINK.sub(link, part) for part in parts)


def on_files(files: Any, config: Any) -> Any:
    """Add what is made to the files of the site."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    for path, name in PICTURES.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    return files


def with_result(text: str) -> str:
    """Return a page's Markdown with the README's printed result where the page asks for it, so that it stands once."""
    result = re.search(r"(?s)<!-- result -->\n(.*?)<!-- /result -->", (ROOT / "README.md").read_text(encoding="utf-8"))
    return text.replace("<!-- result of the README -->", result[1] if result else "")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Mend the links of a page; those of a reference are right already."""
    name, markdown = page.file.src_uri, with_result(markdown)
    return markdown if name.startswith("reference/") or name == "notebook.md" else moved(markdown, name)
