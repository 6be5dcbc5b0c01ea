"""Writes the page: what was run, tables by data set, curves, and sample grids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median

import figures
import reading
import tables
from ledger import Line
from sweep import Item

HERE = Path(__file__).parent
TITLES = {
    "blood": "Blood cells, four hospitals",
    "pneumonia": "Radiographs (PneumoniaMNIST), four hospitals",
    "blood-six": "Blood cells, six hospitals: robust rules on the generator",
    "blood-wgan": "Local regularisation: WGAN-GP",
    "blood-liar": "An attacker that lies about its loss",
}
WHAT = {
    "main": "attack",
    "clean": "clean",
    "feddetect": "attack + FedDetect, mean of the round",
    "released": "attack + FedDetect as released, last batch",
    "calibrated": "attack + calibrated",
    "clean-feddetect": "clean + FedDetect, mean of the round",
    "clean-released": "clean + FedDetect as released, last batch",
    "clean-calibrated": "clean + calibrated",
    "krum": "attack + Krum",
    "trimmed-mean": "attack + trimmed mean",
    "geometric-median": "attack + geometric median",
    "clean-krum": "clean + Krum",
    "clean-trimmed-mean": "clean + trimmed mean",
    "clean-geometric-median": "clean + geometric median",
}
REGULARISED = {
    "plain": "attack, without WGAN-GP",
    "main": "attack + WGAN-GP",
    "plain-feddetect": "attack + FedDetect, without WGAN-GP",
    "feddetect": "attack + WGAN-GP + FedDetect",
    "plain-clean": "clean, without WGAN-GP",
    "clean": "clean + WGAN-GP",
    "clean-feddetect": "clean + WGAN-GP + FedDetect",
}
LIES = {
    "undefended": "lie, no defence",
    "main": "lie + FedDetect, reported losses",
    "server-evaluated": "lie + FedDetect, server's own discriminator",
    "calibrated-server-evaluated": "lie + calibrated, server's own discriminator",
    "clean": "clean",
    "clean-server-evaluated": "clean + FedDetect, server's own discriminator",
    "clean-calibrated-server-evaluated": "clean + calibrated, server's own discriminator",
}

OTHERWISE = {"blood-liar": LIES, "blood-wgan": REGULARISED}


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
        names = OTHERWISE.get(name, WHAT)
        yield f"## {TITLES[name]}"
        yield f"`fedsec run {scenario}`. Mean ± standard deviation over the seeds, where there are several."
        yield _table(lines, names)
        if suppression := _suppression(lines, names):
            yield suppression
        yield from _watched(lines)
        yield from _figures(folder, name, lines, names)


def _table(lines: Mapping[str, Sequence[Line]], names: Mapping[str, str]) -> str:
    everyone = [line for group in lines.values() for line in group]
    near = {name: reading.decimals(lines.values(), f"generation.{name}") for name in ("fd_clf", "kid_clf")}
    columns: dict[str, tuple[str, int, reading.Average]] = {
        "FD-clf": ("generation.fd_clf", near["fd_clf"], fmean),
        "KID-clf": ("generation.kid_clf", near["kid_clf"], median),
        "class accuracy": ("generation.class_accuracy", 3, fmean),
        "diversity": ("generation.diversity", 2, fmean),
        "trigger distance": ("fedgan-backdoor.trigger_distance", 3, fmean),
    }
    ends = {
        "synthetic only": ("augmentation.synthetic_accuracy", 3),
        "real + synthetic": ("augmentation.augmented_accuracy", 3),
        "real only": ("augmentation.real_accuracy", 3),
    }
    if not any("augmentation.gain" in line["end"] for line in everyone):
        ends = {}
    rows = []
    for variant in (each for each in names if each in lines):
        group = lines[variant]
        cells = [reading.late(group, *column) for column in columns.values()]
        cells += [reading.end(group, *column) for column in ends.values()]
        rows.append([names[variant], tables.seeds(group), *cells])
    floor = {"run": "*real images*", **reading.real(everyone, near["fd_clf"])}
    head = ["run", "seeds", *columns, *ends]
    rows.append([floor.get(name, "") for name in head])
    return tables.table(head, rows)


def _suppression(lines: Mapping[str, Sequence[Line]], names: Mapping[str, str]) -> str:
    rows = []
    for variant in (each for each in names if each in lines):
        group = lines[variant]
        judges = [label for label in group[0]["verdicts"] if label not in reading.SHADOWS]
        if not judges:
            continue
        rows.append(
            [
                names[variant],
                reading.flags(group, judges[0], malicious=True),
                reading.flags(group, judges[0], malicious=False),
                reading.each(group, "suppression.rounds_to_suppress", "never"),
                reading.each(group, "suppression.flags_needed"),
                reading.each(group, "suppression.honest_ever_suppressed"),
                reading.late(group, "suppression.honest_entropy", 2),
            ]
        )
    if not rows:
        return ""
    head = [
        "run",
        "share of rounds after warm-up that flag the malicious client",
        "that flag an honest one",
        "round of suppression, by seed",
        "flags needed",
        "honest clients ever below 0.5",
        "entropy of honest weights",
    ]
    return "What the detector did:\n\n" + tables.table(head, rows)


def _watched(lines: Mapping[str, Sequence[Line]]) -> Iterator[str]:
    rows = []
    for variant in ("main", "clean"):
        for label, name in reading.SHADOWS.items():
            group = [line for line in lines.get(variant, ()) if label in line["verdicts"]]
            if group:
                rows.append(
                    [
                        WHAT[variant],
                        name,
                        reading.flags(group, label, malicious=True),
                        reading.flags(group, label, malicious=False),
                        reading.suppressed(group, label),
                    ]
                )
    if rows:
        yield (
            "What detectors would have said of runs that did not heed them:\n\n"
            + tables.table(
                [
                    "run",
                    "detector",
                    "share of rounds after warm-up that flag the malicious client",
                    "that flag an honest one",
                    "honest clients ever below 0.5, by seed",
                ],
                rows,
            )
        )


def _figures(
    folder: Path, name: str, lines: Mapping[str, Sequence[Line]], names: Mapping[str, str]
) -> Iterator[str]:
    figures.losses(folder / f"{name}-losses.svg", lines, names)
    figures.curves(folder / f"{name}-curves.svg", lines, names)
    yield (
        f"![loss of every client's generator, mean over a round]({name}-losses.svg)\n\n"
        "Generator losses that clients report, means of the round, all seeds. Orange: the malicious client."
    )
    yield f"![distances by round]({name}-curves.svg)"
    grids = [
        (names[variant], f"images/{name}-{variant}.png")
        for variant in names
        if (folder / "images" / f"{name}-{variant}.png").exists()
    ]
    if grids:
        real = f"images/{name}-real.png"
        shown = [("real images", real), *grids] if (folder / real).exists() else grids
        cells = [f"![{title}]({path})<br>{title}" for title, path in shown]
        rows = [cells[start : start + 3] for start in range(0, len(cells), 3)]
        rows[-1] += [""] * (3 - len(rows[-1]))
        yield f"Samples after the last round, seed 1:\n\n{tables.table([''] * len(rows[0]), rows)}"
