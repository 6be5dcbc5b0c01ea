"""Kill a run or one of its workers at random moments, 50 times, and see whether anything is lost.

    python benchmarks/crashes.py            # writes docs/results/crashes.jsonl and crashes.md

It may be stopped at any time: each kill that is finished is one line, and the next start goes on
from there. It needs the components of `tests/components`, and /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from attrs import asdict, frozen

from fedsec_test_components import crashing
from fedsec_test_components.crashing import Crashing, Moment

HERE = Path(__file__).parent
SCENARIO = HERE / "crashes.toml"
RESULTS = HERE.parent / "docs" / "results"
ROUNDS = 12
KINDS = ("run", "worker")
DRAWS = 20
"""How often a moment is drawn again because the run had ended by then."""


@frozen
class Whole:
    """The run that nobody disturbed: what all others must come to, and how quick it was."""

    digest: str
    start: float
    """Seconds until the first round was written down."""
    pace: float
    """Seconds per round after that."""


@frozen(kw_only=True)
class Kill:
    """One kill and what came of it."""

    kill: int
    of: str
    """`run` or `worker`."""
    after_round: int
    """The round after which it was, -1: before the first was written down."""
    delay: float
    """Seconds after that round."""
    recorded: int
    """The last round that was written down at that moment."""
    checkpoint: int
    """The round of the last checkpoint at that moment."""
    finished: bool
    """Whether the federation itself was finished, so that only the tables were missing."""
    resumed_after: int | None
    """The round after which the resumed run went on; None: no round had to be played again."""
    kept: bool
    """Whether everything up to the checkpoint is in the results as it was written down before."""
    gone: float
    """Seconds until no process of it was left."""
    left_behind: Sequence[str]
    """Files in /dev/shm or the temporary folder."""
    said: str
    """What the run said of it: the note of the round, or its last line; of a killed run nothing."""
    same_digest: bool


def play(place: Path) -> Whole:
    """Play the scenario undisturbed."""
    began = time.monotonic()
    run = Crashing.run(place, place / "scenario.toml")
    crashing.until(lambda: crashing.recorded(place) >= 0)
    first = time.monotonic()
    if run.wait():
        raise SystemExit(run.output)
    return Whole(crashing.facts(place)["digest"], first - began, (time.monotonic() - first) / ROUNDS)


def kill(number: int, whole: Whole) -> Kill:
    """Kill once, at a moment that only `number` decides, and go on until the run is done."""
    random = Random(number)
    of = KINDS[number % 2]
    for _ in range(DRAWS):
        with place() as folder:
            moment = Moment.draw(random, range(-1, ROUNDS + 1), whole.start, whole.pace)
            run = Crashing.run(folder, folder / "scenario.toml")
            alive = run.await_moment(moment)
            if alive and of == "run":
                run.kill()
            elif alive:
                alive = run.kill_worker(random)
            if alive:
                return _after(number, of, moment, run, folder, whole)
            run.wait()
    raise SystemExit(f"kill {number}: every one of {DRAWS} moments came after the end of the run")


def _after(number: int, of: str, moment: Moment, run: Crashing, folder: Path, whole: Whole) -> Kill:
    before, checkpoint = crashing.events(folder), crashing.checkpoint(folder)
    finished = bool(before) and crashing.facts(folder)["status"] == "done"
    code = run.wait()
    gone = run.seconds_until_gone()
    left = run.left_behind()
    said = run.output.strip().splitlines()[-1] if of == "worker" and code else ""
    if code:
        again = Crashing.resume(folder)
        if again.wait():
            raise SystemExit(f"kill {number}: it could not be resumed: {again.output}")
        again.seconds_until_gone()
        left = [*left, *again.left_behind()]
    now = crashing.events(folder)
    notes = [note for event in now for note in event.get("notes", ()) if "played again" in note]
    facts = crashing.facts(folder)
    return Kill(
        kill=number,
        of=of,
        after_round=moment.round,
        delay=round(moment.seconds, 3),
        recorded=max([event.get("round", ROUNDS) for event in before], default=-1),
        checkpoint=checkpoint,
        finished=finished,
        resumed_after=facts.get("resumed_after", [-1])[-1] if code and not finished else None,
        kept=now == before if finished else now[: checkpoint + 1] == before[: checkpoint + 1],
        gone=round(gone, 3),
        left_behind=left,
        said=said or " ".join(notes),
        same_digest=facts["status"] == "done" and facts["digest"] == whole.digest,
    )


class place:
    """A folder with the scenario in it, gone afterwards."""

    def __enter__(self) -> Path:
        self.folder = Path(tempfile.mkdtemp(prefix="fedsec-crashes-"))
        shutil.copy(SCENARIO, self.folder / "scenario.toml")
        return self.folder

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder)


def main() -> None:
    """Do the kills that are missing, then write the page."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--into", type=Path, default=RESULTS)
    asked = options.parse_args()
    lines = asked.into / "crashes.jsonl"
    with place() as folder:
        whole = play(folder)
    done = list(read(lines))
    if done and done[0]["digest"] != whole.digest:
        raise SystemExit(f"{lines}: was begun with another digest; remove it to begin anew")
    with lines.open("a", encoding="utf-8") as file:
        if not done:
            _append(file, {"digest": whole.digest, **machine()})
        for number in range(len(done[1:]), asked.kills):
            found = asdict(kill(number, whole))
            _append(file, found)
            print(json.dumps(found), file=sys.stderr)
    header, *kills = read(lines)
    (asked.into / "crashes.md").write_text(page(header, kills), encoding="utf-8")


