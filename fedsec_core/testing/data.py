"""What components that load data promise (shapes, dtypes and ranges are checked where they come in)."""

from __future__ import annotations

from fedsec_core.testing.bench import Bench
from fedsec_core.testing.promises import promise, require

TASKS = ("binary-class", "multi-class", "ordinal-regression")


@promise("load_data")
def check_loads_the_same_data_each_time(bench: Bench) -> None:
    """The same parameters and seed give the same bytes."""
    first, second = (bench.server().load_data() for _ in range(2))
    require(first.digest() == second.digest(), "it loads other data the second time")


@promise("load_data")
def check_says_what_it_loads(bench: Bench) -> None:
    """Class names are texts, none twice, and the task is one of the three that evaluation knows."""
    splits = bench.server().load_data()
    names = splits.classes
    require(all(isinstance(name, str) and name for name in names), f"class names must be texts, got {names}")
    require(len(set(names)) == len(names) >= 2, f"class names must be two or more, none twice, got {names}")
    require(splits.task in TASKS, f"its task is {splits.task!r}, not one of {', '.join(TASKS)}")
    require(bool(splits.title), "it has no title: the report says what the images are")


@promise("load_data")
def check_keeps_metadata_alike_in_all_splits(bench: Bench) -> None:
    """What is known of a training sample is known of the others: metadata have the same names."""
    splits = bench.server().load_data()
    expected = splits.train.metadata.keys()
    for name, split in (("val", splits.val), ("test", splits.test)):
        if len(split):
            known = split.metadata.keys()
            require(known == expected, f"{name} has metadata {sorted(known)}, train has {sorted(expected)}")
