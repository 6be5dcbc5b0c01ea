"""Describes the detectors that fade out clients whose generators have an outlying loss."""

from __future__ import annotations

from typing import ClassVar

import attrs

from fedsec_core.component import Component, parameter
from fedsec_core.vocabulary import Capability
from fedsec_feddetect.plugin.source import JIN_LI

SERVER = (
    "Whose loss: the one that the client reports, or that of its generator against a discriminator "
    "which the server trains on its own samples."
)


@attrs.frozen(kw_only=True)
class _Fading(Component):
    """What the detectors share: whose losses they read, and how a flag makes a client fade."""

    loss_source: str = parameter("reported", doc=SERVER, choices=("reported", "server_evaluated"))
    warm_up: int = parameter(10, doc="Rounds before anybody is flagged: T_w.", at_least=0)
    decay: float = parameter(
        0.9, doc="Factor gamma: the c-th flag multiplies a client's weight by gamma ** c.", above=0, below=1
    )
    trees: int = parameter(100, doc="Trees of the forest.", at_least=1)
    seed: int = parameter(999, doc="Seed of the forest, the authors' own.", at_least=0)
    server_steps: int = parameter(
        40, doc="Batches of 32 that the server's discriminator learns from in a round.", at_least=1
    )

    @property
    def needs(self) -> frozenset[Capability]:
        always = {Capability.CLIENT_IDENTITY}
        if self.loss_source == "reported":
            return frozenset(always | {Capability.REPORTED_METRICS})
        return frozenset(
            always | {Capability.INDIVIDUAL_UPDATES, Capability.SERVER_DATA, Capability.GENERATOR}
        )


@attrs.frozen(kw_only=True)
class FedDetect(_Fading):
    """Isolation forest on the clients' generator losses; a flagged client fades out, for good.

    As in the authors' code: where fewer than half of the cohort (floor(K / 2)) stand out, each of them gets
    a further flag. Trust is a client's weight over the largest weight, so that with `weights = "equal"`
    the server merges with the paper's weights. The score is the forest's.
    """

    paper: ClassVar[str] = JIN_LI
    cost: ClassVar[str] = (
        "a forest of 100 trees on n numbers; with server_evaluated a GAN's round on the server"
    )
    limits: ClassVar[str] = (
        "acts from 4 clients on, and on one flagged client of 4 or 5; flags honest clients in 43 to 100 % of "
        "clean rounds, and never forgives; a client that lies about its loss passes (loss_source)"
    )
    deviates: ClassVar[str] = (
        "none from the released code of the preliminary version; the journal's final form could not be "
        "read. A client without a finite loss is flagged and left out of the round, and counts in K"
    )
    oracle: ClassVar[str] = (
        "the rule written out on its own over 60 rounds; the weights of round 11 of the released log; sklearn"
    )

    metric: str = parameter("generator_loss", doc="Which reported loss: that of the last batch.")

    def build(self) -> object:
        from fedsec_feddetect.runtime.feddetect import FedDetectDetector

        return FedDetectDetector(self)


@attrs.frozen(kw_only=True)
class CalibratedFedDetect(_Fading):
    """FedDetect that spares honest clients: smoothed losses, a margin, and forgiveness.

    A client is flagged if the forest sets its smoothed loss apart, and that loss is also above the
    median by more than `margin` deviations. The deviation is the median absolute one, made
    comparable to a standard deviation, and at least the share `floor` of the median. A client that
    has not stood out for `forgive` rounds in a row starts afresh, with its whole weight. The score
    is the number of deviations.
    """

    paper: ClassVar[str] = JIN_LI
    cost: ClassVar[str] = (
        "a forest of 100 trees on n numbers; with server_evaluated a GAN's round on the server"
    )
    limits: ClassVar[str] = (
        "acts from 4 clients on, and on one flagged client of 4 or 5; an attacker whose loss stays within "
        "the margin, or who lies about it, passes"
    )
    deviates: ClassVar[str] = (
        "ours, after the released rule: losses are means over a round, smoothed over rounds; only high "
        "ones are suspect; flags are forgiven"
    )
    oracle: ClassVar[str] = "worked examples of margin, smoothing and forgiveness; FedDetect's own tests"

    metric: str = parameter("mean_generator_loss", doc="Which reported loss: the mean over the round.")
    smoothing: float = parameter(
        0.3, doc="Weight of the newest round in a client's smoothed loss.", above=0, at_most=1
    )
    margin: float = parameter(3.0, doc="Deviations above the median from which a loss is suspect.", above=0)
    floor: float = parameter(0.1, doc="Least deviation, as a share of the median.", above=0)
    forgive: int = parameter(
        5, doc="Rounds in a row of not standing out after which all is forgotten.", at_least=1
    )

    def build(self) -> object:
        from fedsec_feddetect.runtime.feddetect import CalibratedDetector

        return CalibratedDetector(self)
