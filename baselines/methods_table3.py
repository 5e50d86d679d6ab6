"""The rows of Table 3: where the label map enters, at which width, with which decoder."""

from __future__ import annotations

from dataclasses import replace

from baselines.methods import spade
from harness.method import Method, Part
from harness.registry import METHODS


def _row(name: str, title: str, generator: Part) -> Method:
    """A generator with SPADE's discriminator, losses and optimiser, which all rows share."""
    return replace(spade(), name=name, title=title, generator=generator)


@METHODS.register_module(name="spade_compact")
def spade_compact() -> Method:
    """SPADE with ngf 48: 61M parameters."""
    return _row("spade_compact", "compact decoder w/ SPADE", Part("spade", {"ngf": 48}))


@METHODS.register_module(name="spade_concat")
def spade_concat() -> Method:
    """SPADE's decoder with the label map concatenated to the input of its convs (layout inferred)."""
    return _row("spade_concat", "decoder w/ Concat", Part("spade_concat"))


@METHODS.register_module(name="pix2pixhdpp_spade")
def pix2pixhdpp_spade() -> Method:
    """pix2pixHD++ with SPADE in place of all its norm layers (layout inferred)."""
    return _row("pix2pixhdpp_spade", "pix2pixHD++ w/ SPADE", Part("pix2pixhdpp", {"norm": {"name": "spade"}}))


@METHODS.register_module(name="pix2pixhdpp_concat")
def pix2pixhdpp_concat() -> Method:
    """pix2pixHD++ with the label map concatenated in each residual block (layout inferred)."""
    return _row("pix2pixhdpp_concat", "pix2pixHD++ w/ Concat", Part("pix2pixhdpp_concat"))


@METHODS.register_module(name="pix2pixhdpp_compact")
def pix2pixhdpp_compact() -> Method:
    """pix2pixHD++ with ngf 48: 103M parameters."""
    return _row("pix2pixhdpp_compact", "compact pix2pixHD++", Part("pix2pixhdpp", {"ngf": 48}))
