"""The methods of Table 1 as data (Park et al. 2019, section 4 and appendix A); SIMS has a package of its own."""

from __future__ import annotations

from harness.method import Losses, Method, Optimiser, Part
from harness.registry import METHODS


@METHODS.register_module(name="spade")
def spade() -> Method:
    """SPADE from the label map alone: the paper's default row."""
    return Method(
        name="spade",
        title="SPADE",
        generator=Part("spade"),
        discriminator=Part("multiscale"),
        losses=Losses(kld=0.0),
    )


@METHODS.register_module(name="spade_vae")
def spade_vae() -> Method:
    """SPADE with the image encoder: many images for one label map, style taken from a photo."""
    return Method(
        name="spade_vae",
        title="SPADE w/ encoder",
        generator=Part("spade", {"use_z": True}),
        discriminator=Part("multiscale"),
        encoder=Part("conv"),
    )


@METHODS.register_module(name="pix2pixhdpp")
def pix2pixhdpp() -> Method:
    """pix2pixHD++: pix2pixHD's body with everything of SPADE's training but the SPADE layer."""
    return Method(
        name="pix2pixhdpp",
        title="pix2pixHD++",
        generator=Part("pix2pixhdpp"),
        discriminator=Part("multiscale"),
        losses=Losses(kld=0.0),
    )


@METHODS.register_module(name="pix2pixhd")
def pix2pixhd() -> Method:
    """pix2pixHD with its own losses, optimiser and discriminator (Wang et al. 2018; global generator)."""
    return Method(
        name="pix2pixhd",
        title="pix2pixHD",
        generator=Part("pix2pixhd"),
        discriminator=Part("multiscale_pix2pixhd"),
        losses=Losses(gan="least_squares", gan_over_scales="sum", discriminator=0.5, kld=0.0),
        optimiser=Optimiser(lr_generator=2e-4, lr_discriminator=2e-4, beta1=0.5, beta2=0.999),
        fresh_fake=False,
    )


@METHODS.register_module(name="crn")
def crn() -> Method:
    """CRN with its own feature loss over nine images, layer norm and no discriminator (Chen and Koltun 2017)."""
    return Method(
        name="crn",
        title="CRN",
        generator=Part("crn"),
        losses=Losses(gan="none", feature_matching=0.0, perceptual=1.0, kld=0.0),
        optimiser=Optimiser(lr_generator=1e-4, lr_discriminator=0.0, beta1=0.9, beta2=0.999),
        objective=Part("diversity"),
        perceptual={"vgg19": "vgg19_crn", "": "random_vgg_255"},
    )
