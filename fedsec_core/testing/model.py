"""What components that build networks promise (names of parts and dtypes are checked where they come in)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fedsec_core.data import Spec
from fedsec_core.federation import Federation
from fedsec_core.hooks.clients import ClientHooks
from fedsec_core.state import Networks
from fedsec_core.testing.bench import SEED, Bench
from fedsec_core.testing.marks import same_bits
from fedsec_core.testing.promises import promise, require
from fedsec_core.vocabulary import Capability


def built(bench: Bench) -> tuple[Networks, Spec]:
    """Return fresh networks for the data of the case's scenario."""
    scenario = bench.scenario()
    spec = Federation.load(scenario, SEED).spec
    return ClientHooks(scenario.slots, SEED).build_networks(spec), spec


def images(spec: Spec, count: int) -> Tensor:
    """Return random images [count, C, H, W]."""
    return torch.rand((count, *spec.shape), generator=torch.Generator().manual_seed(1))


@promise("build_networks")
def check_builds_the_same_weights_from_the_same_stream(bench: Bench) -> None:
    """Server and workers must all start from the same bits."""
    (first, _), (second, _) = built(bench), built(bench)
    require(same_bits(first.state(), second.state()), "two builds from one stream have other weights")


@promise("build_networks")
def check_has_named_parts_with_parameters(bench: Bench) -> None:
    """The direct children are the parts; there is something to learn, and all of it is float32."""
    networks, _ = built(bench)
    require(networks.layout.d > 0, "it has no parameters")
    for name, tensor in networks.module.state_dict().items():
        fine = tensor.dtype == torch.float32 or not tensor.is_floating_point()
        require(fine, f"{name} is {tensor.dtype}, not float32")


@promise("build_networks")
def check_gives_logits_if_it_is_a_classifier(bench: Bench) -> None:
    """A classifier gives finite float32 logits [n, classes] in evaluation mode, for a single image too."""
    networks, spec = built(bench)
    if Capability.CLASSIFIER not in bench.component.provides:
        require(
            Capability.GENERATOR in bench.component.provides, "it provides neither classifier nor generator"
        )
        return
    module = networks.module.eval()
    for count in (1, 3):
        with torch.inference_mode():
            logits = module(images(spec, count))
        found = f"{tuple(logits.shape)} {logits.dtype}"
        right = logits.shape == (count, spec.classes) and logits.dtype == torch.float32
        require(right, f"of {count} images it gives {found}, not logits ({count}, {spec.classes}) float32")
        require(bool(logits.isfinite().all()), "its logits are not finite as built")


@promise("build_networks")
def check_treats_an_image_alike_in_any_company_when_asked(bench: Bench) -> None:
    """In evaluation mode the logits of an image do not depend on the others of its batch."""
    networks, spec = built(bench)
    if Capability.CLASSIFIER not in bench.component.provides:
        return
    module, x = networks.module.eval(), images(spec, 4)
    require(_alike(module, x), "in evaluation mode the logits of an image depend on the others of its batch")


@promise("build_networks")
def check_declares_that_it_mixes_the_samples_of_a_batch(bench: Bench) -> None:
    """In training the logits of an image depend on its batch only if `batch_statistics` is provided."""
    networks, spec = built(bench)
    declared = Capability.BATCH_STATISTICS in bench.component.provides
    if declared or Capability.CLASSIFIER not in bench.component.provides:
        return
    module, x = networks.module.train(), images(spec, 4)
    require(
        _alike(module, x), "it mixes the samples of a batch in training and does not provide batch_statistics"
    )


@torch.no_grad()
def _alike(module: nn.Module, x: Tensor) -> bool:
    """Tell whether the first image gets the same logits when all others change."""
    others = torch.cat([x[:1], 1 - x[1:]])
    found = []
    for batch in (x, others):
        torch.manual_seed(0)
        found.append(module(batch)[0])
    return torch.allclose(found[0], found[1], rtol=1e-4, atol=1e-5)
