"""The method SIMS as data: the row of Table 1."""

from __future__ import annotations

from harness.method import Losses, Method, Optimiser, Part
from harness.registry import METHODS


@METHODS.register_module(name="sims")
def sims() -> Method:
    """SIMS with its memory of training photos, three networks trained side by side, and no discriminator."""
    return Method(
        name="sims",
        title="SIMS",
        generator=Part("sims"),
        losses=Losses(gan="none", feature_matching=0.0, perceptual=1.0, kld=0.0),
        optimiser=Optimiser(lr_generator=1e-4, lr_discriminator=0.0, beta1=0.9, beta2=0.999),
        objective=Part("sims"),
        perceptual={"vgg19": "vgg19_sims", "": "random_vgg_255"},
    )
