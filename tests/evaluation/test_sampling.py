"""The study of sampling: figures of known arrays, and toy generators whose z does one thing, or none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.cells import load_suite
from harness.data.base import Classes, DataSet, Sample
from harness.data.encode import encode
from harness.errors import UserError
from harness.evaluation.bench import Bench, open_bench
from harness.evaluation.one_pass import Plan, Reading, Settings, one_pass
from harness.evaluation.places import Places
from harness.evaluation.sampling import (
    colour,
    layout,
    mean_absolute_difference,
    mean_pairwise,
    spread,
    study,
    style_figures,
)
from harness.evaluation.sources import GeneratorSource, noise_for
from harness.labels import LabelMap
from harness.metrics.confusion import scores

CPU = torch.device("cpu")
LIGHT = 0.05  # how far a z of 1 moves the mean colour, in [-1, 1]


@pytest.fixture(scope="module")
def bench() -> Bench:
    suite = load_suite("toyscapes")
    options = {**suite.data_options, "count": 6}
    return open_bench(replace(suite, threads=1, data_options=options), Places(), CPU)


class Lit(nn.Module):
    """The photo of each label map with its mean colour set by z; `deaf` to z: the photo as it is."""

    def __init__(self, bench: Bench, deaf: bool = False) -> None:
        super().__init__()
        self.z_dim, self.deaf = 3, deaf
        self.known = {}
        for index in range(len(bench.dataset)):
            encoded = encode(bench.dataset.load(index), bench.encoding)
            self.known[encoded.indices.numpy().tobytes()] = encoded.photo

    def forward(self, labels: LabelMap, z: Tensor) -> Tensor:
        photos = torch.stack([self.known[one.numpy().tobytes()] for one in labels.indices])
        if self.deaf:
            return photos
        return photos - photos.mean(dim=(2, 3), keepdim=True) + LIGHT * z[:, :, None, None]


class Meter(nn.Module):
    """The z that gives Lit the photo's mean colour; `middle`: always the middle of the prior."""

    def __init__(self, middle: bool = False) -> None:
        super().__init__()
        self.middle = middle

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mu = images.mean(dim=(2, 3)) / LIGHT
        return mu * (not self.middle), torch.zeros_like(mu)


def test_a_z_of_colour_gives_diversity_keeps_the_layout_and_takes_styles_on(bench: Bench) -> None:
    found = study(bench, GeneratorSource(Lit(bench), "lit", CPU), Meter(), samples=4, label_maps=6)
    (net,) = found["diversity"]["features"]
    assert (net["net"], net["weights"]) == ("toyscapes", bench.nets[0].weights)
    assert 0 < net["samples"] < net["photos"]
    assert net["ratio"] == pytest.approx(net["samples"] / net["photos"])
    # Means of three normal channels, in grey levels, differ by 2 / sqrt(pi) of their deviation.
    assert found["diversity"]["pixels"]["samples"] == pytest.approx(LIGHT * 127.5 * 2 / np.sqrt(np.pi), rel=0.3)
    assert found["layout"]["kept"]
    assert len(found["layout"]["miou"]) == 4
    assert found["layout"]["mean"] > 0.6
    style = found["style"]
    assert style["pairs"] == 6
    assert style["random"]["moved"] == style["other_style"]["moved"] == 1.0
    assert style["random"]["mean_ratio"] < 0.6
    assert style["other_style"]["mean_ratio"] < 0.6


def test_a_generator_that_ignores_z_has_no_diversity_and_takes_no_style_on(bench: Bench) -> None:
    found = study(bench, GeneratorSource(Lit(bench, deaf=True), "deaf", CPU), Meter(), samples=3, label_maps=6)
    assert found["diversity"]["features"][0]["samples"] == 0
    assert found["diversity"]["pixels"]["samples"] == 0
    assert found["diversity"]["pixels"]["photos"] > 0
    assert found["layout"]["largest_deviation_points"] == 0
    for other in ("random", "other_style"):
        assert found["style"][other]["moved"] == 0
        assert found["style"][other]["mean_ratio"] == pytest.approx(1.0)


