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
    "without-step-1": "generator, mask",
    "unguided": "generator alone, unguided",
    "without-gan": "step 1 and mask, no generator",
    "temporal": "temporal",
    "plain": "plain poisoning",
    "model-replacement": "model replacement",
    "neurotoxin": "Neurotoxin",
    "neurotoxin-own": "Neurotoxin, mask by own clean training",
    "pgd": "PGD, norm-bounded",
    "chameleon": "Chameleon",
    "anticipate": "Anticipate",
    "dba": "DBA, four clients",
    "clean": "nobody attacks",
    "clean-four": "nobody attacks, four leave",
}
FOUR = ("dba", "clean-four")
"""Variants in which four clients leave."""
AFTER = (0, 10, 30, 50)
PRESENCE = {
    "rounds-1": "1 round",
    "rounds-5": "5 rounds",
    "rounds-10": "10 rounds",
    "main": "20 rounds",
    "often": "half of 20 rounds, at random",
    "seldom": "a fifth of 20 rounds, at random",
}
COMPARED = (
    ("main", "plain"),
    ("gan-only", "plain"),
    ("look-ahead", "plain"),
    ("implant", "plain"),
    ("unguided", "plain"),
    ("without-step-1", "plain"),
    ("neurotoxin-own", "plain"),
    ("main", "gan-only"),
    ("main", "without-step-1"),
    ("gan-only", "unguided"),
    ("neurotoxin-own", "neurotoxin"),
    ("main", "neurotoxin"),
)
"""Pairs of variants whose difference is told."""
LENGTHS = {"4": ("main", "plain"), "3": ("three", "three-plain")}
"""By the length of rows: the generator alone and plain poisoning."""
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
            yield _flags(lines)
        else:
            yield from _attacks(folder, name, lines)


def _borrowed(
    name: str, lines: Mapping[str, Sequence[Line]], blood: Mapping[str, Sequence[Line]]
) -> dict[str, list[Line]]:
    """Return what a scenario has in common with `blood`, where it is measured, of the same seeds."""
    shared = {
        "blood-epochs": {"clean": "clean"},
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
        clean = lines.get("clean-four" if variant in FOUR else "clean", ())
        gaps = [tables.spread(reading.gaps(group, clean, later), 1) for later in (0, reading.LATE)]
        rows.append(
            [WHAT[variant], tables.seeds(group), *success, reading.lifespans(group), area, *gaps, *stealth]
        )
    head = ["attack", "seeds", *(f"success at +{later}" for later in AFTER), "lifespan, by seed", "area"]
    yield tables.table(
        [*head, "accuracy less clean, points, +0", f"+{reading.LATE}", "norm ratio", "cosine"], rows
    )
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
        [
            f"{WHAT[one]}, less {WHAT[other]}",
            *(reading.difference(lines[one], lines[other], of) for of in (reading.late, reading.settled)),
        ]
        for one, other in COMPARED
        if lines.get(one) and lines.get(other)
    ]
    last = f"mean of +{reading.LATE - reading.LAST + 1} to +{reading.LATE}"
    head = ["success, seed by seed", f"+{reading.LATE}, mean difference [95 % interval]", last]
    return tables.table(head, rows) if rows else ""


def _presence(lines: Mapping[str, Sequence[Line]]) -> str:
    rows = []
    for variant, what in PRESENCE.items():
        groups = [lines.get(each, ()) for each in (variant, _plain(variant))]
        rows.append([what, tables.seeds(groups[0]), *_success(groups), reading.difference(*groups)])
    head = ["the attacker is there for", "seeds", "durable, +0", "+50", "plain, +0", "+50"]
    return tables.table([*head, "difference at +50"], rows)


def _lengths(lines: Mapping[str, Sequence[Line]]) -> str:
    rows = []
    for length, variants in LENGTHS.items():
        groups = [lines.get(each, ()) for each in variants]
        differences = [reading.difference(*groups, of) for of in (reading.late, reading.settled)]
        rows.append([length, tables.seeds(groups[0]), *_success(groups), *differences])
    head = ["length of the row", "seeds", "generator alone, +0", "+50", "plain, +0", "+50"]
    return tables.table([*head, "difference at +50", "of +41 to +50"], rows)


def _defences(lines: Mapping[str, Sequence[Line]]) -> str:
    rows = []
    for defence in ("", *DEFENCES):
        variant = defence or "main"
        clean = lines.get(f"{defence}-clean" if defence else "clean", ())
        groups = [lines.get(each, ()) for each in (variant, _plain(variant))]
        accuracy = tables.spread([line["series"]["accuracy"][-1] for line in clean], 3)
        gap = tables.spread(reading.gaps(groups[0], clean, reading.LATE), 1)
        errs = tables.spread([reading.late(line) for line in clean], 3)
        rows.append([defence or "none", tables.seeds(groups[0]), *_success(groups), errs, accuracy, gap])
    head = ["defence", "seeds", "durable, +0", "+50", "plain, +0", "+50", "nobody, +50"]
    return tables.table([*head, "accuracy without attack", "durable less that, points"], rows)


def _flags(lines: Mapping[str, Sequence[Line]]) -> str:
    """Say whom the one detector flagged."""
    told = []
    for variant, what in (
        ("foolsgold", "durable"),
        ("foolsgold-plain", "plain"),
        ("foolsgold-clean", "nobody"),
    ):
        hits, alarms = (
            tables.spread([reading.attacked_mean(line, each) for line in lines.get(variant, ())], 2)
            for each in ("detected", "false_alarms")
        )
        told.append(f"{what}: {hits} of the attacker's rows, {alarms} of honest ones")
    return f"FoolsGold alone judges clients. In rounds of the attack it flagged, {'; '.join(told)}."


def _plain(variant: str) -> str:
    return "plain" if variant == "main" else f"{variant}-plain"


def _success(groups: Sequence[Sequence[Line]]) -> list[str]:
    """Return success at departure and late, of one group after the other."""
    return [
        tables.spread([reading.after(line, later) for line in group], 3)
        for group in groups
        for later in (0, reading.LATE)
    ]
