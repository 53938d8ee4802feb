"""Lay what can be counted in a target's test items beside the rows of a run: numbers by item id, and no text.

DIR/features/TARGET.jsonl.gz, one line an item: {"id", "features": {name: count}}. `analyse features` reads it.
"""

import sys
from pathlib import Path

from xferbench import results as rows
from xferbench.catalog import load
from xferbench.errors import UsageError, XferbenchError
from xferbench.experiment import spec
from xferbench.problem import features, grammar


def describe(root: Path, pipeline: str | None = None) -> None:
    """Describe the items of every target of a run that is not described yet; again with a spaCy `pipeline`.

    A target that is not installed here, or has no questions(), is named on stderr and passed over.
    """
    found = rows.read(root)
    for target in dict.fromkeys(cell.target for cell in found.cells):
        path = rows.features_path(root, target)
        if path.is_file() and pipeline is None:
            continue
        try:
            name, settings = spec(target)
            made = load().make("target", name, settings)
            if not hasattr(made, "questions"):
                raise UsageError("it does not give its questions")
            examples = list(made.questions())
        except XferbenchError as error:
            print(f"xferbench: the items of {target} are not described: {error}", file=sys.stderr)
            continue
        tags = grammar([one.prompt for one in examples], pipeline) if pipeline else [{} for _ in examples]
        described = [features(one) | more for one, more in zip(examples, tags, strict=True)]
        lines = ({"id": one.id, "features": each} for one, each in zip(examples, described, strict=True))
        rows.write_items(path, lines)
