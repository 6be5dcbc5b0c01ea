"""The line of every key, whatever stands between."""

from __future__ import annotations

import tomli
from hypothesis import given
from hypothesis import strategies as st

from fedsec_core.scenario.positions import key_lines


def test_headers_keys_arrays_and_values_of_several_lines_are_found() -> None:
    text = '''\
# a comment with [brackets]
[scenario]
name = "x # [y]"
says = """
[not a header]
key = 1
"""
seed = [
  1, # ]
  2,
]

[[attack]]
use = "a"
[attack.clients]
count = 1
[[attack]]
"use" = "b"
clients.count = 2
'''
    tomli.loads(text)
    assert key_lines(text) == {
        ("scenario",): 2,
        ("scenario", "name"): 3,
        ("scenario", "says"): 4,
        ("scenario", "seed"): 8,
        ("attack",): 13,
        ("attack", 0): 13,
        ("attack", 0, "use"): 14,
        ("attack", 0, "clients"): 15,
        ("attack", 0, "clients", "count"): 16,
        ("attack", 1): 17,
        ("attack", 1, "use"): 18,
        ("attack", 1, "clients"): 19,
        ("attack", 1, "clients", "count"): 19,
    }


@given(st.lists(st.sampled_from(['"#"', "'['", "[1, [2]]", "{ a = 1 }", '"""\n[x]\n"""', "1"]), min_size=1))
def test_every_key_is_found_on_the_line_where_it_was_written(values: list[str]) -> None:
    lines, expected = ["[t]"], {}
    for index, value in enumerate(values):
        expected["t", f"k{index}"] = sum(line.count("\n") + 1 for line in lines) + 1
        lines.append(f"k{index} = {value}")
    found = key_lines("\n".join(lines))
    assert {path: line for path, line in found.items() if len(path) == 2} == expected