def test_an_encoder_that_answers_the_middle_takes_no_style_on(bench: Bench) -> None:
    found = study(bench, GeneratorSource(Lit(bench), "lit", CPU), Meter(middle=True), samples=3, label_maps=6)
    assert found["style"]["other_style"]["moved"] == 0
    assert found["style"]["other_style"]["mean_ratio"] == pytest.approx(1.0)


def test_with_two_label_maps_no_other_style_is_compared(bench: Bench) -> None:
    told: list[tuple[int, int]] = []
    source = GeneratorSource(Lit(bench), "lit", CPU)
    words = {"samples": 2, "progress": lambda done, total: told.append((done, total))}
    style = study(bench, source, Meter(), label_maps=2, **words)["style"]
    assert style["other_style"] is None
    assert style["random"]["moved"] == 1.0
    assert told[-1] == (6, 6)
    assert study(bench, source, Meter(), label_maps=3, **words)["style"]["other_style"]["moved"] == 1.0
    assert told[-1] == (12, 12)


class Finer:
    """toyscapes whose label maps have three classes more, which no score counts; `known`: it says so."""

    def __init__(self, plain: DataSet, known: bool = True) -> None:
        self.plain, self.names = plain, plain.names
        own = plain.classes
        self.classes = Classes(("x", "y", "z", *own.names), None, ((0, 0, 0),) * 3 + own.palette)
        if known:
            self.scored_classes = replace(own, void=255)
            self.to_scored = np.array([255, 255, 255, *range(len(own))], dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.plain)

    def load(self, index: int) -> Sample:
        sample = self.plain.load(index)
        label = sample.label + 3
        label[:8, :8] = 1
        return replace(sample, label=label)


def test_layouts_are_scored_over_the_scored_classes(bench: Bench) -> None:
    data = Finer(bench.dataset)
    finer = replace(bench, dataset=data, encoding=replace(bench.encoding, classes=data.classes))
    source = GeneratorSource(Lit(finer), "lit", CPU)
    found = study(finer, source, None, samples=2, label_maps=2)
    protocol = bench.signed.protocol
    reading = Reading(bench.segmenter, protocol)
    plan = Plan({reading.key: reading}, [])
    passed = one_pass(replace(source, sample=1), data, finer.encoding, plan, Settings(CPU)).confusions[reading.key]
    assert passed.classes == data.scored_classes.names
    assert passed.dense(0)[-1].sum() == 64  # the pixels that no score counts
    both = passed.dense(0) + passed.dense(3)
    assert found["label_maps"] == [passed.names[0], passed.names[3]]
    assert found["layout"]["miou"][1] == pytest.approx(scores(both, protocol.class_mean)["miou"])
    assert found["layout"]["mean"] > 0.6


def test_a_segmenter_of_other_classes_is_refused_before_anything_is_generated(bench: Bench) -> None:
    data = Finer(bench.dataset, known=False)
    finer = replace(bench, dataset=data, encoding=replace(bench.encoding, classes=data.classes))
    source = GeneratorSource(Lit(bench), "lit", CPU)
    with pytest.raises(UserError, match="knows 9 classes, the data set has 12 scored"):
        study(finer, source, None, samples=2, label_maps=2)
    reading = Reading(bench.segmenter, bench.signed.protocol)
    plan = Plan({reading.key: reading}, [])
    with pytest.raises(UserError, match="knows 9 classes, the data set has 12 scored"):
        one_pass(source, data, finer.encoding, plan, Settings(CPU))


def test_the_study_is_the_same_twice_and_at_any_batch_size(bench: Bench) -> None:
    source = GeneratorSource(Lit(bench), "lit", CPU)
    one, two, large = (
        study(bench, source, Meter(), samples=2, label_maps=5, batch=batch)["diversity"] for batch in (2, 2, 5)
    )
    assert one == two
    assert large["features"][0]["samples"] == pytest.approx(one["features"][0]["samples"], rel=1e-5)
    assert large["pixels"] == pytest.approx(one["pixels"], rel=1e-5)
    other = study(bench, replace(source, seed=1), Meter(), samples=2, label_maps=5)["diversity"]
    assert other["pixels"]["samples"] != one["pixels"]["samples"]


