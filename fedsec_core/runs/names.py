"""What the files of a run folder are called."""

from __future__ import annotations

SCENARIO = "scenario.toml"
PLAN = "plan.json"
SUMMARY = "summary.json"
TABLE = "table.txt"
LOCK = "lock"

FACTS = "run.json"
EVENTS = "metrics.jsonl"
WEIGHTS = "final.safetensors"
IMAGES = "images"
CHECKPOINT = "checkpoint"

UNFINISHED = ".unfinished"
"""Ends the name of whatever is still being written."""
