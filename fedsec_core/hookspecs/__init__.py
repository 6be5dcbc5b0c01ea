"""The hooks: the moments of a federation at which components act, grouped by moment.

The docstrings are the reference. In all of them:

* an implementation names only the arguments that it uses, never as keyword-only;
* tensors handed in are not modified, unless the hook says so;
* `stream` is a `Stream` that belongs to this very call; the global generators of torch, numpy
  and Python are seeded from it too;
* an exception ends the run, names the component and its distribution, and keeps finished rounds.
"""

from __future__ import annotations

from fedsec_core.hookspecs import evaluation, once, server, training

GROUPS = (once, training, server, evaluation)
"""The modules of hookspecs, in the order of a federation's life."""