def test_without_an_encoder_there_is_no_style_and_all_images_are_told_of(bench: Bench) -> None:
    told: list[tuple[int, int]] = []
    source = GeneratorSource(Lit(bench), "lit", CPU)
    found = study(bench, source, None, samples=2, label_maps=3, progress=lambda done, total: told.append((done, total)))
    assert found["style"] is None
    assert found["label_maps"] == ["val_00000", "val_00002", "val_00004"]
    assert told[-1] == (6, 6)


@pytest.mark.parametrize(
    ("samples", "label_maps", "said"), [(1, 3, "--samples"), (2, 1, "--label-maps"), (2, 7, "2 to 6")]
)
def test_a_study_of_too_few_or_too_many_is_refused(bench: Bench, samples: int, label_maps: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        study(bench, GeneratorSource(Lit(bench), "lit", CPU), None, samples=samples, label_maps=label_maps)


def test_a_generator_without_z_is_refused(bench: Bench) -> None:
    generator = Lit(bench)
    generator.z_dim = 0
    with pytest.raises(UserError, match="'plain' takes no z"):
        study(bench, GeneratorSource(generator, "lit", CPU), None, method="plain")


def test_z_of_a_sample_follows_seed_name_and_number() -> None:
    plain = noise_for(["a", "b"], 4, 1)
    assert torch.equal(noise_for(["a", "b"], 4, 1, sample=0), plain)
    second = noise_for(["a", "b"], 4, 1, sample=1)
    assert torch.equal(noise_for(["b"], 4, 1, sample=1)[0], second[1])
    others = [plain, second, noise_for(["a", "b"], 4, 1, sample=2), noise_for(["a", "b"], 4, 2, sample=1)]
    rows = {tuple(row.tolist()) for noise in others for row in noise}
    assert len(rows) == 8


def test_distances_between_pairs() -> None:
    assert mean_pairwise(np.array([[0, 0], [3, 4], [0, 0]], np.float32)) == pytest.approx(10 / 3)
    black, grey = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 200, np.uint8)
    assert mean_absolute_difference([black, grey, grey]) == pytest.approx(400 / 3)
    half = np.concatenate([black, np.full((2, 2, 3), (10, 20, 0), np.uint8)])
    assert colour(half) == pytest.approx([5, 10, 0, 5, 10, 0])


@given(count=st.integers(2, 30), total=st.integers(2, 300))
def test_label_maps_are_spread_without_repetition(count: int, total: int) -> None:
    if count > total:
        with pytest.raises(UserError):
            spread(count, total)
        return
    chosen = spread(count, total)
    assert chosen[0] == 0
    assert len(set(chosen)) == count
    assert max(np.diff(chosen)) - min(np.diff(chosen)) <= 1
    assert chosen[-1] < total


def test_a_set_of_samples_that_loses_the_layout_is_told() -> None:
    good, bad = np.diag([8, 8, 0]), np.array([[8, 0, 0], [4, 4, 0], [0, 0, 0]])
    assert layout(np.stack([good, good]), "union") == {
        "miou": [1.0, 1.0],
        "mean": 1.0,
        "largest_deviation_points": 0.0,
        "kept": True,
    }
    found = layout(np.stack([good, bad]), "union")
    assert found["largest_deviation_points"] == pytest.approx(100 * (1 - (8 / 12 + 4 / 8) / 2) / 2)
    assert not found["kept"]


@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
def test_random_styles_are_no_nearer_than_a_third_photos(seed: int, samples: int) -> None:
    rng = np.random.default_rng(seed)
    right, third, wanted = rng.uniform(0, 255, (3, 400, 6))
    random = rng.uniform(0, 255, (400, samples, 6))
    found = style_figures(right, third, random, wanted)
    assert 0.35 < found["other_style"]["moved"] < 0.65
    assert found["distance"] == pytest.approx(found["random"]["distance"], rel=0.2)
    exact = style_figures(wanted, third, random, wanted)
    assert exact["random"]["moved"] == exact["other_style"]["moved"] == 1.0
    assert exact["other_style"]["mean_ratio"] == 0.0
