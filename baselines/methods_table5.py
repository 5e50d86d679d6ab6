"""The rows of Table 5: what the losses, the discriminator and the norms of SPADE's training are worth.

The paper does not say what stands in for Sync BN in "w/o Sync BN"; here it is instance norm, which
pix2pixHD itself has. "w/o Spectral Norm" takes it from generator and discriminator alike.
"""

from __future__ import annotations

from dataclasses import replace

from baselines.methods import spade
from harness.method import Losses, Method, Part
from harness.registry import METHODS


@METHODS.register_module(name="spade_no_perceptual")
def spade_no_perceptual() -> Method:
    """SPADE without the perceptual loss."""
    return replace(
        spade(), name="spade_no_perceptual", title="w/o perceptual loss", losses=Losses(kld=0.0, perceptual=0.0)
    )


@METHODS.register_module(name="spade_no_feature_matching")
def spade_no_feature_matching() -> Method:
    """SPADE without the loss on the discriminator's features."""
    return replace(
        spade(),
        name="spade_no_feature_matching",
        title="w/o GAN feature matching",
        losses=Losses(kld=0.0, feature_matching=0.0),
    )


@METHODS.register_module(name="spade_deeper_discriminator")
def spade_deeper_discriminator() -> Method:
    """SPADE with one more layer in each discriminator."""
    return replace(
        spade(),
        name="spade_deeper_discriminator",
        title="deeper discriminator",
        discriminator=Part("multiscale", {"layers": 5}),
    )


@METHODS.register_module(name="pix2pixhdpp_no_sync_bn")
def pix2pixhdpp_no_sync_bn() -> Method:
    """pix2pixHD++ with instance norm in place of Sync BN."""
    return replace(
        spade(),
        name="pix2pixhdpp_no_sync_bn",
        title="pix2pixHD++ w/o Sync BN",
        generator=Part("pix2pixhdpp", {"norm": {"name": "instance"}}),
    )


@METHODS.register_module(name="pix2pixhdpp_no_sync_bn_no_sn")
def pix2pixhdpp_no_sync_bn_no_sn() -> Method:
    """pix2pixHD++ with instance norm and without spectral norm, in the discriminator too."""
    return replace(
        spade(),
        name="pix2pixhdpp_no_sync_bn_no_sn",
        title="pix2pixHD++ w/o Sync BN and w/o Spectral Norm",
        generator=Part("pix2pixhdpp", {"norm": {"name": "instance"}, "spectral": False}),
        discriminator=Part("multiscale", {"spectral": False}),
    )