def _append(file: Any, line: dict[str, Any]) -> None:
    file.write(json.dumps(line) + "\n")
    file.flush()


def read(file: Path) -> Iterator[dict[str, Any]]:
    if file.exists():
        yield from map(json.loads, file.read_text(encoding="utf-8").splitlines())


def machine() -> dict[str, Any]:
    from importlib.metadata import version

    cores = len(os.sched_getaffinity(0))
    return {"python": platform.python_version(), "torch": version("torch"), "cores": cores}


def failed(kill: dict[str, Any]) -> bool:
    """Tell whether a kill lost a committed round, changed the result or left something behind."""
    resumed = kill["resumed_after"]
    lost = resumed is not None and resumed < kill["checkpoint"]
    return lost or not kill["kept"] or not kill["same_digest"] or bool(kill["left_behind"])


def page(header: dict[str, Any], kills: Sequence[dict[str, Any]]) -> str:
    """Return the page of results."""
    rows = []
    for of in KINDS:
        these = [kill for kill in kills if kill["of"] == of]
        again = [kill for kill in these if kill["resumed_after"] is not None]
        repeated = sum("played again" in kill["said"] for kill in these)
        lost = max((kill["recorded"] - kill["resumed_after"] for kill in again), default=0)
        gone = max((kill["gone"] for kill in these), default=0.0)
        rows.append(
            f"| {of} | {len(these)} | {repeated} | {len(again)} | {lost} | {gone:.2f} s "
            f"| {sum(kill['same_digest'] for kill in these)} | {sum(map(failed, these))} |"
        )
    moments = sorted({kill["after_round"] for kill in kills})
    return PAGE.format(
        kills=len(kills),
        first=moments[0] if moments else "-",
        last=moments[-1] if moments else "-",
        finished=sum(kill["finished"] for kill in kills),
        rows="\n".join(rows),
        scenario=SCENARIO.read_text(encoding="utf-8").strip(),
        **header,
    )


PAGE = """# Killed {kills} times

`benchmarks/crashes.py` kills a run with `kill -9` at random moments: either the process of
`fedsec run` itself, or one of its two workers. A run that ended is taken up by `fedsec resume`.
Moments are seeded: before the first round is written down, or up to one round's time after a round
that was drawn; they lie after rounds {first} to {last} (-1: during the start).

| killed | kills | repeated | resumed | rounds lost | gone within | same digest | failed |
|---|---|---|---|---|---|---|---|
{rows}

- *repeated*: the run went on by itself, and the round's note names the worker's death.
- *resumed*: the run had ended, and `fedsec resume` played the rest. A set-up in which a
  worker dies is begun again once; a second death ends the run with a message. Of the kills,
  {finished} came after the last line of the federation was written: only the tables were missing then.
- *rounds lost*: at most, rounds that were written down and had to be played once more, with a
  checkpoint after every round.
- *gone within*: until no process of the killed run was left.
- *failed*: a round before the last checkpoint was played again or changed, the digest differs from
  the undisturbed run's (`{digest}`), or a file was left in /dev/shm or
  the temporary folder.

Measured on {cores} cores, Python {python}, torch {torch}. Each kill is a line of
[crashes.jsonl](crashes.jsonl). The scenario:

```toml
{scenario}
```
"""


if __name__ == "__main__":
    main()
