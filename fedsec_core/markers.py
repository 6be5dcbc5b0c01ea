"""The two pluggy markers: `hookspec` for the core, `hookimpl` for every component."""

from __future__ import annotations

import pluggy

PROJECT = "fedsec"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
