"""Writes the page: tables, curves, and made images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import figures
import reading
import tables
from ledger import Line
from sweep import Item

HERE = Path(__file__).parent
TITLES = {
    "blood": "Blood cells",
    "blood-epochs": "Counted in epochs",
    "pneumonia": "Radiographs (PneumoniaMNIST)",
    "retina": "Fundus photographs (RetinaMNIST)",
    "blood-lengths": "Shorter rows",
    "blood-presence": "How often the attacker is there",
    "blood-defences": "Against defences",
}
WHAT = {
    "main": "durable: generator, step 1, mask",
    "without-mask": "generator, step 1",
    "implant": "generator, step 1, mask; sends step 2 alone",
    "gan-only": "generator alone",
    "look-ahead": "generator, look-ahead",
    "without-gan": "step 1 and mask, no generator",
    "temporal": "temporal",
    "plain": "plain poisoning",
    "model-replacement": "model replacement",
    "neurotoxin": "Neurotoxin",
    "pgd": "PGD, norm-bounded",
    "chameleon": "Chameleon",
    "anticipate": "Anticipate",
    "dba": "DBA, four clients",
    "clean": "nobody attacks",
}
AFTER = (0, 10, 30, 50)
PRESENCE = {
    "rounds-1": "1 round",
    "rounds-5": "5 rounds",
    "rounds-10": "10 rounds",
    "main": "20 rounds",
    "often": "half of 20 rounds, at random",
    "seldom": "a fifth of 20 rounds, at random",
}
LENGTHS = {
    "4": ("four", "four-gan-only", "four-plain"),
    "3": ("main", "gan-only", "plain"),
    "2": ("two", "two-gan-only", "two-plain"),
}
"""By the length of rows: all parts, the generator alone, and plain poisoning."""
DEFENCES = (
    "norm-clipping",
    "median",
    "trimmed-mean",
    "multi-krum",
    "flame",
    "foolsgold",
    "fltrust",
    "weak-dp",
    "rlr",
)


def paragraphs(everything: Sequence[Item], found: Mapping[Item, Line]) -> Iterator[str]:
    """Give the measured part of the page, and draw the figures beside it."""
    yield tables.progress(everything, found)
    yield from _scenarios(HERE, everything, found)


def _scenarios(folder: Path, everything: Sequence[Item], found: Mapping[Item, Line]) -> Iterator[str]:
    for scenario in dict.fromkeys(item.scenario for item in everything):
        name = scenario.partition(":")[2]
        lines = tables.by_variant(found, scenario)
        if not lines:
            continue
        lines |= _borrowed(name, lines, tables.by_variant(found, scenario.replace(name, "blood")))
        yield f"## {TITLES[name]}"
        yield f"`fedsec run {scenario}`. Mean ± standard deviation over the seeds, where there are several."
        if name == "blood-presence":
            yield _presence(lines)
        elif name == "blood-lengths":
            yield _lengths(lines)
        elif name == "blood-defences":
            yield _defences(lines)
        else:
            yield from _attacks(folder, name, lines)


def _borrowed(
    name: str, lines: Mapping[str, Sequence[Line]], blood: Mapping[str, Sequence[Line]]
) -> dict[str, list[Line]]:
    """Return what a scenario has in common with `blood`, where it is measured, of the same seeds."""
    shared = {
        "blood-epochs": {"clean": "clean"},
        "blood-lengths": {"four": "main", "four-gan-only": "gan-only", "four-plain": "plain"},
        "blood-presence": {"rounds-10": "main", "rounds-10-plain": "plain"},
    }.get(name, {})
    known = {line["seed"] for group in lines.values() for line in group}
    return {
        own: [line for line in blood.get(theirs, ()) if line["seed"] in known]
        for own, theirs in shared.items()
    }


def _attacks(folder: Path, name: str, lines: Mapping[str, Sequence[Line]]) -> Iterator[str]:
    rows = []
    for variant in (each for each in WHAT if lines.get(each)):
        group = lines[variant]
        success = [tables.spread([reading.after(line, later) for line in group], 3) for later in AFTER]
        stealth = [
            tables.spread([reading.attacked_mean(line, each) for line in group], 2)
            for each in ("norm_ratio", "cosine")
        ]
        area = tables.spread([line["end"].get("durability.area") for line in group], 3)
        gap = tables.spread(reading.gaps(group, lines.get("clean", ())), 1)
        rows.append(
            [WHAT[variant], tables.seeds(group), *success, reading.lifespans(group), area, gap, *stealth]
        )
    head = ["attack", "seeds", *(f"success at +{later}" for later in AFTER), "lifespan, by seed", "area"]
    yield tables.table([*head, "accuracy less clean, points", "norm ratio", "cosine"], rows)
    if differences := _differences(lines):
        yield differences
    figures.curves(folder / f"{name}.svg", lines, WHAT)
    yield f"![attack success and accuracy by round]({name}.svg)"
    images = [
        f"![made images]({path})<br>{caption}"
        for path, caption in (
            (f"images/{name}-first.png", "made for the first round of the attack, seed 11"),
            (f"images/{name}-last.png", "made for the last"),
        )
        if (folder / path).exists()
    ]
    if images:
        yield tables.table([""] * len(images), [images])


def _differences(lines: Mapping[str, Sequence[Line]]) -> str:
    rows = [
        [f"{WHAT[one]}, less {WHAT[other]}", reading.difference(lines[one], lines[other])]
        for one, other in (
            ("main", "plain"),
            ("implant", "plain"),
            ("gan-only", "plain"),
            ("look-ahead", "plain"),
            ("main", "gan-only"),
            ("main", "neurotoxin"),
        )
        if one in lines and other in lines
    ]
    head = [f"success at +{reading.LATE}, seed by seed", "mean difference [95 % interval]"]
    return tables.table(head, rows) if rows else ""


def _presence(lines: Mapping[str, Sequence[Line]]) -> str:
    rows = []
    for variant, what in PRESENCE.items():
        plain = "plain" if variant == "main" else f"{variant}-plain"
        cells = [
            tables.spread([reading.after(line, later) for line in lines.get(each, ())], 3)
            for each in (variant, plain)
            for later in (0, reading.LATE)
        ]
        rows.append([what, tables.seeds(lines.get(variant, ())), *cells])
    head = ["the attacker is there for", "seeds", "durable, +0", "+50", "plain, +0", "+50"]
    return tables.table(head, rows)


def _lengths(lines: Mapping[str, Sequence[Line]]) -> str:
    rows = []
    for length, variants in LENGTHS.items():
        groups = [lines.get(each, ()) for each in variants]
        cells = [
            tables.spread([reading.after(line, later) for line in group], 3)
            for group in groups
            for later in (0, reading.LATE)
        ]
        gains = [reading.difference(group, groups[-1]) for group in groups[:-1]]
        rows.append([length, tables.seeds(groups[0]), *cells, *gains])
    head = [
        "length of the row",
        "seeds",
        "durable, +0",
        "+50",
        "generator alone, +0",
        "+50",
        "plain, +0",
        "+50",
    ]
    return tables.table([*head, "durable less plain, +50", "generator less plain, +50"], rows)


def _defences(lines: Mapping[str, Sequence[Line]]) -> str:
    rows = []
    for defence in ("", *DEFENCES):
        names = [defence or "main", f"{defence}-plain" if defence else "plain"]
        clean = lines.get(f"{defence}-clean" if defence else "clean", ())
        cells = [
            tables.spread([reading.after(line, later) for line in lines.get(each, ())], 3)
            for each in names
            for later in (0, reading.LATE)
        ]
        detected = [
            tables.spread([reading.attacked_mean(line, "detected") for line in lines.get(each, ())], 2)
            for each in names
        ]
        accuracy = tables.spread([line["series"]["accuracy"][-1] for line in clean], 3)
        gap = tables.spread(reading.gaps(lines.get(names[0], ()), clean), 1)
        rows.append([defence or "none", *cells, *detected, accuracy, gap])
    head = ["defence", "durable, +0", "+50", "plain, +0", "+50", "durable detected", "plain detected"]
    return tables.table([*head, "accuracy without attack", "durable less that, points"], rows)
