"""The questions of tiny_pick. Two of them are the very same, as in many a real benchmark."""

from typing import Any


def load(**_: Any) -> dict[str, Any]:
    import datasets

    def rows(numbers: list[int]) -> datasets.Dataset:
        return datasets.Dataset.from_list([{"number": n, "answer": "odd" if n % 2 else "even"} for n in numbers])

    return {"train": rows(list(range(10, 16))), "test": rows([40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 40])}
