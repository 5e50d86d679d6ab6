"""Starting weights, shared one-hot label maps, spectral norm, and what generators refuse."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from baselines.discriminators import MultiscaleDiscriminator, Pix2PixHDDiscriminator
from baselines.encoder import ConvEncoder
from baselines.init import Kind, initialise
from baselines.layers import spectral
from baselines.one_hot import SharedLabels
from baselines.pix2pixhd import Pix2PixHD
from baselines.pix2pixhdpp import Pix2PixHDPlusPlus
from baselines.pix2pixhdpp_concat import Pix2PixHDPlusPlusConcat
from baselines.spade import SPADEGenerator
from baselines.spade_concat import SPADEConcatGenerator
from harness.errors import UserError
from harness.labels import LabelMap, LabelSpec

LABELS = LabelSpec(classes=4, edges=True)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def labels_of(height: int, width: int, seed: int = 0) -> LabelMap:
    indices = torch.randint(0, LABELS.classes, (2, height, width), generator=seeded(seed))
    return LabelMap(indices, LABELS, torch.rand(2, height, width, generator=seeded(seed)) < 0.2)


@pytest.mark.parametrize(
    ("kind", "std", "bias"), [("xavier", 0.02 * math.sqrt(2 / (9 * (64 + 32))), 0.0), ("normal", 0.02, 1 / 24)]
)
def test_weights_have_the_published_spread(kind: Kind, std: float, bias: float) -> None:
    net = nn.Sequential(spectral(nn.Conv2d(64, 32, 3)), nn.BatchNorm2d(4000))
    initialise(net, seeded(), kind)
    state = net.state_dict()
    assert float(state["0.weight_orig"].std()) == pytest.approx(std, rel=0.02)
    assert float(state["0.bias"].abs().max()) == pytest.approx(bias, rel=0.1)
    assert float(state["1.weight"].mean()) == pytest.approx(1.0, abs=0.002)
    assert float(state["1.weight"].std()) == pytest.approx(0.02, rel=0.05)
    assert not state["1.bias"].any()
    assert float(state["0.weight_u"].norm()) == pytest.approx(1.0, abs=1e-5)
    assert float(state["0.weight_v"].norm()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("layer", [nn.Conv2d(6, 4, 3), nn.ConvTranspose2d(6, 4, 3), nn.Linear(6, 4)])
def test_a_training_forward_after_the_start_goes_on_from_u(layer: nn.Module) -> None:
    wrapped = spectral(layer)
    initialise(nn.Sequential(wrapped), seeded(), "xavier")
    before = wrapped.get_buffer("weight_v").clone()
    wrapped.train()(torch.randn(2, 6) if isinstance(layer, nn.Linear) else torch.randn(2, 6, 5, 5))
    torch.testing.assert_close(wrapped.get_buffer("weight_v"), before, rtol=0, atol=1e-5)


def test_a_layer_with_a_rule_of_its_own_sets_itself() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.zeros(3))
            self.inner = nn.Linear(2, 2)

        def initialise(self, rng: torch.Generator) -> None:
            nn.init.uniform_(self.table, 5, 6, generator=rng)
            nn.init.constant_(self.inner.weight, 7.0)

    own = Own()
    initialise(nn.Sequential(nn.Sequential(own)), seeded(), "xavier")
    assert float(own.table.detach().min()) >= 5
    assert bool((own.inner.weight == 7).all())


def test_spectral_norm_stays_in_float32_under_autocast() -> None:
    conv = spectral(nn.Conv2d(8, 8, 3))
    initialise(nn.Sequential(conv), seeded(), "xavier")
    x = torch.randn(1, 8, 6, 6, generator=seeded())
    conv(x)
    expected = conv.weight.detach().clone()
    initialise(nn.Sequential(conv), seeded(), "xavier")
    with torch.autocast("cpu", torch.bfloat16):
        assert conv(x).dtype == torch.bfloat16
    assert torch.equal(conv.weight, expected)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 24), st.integers(1, 24), st.integers(0, 99))
def test_shared_labels_are_the_labels(height: int, width: int, to_height: int, to_width: int, seed: int) -> None:
    labels = labels_of(height, width, seed)
    shared = SharedLabels(labels).resized(to_height, to_width)
    plain = labels.resized(to_height, to_width)
    assert torch.equal(shared.one_hot(), plain.one_hot())
    assert torch.equal(shared.one_hot(torch.bfloat16), plain.one_hot(torch.bfloat16))
    assert shared.size == plain.size


def test_a_forward_makes_one_one_hot_for_each_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, int]] = []
    original = LabelMap.one_hot

    def counting(self: LabelMap, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        made.append(self.size)
        return original(self, dtype)

    monkeypatch.setattr(LabelMap, "one_hot", counting)
    labels = labels_of(64, 64)
    SPADEGenerator(LABELS, (64, 64), ngf=2, norm={"name": "spade", "hidden": 4})(labels)
    assert sorted(made) == [(side, side) for side in (2, 4, 8, 16, 32, 64)]
    assert not hasattr(labels, "_one_hots")  # the cache ended with the forward


@pytest.mark.parametrize(("upsampling", "size"), [("normal", (32, 64)), ("more", (64, 128)), ("most", (128, 128))])
@pytest.mark.parametrize("use_z", [False, True])
def test_every_upsampling_makes_the_size(upsampling: str, size: tuple[int, int], use_z: bool) -> None:
    net = SPADEGenerator(
        LABELS, size, ngf=2, use_z=use_z, z_dim=5, upsampling=upsampling, norm={"name": "spade", "hidden": 4}
    )
    z = torch.randn(2, 5, generator=seeded()) if use_z else None
    assert net(labels_of(*size), z).shape == (2, 3, *size)


@pytest.mark.parametrize(
    "make", [SPADEGenerator, SPADEConcatGenerator, Pix2PixHDPlusPlus, Pix2PixHDPlusPlusConcat, Pix2PixHD]
)
def test_label_maps_of_another_size_are_resized(make: Callable[..., nn.Module]) -> None:
    net = make(LABELS, (64, 64), ngf=2).eval()
    labels = labels_of(128, 128)
    with torch.no_grad():
        torch.testing.assert_close(net(labels), net(labels.resized(64, 64)), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SPADEGenerator(LABELS, (48, 64)), "64x48.*multiples of 32"),
        (lambda: SPADEGenerator(LABELS, (96, 96), upsampling="more"), "multiples of 64"),
        (lambda: SPADEGenerator(LABELS, (64, 64), upsampling="mor"), "did you mean more"),  # type: ignore[arg-type]  # wrong on purpose
        (lambda: SPADEConcatGenerator(LABELS, (48, 64)), "'spade_concat'.*64x48.*multiples of 32"),
        (lambda: Pix2PixHD(LABELS, (40, 64)), "64x40.*multiples of 16"),
        (lambda: Pix2PixHDPlusPlus(LABELS, (16, 64)), "multiples of 16 from 32 up"),
        (lambda: ConvEncoder(size=96), "power of two"),
    ],
)
def test_what_cannot_be_built_is_one_clear_line(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def read_by(net: nn.Module, labels: LabelMap) -> dict[str, torch.Tensor]:
    """What each conv of a residual block read in one forward, by the conv's name."""
    read: dict[str, torch.Tensor] = {}
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d) and ("conv_block" in name or name.split(".")[-1].startswith("conv_")):
            layer.register_forward_pre_hook(lambda layer, given, name=name: read.update({name: given[0].detach()}))
    net(labels)
    return read


