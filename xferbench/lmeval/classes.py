"""Which class an answer names: an option of a multiple choice, or one of a few short answers in words."""

from collections.abc import Iterator
from typing import Any

CLASSES, LONGEST = 20, 30
"""The most classes, and letters of one, that right answers in words are taken to be."""


def first(value: Any) -> Any:
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return value


def picked(rows: list[dict[str, Any]], task: Any, metric: str) -> Iterator[tuple[str | None, str | None]]:
    """The option of a multiple choice that the model found likeliest, and the right one, as the metric counts them.

    Named by their text where all items have the same options, otherwise by their place: A, B, ...
    """
    options = [[str(choice) for choice in task.doc_to_choice(row["doc"])] for row in rows]
    alike = all(one == options[0] for one in options)
    for row, choices in zip(rows, options, strict=True):
        weights = [len(choice) if metric == "acc_norm" else 1.0 for choice in choices]
        likely = [float(found[0]) / weight for found, weight in zip(row["filtered_resps"], weights, strict=False)]
        right = task.doc_to_target(row["doc"])
        right = choices.index(right) if isinstance(right, str) and right in choices else right
        names = [choice.strip() for choice in choices] if alike else [_letter(i) for i in range(len(choices))]
        known = isinstance(right, int) and 0 <= right < len(names)
        yield (names[likely.index(max(likely))], names[right]) if known else (None, None)


def _letter(place: int) -> str:
    return chr(ord("A") + place) if place < 26 else str(place + 1)


def named(written: list[str], right: list[str]) -> list[tuple[str | None, str | None]]:
    """Classes of answers in words: where the right ones are few, short and come again, else there are none."""
    plain = [text.strip() for text in right]
    known = {text.casefold(): text for text in plain}
    if len(known) > CLASSES or len(plain) < 3 * len(known) or max(map(len, known)) > LONGEST:
        return [(None, None)] * len(right)
    return [(known.get(text.strip().casefold()), known[truth.casefold()])
            for text, truth in zip(written, plain, strict=True)]  # fmt: skip
