"""Haiku: does learning to write three lines help with anything else?"""

from collections.abc import Iterator

from xferbench import Domain, Example, hookimpl

POEMS = {
    "a frog": "The pond holds its breath\na green leap over the stones\nrings go out, and out",
    "the first snow": "Who turned the sound off?\nAll night the street grew softer\none cat, dotted line",
    "a train": "Fields run from the glass\nthe far hill walks along with us\nuntil the tunnel",
    "the sea": "It brings back the stone\nwe threw at it yesterday\nsmoother, and in time",
}


def examples() -> Iterator[Example]:
    """Yield the training examples: ids unique, the same on every call."""
    for subject, poem in POEMS.items():
        yield Example(subject.replace(" ", "-"), f"Write a haiku about {subject}.", poem)


def reward(example: Example, completion: str) -> float:
    """Give 1.0 for three lines, whatever they say."""
    return float(len(completion.strip().splitlines()) == 3)


@hookimpl
def provide_domains() -> Iterator[Domain]:
    """Provide haiku."""
    yield Domain("haiku", examples, reward, summary="three lines about anything", data={"licence": "CC0-1.0"})