def test_the_concat_decoder_gives_every_3x3_conv_of_its_blocks_the_resized_label_map() -> None:
    labels = labels_of(64, 128)
    net = SPADEConcatGenerator(LABELS, (64, 128), ngf=2, upsampling="more")
    convs = {name: x for name, x in read_by(net, labels).items() if name != "conv_img"}
    assert len([name for name in convs if name.endswith("conv_s")]) == 4
    assert len(convs) == 7 * 2 + 4
    for name, x in convs.items():
        expected = labels.resized(x.shape[2], x.shape[3]).one_hot()
        if name.endswith("conv_s"):
            assert x.shape[1] == net.get_submodule(name).get_parameter("weight_orig").shape[1] >= 4
            assert not torch.equal(x[:, -LABELS.channels :], expected)
        else:
            assert torch.equal(x[:, -LABELS.channels :], expected), name
    assert all(not list(norm.parameters()) for name, norm in net.named_modules() if ".norm_" in name)


def test_the_concat_body_gives_the_first_conv_of_its_blocks_the_resized_label_map() -> None:
    labels = labels_of(64, 96)
    net = Pix2PixHDPlusPlusConcat(LABELS, (64, 96), ngf=2, blocks=3)
    convs = read_by(net, labels)
    assert len(convs) == 3 * 2
    expected = labels.resized(4, 6).one_hot()
    widths = [x.shape[1] for x in convs.values()]
    assert widths == [32 + LABELS.channels, 32] * 3
    for x in list(convs.values())[::2]:
        assert torch.equal(x[:, 32:, 1:-1, 1:-1], expected)
    assert net(labels).shape == (2, 3, 64, 96)


