"""The commands of the documentation, read out of its pages: for tests/test_docs.py and .ci/docs."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click
from markdown_it import MarkdownIt

from xferbench.cli import main

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY"))])

TRAINS = ("run", "mix", "ablate")
"""Commands that the tests plan (--dry-run), and .ci/docs does."""

FAR = {
    r"meta-llama|gsm8k|pubmedqa|--suite |xferbench_suites": "models and data of the hub",
    r"--executor (ray|slurm)|processes=4": "a cluster, or several GPUs",
}
"""What a command needs that neither the tests nor .ci/docs have, and why it is planned and never done."""

NOWHERE = {
    r"path/to|org/name": "files of the reader's own",
    r"benchmarks\.csv": "a run with four targets, and what the reader knows of them (test_moderators.py)",
    r"0dfe45d58e370b7a": "a step of the reader's own",
    r"judge": "a language model that serves: test_judge.py",
    r"TINKER_API_KEY": "a service: test_tinker.py",
    r"^xferbench fetch|^xferbench doctor \w": "the hub: test_fetch.py",
    r"--grammar": "a pipeline of the reader's own (test_features.py)",
    r"--against": "the repository of a board (test_badges.py)",
}
"""Commands that are parsed, their names looked up, and no more: what they need, and who tests it."""

ON_MODELS = {
    r"^xferbench (attribute|drift)|analyse drift": "loads models: test_index.py, test_drift.py",
    r"analyse (training|outputs|mix)": "reads trainings and answers: test_curricula.py, test_outputs.py, test_mix.py",
    r"analyse (agreement|composition|similarity)": "reads scores of examples: test_agreement.py, test_composition.py",
    r"analyse (contamination|features)": "reads the items of real tasks: test_contamination.py, test_features.py",
    r"analyse (ablation|methods)": "compares several trainings: test_hypotheses.py, test_methods.py",
    r"plugins check|--source haiku": "takes the plugin that the tutorial makes: test_third_party.py",
    r"add leaderboards/mini": "adds a run of mini: test_leaderboard.py",
    r"^xferbench report": "reads a real run: test_report.py",
}
"""Commands that .ci/docs runs on a run of real models; in the tests they are parsed."""

KNOWN = """name,domain,length,grade
MetaMath,math,300,6
GSM8K,math,280,6
Goat,arithmetic,20,4
MNLI,logic,10,9
gpqa,gpqa,9,18
"""


def why(line: str, among: dict[str, str]) -> str | None:
    """Return what stands in `among` of a command line."""
    return next((said for mark, said in among.items() if re.search(mark, line)), None)


@dataclass(frozen=True)
class Block:
    """One code block of a page: `language` is what its fence says, "" where it is indented."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> list[str]:
        """The command lines of xferbench in it, without the words that explain them."""
        lines = re.sub(r" *\\\n\s*", " ", self.text).splitlines()
        if self.language == "console":
            lines = [line for line in lines if line.startswith("$ ")]
        parts = [part for line in lines for part in re.split(r" && |(?<=\S)\s{3,}\S.*|\s+#.*", line.removeprefix("$ "))]
        return [part for part in parts if part and re.match(r"(\w+=\S* )*xferbench( |$)", part)]

    def shown(self) -> list[tuple[str, str]]:
        """The commands of a block `console`, each with what the page says that it prints."""
        text = re.sub(r" *\\\n\s*", " ", self.text)
        parts = [part.partition("\n") for part in re.split(r"(?m)^\$ ", text)[1:]]
        return [(line, expected) for line, _, expected in parts]


def trains(line: str, printed: str) -> bool:
    """Whether a command of a block `console` trains or loads models: .ci/docs types it, and the tests do not."""
    return asked(line)[0] in (*TRAINS, "attribute") and not printed.startswith("xferbench: ")


def blocks(path: Path) -> list[Block]:
    """The code blocks of a page, in their order."""
    page = str(path.relative_to(ROOT))
    tokens = MarkdownIt().parse(path.read_text(encoding="utf-8"))
    return [
        Block(page, token.map[0] + 1, token.info.strip(), token.content)
        for token in tokens
        if token.type in ("fence", "code_block") and token.map
    ]


def asked(line: str) -> tuple[str, click.Context | None]:
    """Parse a command line as click would, without running it: the command's path and its context; None for --help."""
    words = shlex.split(line)
    while "=" in words[0]:
        words.pop(0)
    command: click.Command = main
    path, rest = [], words[1:]
    while isinstance(command, click.Group) and any(not word.startswith("-") for word in rest):
        at = next(at for at, word in enumerate(rest) if not word.startswith("-"))
        command.make_parser(click.Context(command)).parse_args(list(rest[:at]))
        assert rest[at] in command.commands, f"no command {' '.join([*path, rest[at]])}"
        path.append(rest[at])
        command, rest = command.commands[rest[at]], rest[at + 1 :]
    try:
        with command.make_context(path[-1] if path else "xferbench", list(rest)) as context:
            return " ".join(path), context
    except click.exceptions.Exit:
        return " ".join(path), None


def lay_tables(folder: Path, line: str) -> None:
    """Lay down what a reader brings to a command: table.csv, and what is known of its names."""
    table = "docs/studies/order.csv" if "analyse order" in line else "leaderboards/published/latent_traits_table1.csv"
    text = (ROOT / table).read_text(encoding="utf-8").replace("base_llama3.2_3b_zeroshot", "base").replace("lora_", "")
    (folder / "table.csv").write_text(text, encoding="utf-8")
    (folder / "about.csv").write_text(KNOWN, encoding="utf-8")


def differs(printed: str, expected: str) -> bool:
    """Whether what was printed is not what a page shows, where `...` stands for anything."""
    wanted = re.escape(expected.strip()).replace(r"\.\.\.", r"[\s\S]*")
    return re.fullmatch(wanted, re.sub(r" +$", "", printed, flags=re.M).strip()) is None