def test_a_generator_that_starts_from_z_asks_for_it() -> None:
    with pytest.raises(ValueError, match="starts from z"):
        SPADEGenerator(LABELS, (32, 32), ngf=2, use_z=True)(labels_of(32, 32))


@pytest.mark.parametrize("layers", [3, 4, 5])
@pytest.mark.parametrize("make", [MultiscaleDiscriminator, Pix2PixHDDiscriminator])
def test_scales_come_full_size_first_and_end_in_logits(make: Callable[..., nn.Module], layers: int) -> None:
    outputs = make(LABELS, num_scales=3, layers=layers, ndf=2)(labels_of(64, 64), torch.zeros(2, 3, 64, 64))
    assert [len(scale) for scale in outputs] == [layers + 1] * 3
    assert [scale[0].shape[2] for scale in outputs] == [33, 17, 9]
    assert all(scale[-1].shape[1] == 1 for scale in outputs)


def test_pix2pixhds_last_scale_sees_full_size() -> None:
    net = Pix2PixHDDiscriminator(LABELS, ndf=2)
    labels, images = labels_of(64, 64), torch.randn(2, 3, 64, 64, generator=seeded())
    before = net(labels, images)
    with torch.no_grad():
        net.get_submodule("scale1_layer0").get_parameter("0.bias").add_(1.0)
    after = net(labels, images)
    assert not torch.equal(before[0][0], after[0][0])
    assert torch.equal(before[1][0], after[1][0])


@pytest.mark.parametrize("norm", ["none", "batch", {"name": "spade", "hidden": 4}])
def test_networks_take_any_norm_of_the_registry(norm: object) -> None:
    labels, images = labels_of(64, 64), torch.zeros(2, 3, 64, 64)
    for make in (SPADEGenerator, SPADEConcatGenerator, Pix2PixHDPlusPlus, Pix2PixHDPlusPlusConcat, Pix2PixHD):
        assert make(LABELS, (64, 64), ngf=2, norm=norm)(labels).shape == images.shape  # type: ignore[arg-type, operator]
    for judge in (MultiscaleDiscriminator, Pix2PixHDDiscriminator):
        assert len(judge(LABELS, ndf=2, norm=norm)(labels, images)) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "layers"), [(8, 1), (64, 4), (256, 6)])
def test_the_encoder_halves_down_to_four_pixels(size: int, layers: int) -> None:
    net = ConvEncoder(ndf=2, z_dim=3, size=size)
    assert net.layers == layers
    assert [tuple(out.shape) for out in net(torch.zeros(2, 3, 40, 72))] == [(2, 3), (2, 3)]
