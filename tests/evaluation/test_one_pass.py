"""One pass for several protocols: what it shares, at which sizes it looks, what it keeps and what it notes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scored_stubs import CPU, Bright, Means, Painted, Resized, bench_of, same_confusion, small_suite, timeless
from torch import Tensor, nn

from ablations.grid import load_grid
from harness.data.toyscapes import Toyscapes
from harness.errors import UserError
from harness.evaluation import bench as bench_module
from harness.evaluation.bench import Bench, Nets, open_bench, photos_id
from harness.evaluation.evaluate import Subject, evaluate, evaluate_all
from harness.evaluation.one_pass import Plan, Reading, Settings, one_pass
from harness.evaluation.places import Places
from harness.evaluation.shards import Team
from harness.evaluation.sources import GeneratorSource, PhotoSource, given_source
from harness.labels import LabelMap
from harness.metrics.frechet import FeatureStats
from harness.metrics.kernel import kernel_distance
from harness.protocols.load import shipped
from reports.build import build_table

SUBJECT = Subject(method="images", title="painted")
FOUR = Settings(CPU, 4)


def every_protocol() -> list[dict[str, Any]]:
    """Changes to toyscapes' own protocol: what is shipped, and what no shipped one has."""
    own = small_suite().protocol.as_dict()
    found = [{k: v for k, v in p.as_dict().items() if v != own[k]} for p in shipped(small_suite()).values()]
    return [*found, {"name": "kernel", "kernel": True}, {"name": "label-image", "label": "image"}]


def test_several_protocols_in_one_pass_give_the_numbers_of_each_alone() -> None:
    suite, changes = small_suite(), every_protocol()
    nets = Nets(Places(), CPU)
    together = evaluate_all([bench_of(suite, nets=nets, **one) for one in changes], Painted(), SUBJECT, FOUR)
    assert len(together) == len(changes) >= 7
    for (record, confusion), one in zip(together, changes, strict=True):
        alone, own = evaluate(bench_of(suite, **one), Painted(), SUBJECT, FOUR)
        assert timeless(record) == timeless(alone)
        assert same_confusion(confusion, own)
    by_name = {record.protocol["name"]: record.scores for record, _ in together}
    assert 0 < by_name["output-size"]["miou"] != by_name["native"]["miou"]
    assert by_name["bicubic"]["miou"] != by_name["native"]["miou"]


def test_an_image_is_made_once_read_once_by_each_way_of_reading_and_described_once() -> None:
    suite, source, segmenter, net = small_suite(), Painted(), Bright(), Means()
    nets = Nets(Places(), CPU, _segmenters={"toyscapes": segmenter}, _features={"toyscapes": net})
    # A kernel distance keeps the features of the reference, for which they are taken once more.
    benches = [bench_of(suite, nets=nets, **one) for one in every_protocol() if "kernel" not in one]
    evaluate_all(benches, source, SUBJECT, FOUR)
    assert source.asked == list(benches[0].dataset.names)
    # native and all averages; bicubic; output-size; label-image.
    assert sum(count for count, *_ in segmenter.seen) == 4 * 12
    assert net.seen == 12 + 12  # the images, and the reference of all protocols


@pytest.mark.parametrize(
    ("changes", "seen", "compared"),
    [
        ({}, (64, 64), 64 * 64),
        ({"resize": "bicubic"}, (64, 64), 64 * 64),
        ({"image": "own"}, (32, 32), 64 * 64),
        ({"image": "own", "label": "image"}, (32, 32), 32 * 32),
    ],
)
@pytest.mark.parametrize("source", [Painted(), PhotoSource("photos")], ids=["generator", "photos"])
def test_the_segmenter_sees_the_size_that_the_protocol_says(
    changes: dict[str, Any], seen: tuple[int, int], compared: int, source: Any
) -> None:
    segmenter, net = Bright(), Means()
    bench = bench_of(segmenter=segmenter, feature_nets={"toyscapes": net}, **changes)
    _, confusion = evaluate(bench, source, SUBJECT, FOUR)
    assert set(segmenter.seen) == {(4, *seen)}
    assert confusion.total().sum() == 12 * compared
    assert net.sizes == {(32, 32)}


def test_images_of_another_size_are_refused_by_name() -> None:
    said = "image 'val_00000' is 40x48, images of this suite are 32x32 .--fit bicubic resizes them"
    with pytest.raises(UserError, match=said):
        evaluate(bench_of(), Painted((48, 40)), SUBJECT, FOUR)


def test_fit_bicubic_resizes_before_all_else_and_says_so() -> None:
    fitted, _ = evaluate(bench_of(fit="bicubic"), Painted((48, 40)), SUBJECT, FOUR)
    exact, _ = evaluate(bench_of(), Resized((48, 40), (32, 32)), SUBJECT, FOUR)
    assert fitted.scores == exact.scores
    assert "fake:any>32x32:bicubic>label:bilinear" in fitted.protocol["signature"]
    assert fitted.protocol["hash"] != exact.protocol["hash"]
    for half in ("segmentation", "distance"):
        assert fitted.protocol[half]["hash"] != exact.protocol[half]["hash"]


def test_fit_own_leaves_images_to_the_segmenter_and_resizes_them_for_the_feature_nets() -> None:
    segmenter, net = Bright(), Means()
    bench = bench_of(segmenter=segmenter, feature_nets={"toyscapes": net}, fit="own", image="own", label="image")
    own, confusion = evaluate(bench, Painted((48, 40)), SUBJECT, FOUR)
    assert set(segmenter.seen) == {(4, 48, 40)}
    assert net.sizes == {(32, 32)}
    assert confusion.total().sum() == 12 * 48 * 40
    other = bench_of(segmenter=segmenter, feature_nets={"toyscapes": net}, fit="bicubic", image="own", label="image")
    bicubic, _ = evaluate(other, Painted((48, 40)), SUBJECT, FOUR)
    assert own.scores["fd_toyscapes"] == bicubic.scores["fd_toyscapes"]
    assert "fake:own label:image" in own.protocol["signature"]


@pytest.mark.parametrize("batch", [4, 5, 100])
def test_an_incomplete_last_batch_counts(batch: int) -> None:
    bench = bench_of(small_suite(count=11))
    reading = Reading(bench.segmenter, bench.protocol)
    plan = Plan({reading.key: reading}, bench.nets)
    passed = one_pass(Painted(), bench.dataset, bench.encoding, plan, Settings(CPU, batch))
    [confusion] = passed.confusions.values()
    assert confusion.names == tuple(bench.dataset.names)
    assert [int(confusion.dense(i).sum()) for i in range(11)] == [64 * 64] * 11
    assert passed.features["toyscapes"].count == 11


class Coloured(nn.Module):
    """A generator: a colour for each class, smoothed, so that values lie between whole ones."""

    z_dim = 0

    def __init__(self) -> None:
        super().__init__()
        self.colours = nn.Parameter(torch.rand(9, 3, generator=torch.Generator().manual_seed(0)) * 2.2 - 1.1)

    def forward(self, labels: LabelMap, z: Tensor | None) -> Tensor:
        return nn.functional.avg_pool2d(self.colours[labels.indices].permute(0, 3, 1, 2), 3, 1, 1)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("generator", {}),
        ("generator", {"kernel": True, "image": "own", "label": "image"}),
        ("photos", {"fit": "own"}),
        ("photos", {"fit": "own", "resize": "bicubic", "void": "wrong"}),
    ],
)
def test_the_folder_that_a_pass_saved_scores_as_that_pass_to_the_last_digit(
    kind: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    suite = small_suite(count=11)
    bench = bench_of(suite, **changes)
    source = GeneratorSource(Coloured(), "cell", CPU) if kind == "generator" else PhotoSource(photos_id(bench))
    first, confusion = evaluate(bench, source, SUBJECT, replace(FOUR, save_images=tmp_path))
    assert len(list(tmp_path.iterdir())) == 11
    again = bench_of(suite, **changes)
    second, found = evaluate(again, given_source(tmp_path, again.dataset), SUBJECT, FOUR)
    assert second.scores == first.scores
    assert second.protocol == first.protocol
    assert same_confusion(confusion, found)


def cached(tmp_path: Path, net: Any = None, suite: Any = None, **changes: Any) -> Bench:
    return bench_of(suite, Places(cache=tmp_path), Bright(), {"toyscapes": net or Means()}, **changes)


def test_the_reference_is_cached_by_content_net_and_size(tmp_path: Path) -> None:
    def files(bench: Bench) -> int:
        bench.reference()
        return len(list(tmp_path.iterdir()))

    assert files(cached(tmp_path)) == 1
    net = Means()
    assert files(cached(tmp_path, net, void="wrong", image="own")) == 1
    assert net.seen == 0
    assert files(cached(tmp_path, suite=small_suite(size=(64, 64)))) == 2
    assert files(cached(tmp_path, suite=small_suite(count=11))) == 3
    assert files(cached(tmp_path, Means(weights="00000000"))) == 4
    assert files(cached(tmp_path, reference="train")) == 5
    assert files(cached(tmp_path, Means(weights="random"))) == 5


def test_a_cache_without_all_features_is_made_anew_for_a_kernel_distance(tmp_path: Path) -> None:
    net = Means()
    first, _ = evaluate(cached(tmp_path, net), Painted(), SUBJECT)
    [path] = tmp_path.iterdir()
    assert FeatureStats.load(path).kept is None
    assert net.seen == 24
    second, _ = evaluate(cached(tmp_path, net, kernel=True), Painted(), SUBJECT)
    assert net.seen == 48
    assert FeatureStats.load(path).kept is not None
    third, _ = evaluate(cached(tmp_path, net, kernel=True), Painted(), SUBJECT)
    assert net.seen == 60
    assert third.scores == second.scores == first.scores | {"kd_toyscapes": second.scores["kd_toyscapes"]}


def test_processes_read_the_cache_only_where_all_of_them_found_it(tmp_path: Path) -> None:
    class OtherIsBehind(Team):
        def gathered(self, own: Any) -> list[Any]:
            return [own, False] if isinstance(own, bool) else [own]

    cached(tmp_path).reference()
    net = Means()
    stats = cached(tmp_path, net).reference(team=OtherIsBehind())["toyscapes"]
    assert (net.seen, stats.count) == (12, 12)


@pytest.mark.parametrize(("key", "kernel_key"), [("fid", "kid"), ("fd_means", "kd_means")])
def test_the_kernel_distance_stands_beside_the_frechet_distance(key: str, kernel_key: str) -> None:
    net = Means("toyscapes", key)
    bench = bench_of(feature_nets={"toyscapes": net}, kernel=True)
    record, _ = evaluate(bench, Painted(), SUBJECT, FOUR)
    stats = FeatureStats(4, keep=True)
    source = Painted()
    for index in range(12):
        label = bench.dataset.load(index).label
        [image] = source.images(type("Batch", (), {"names": [bench.dataset.names[index]], "native": [label]})())
        stats.update(net.extract(torch.from_numpy(image.transpose(2, 0, 1)).float()[None]).numpy())
    wanted = kernel_distance(stats, bench.reference()["toyscapes"])
    assert record.scores[kernel_key] == pytest.approx(wanted, rel=1e-6)
    assert "fd+kd:toyscapes@" in record.protocol["distance"]["signature"]
    plain, _ = evaluate(bench_of(feature_nets={"toyscapes": net}), Painted(), SUBJECT, FOUR)
    assert kernel_key not in plain.scores
    assert plain.scores[key] == record.scores[key]


def test_few_images_are_noted() -> None:
    record, _ = evaluate(bench_of(), Painted(), SUBJECT)
    [note] = record.notes
    assert note.startswith("fd_toyscapes of 12 images, fewer than 2048")


def test_random_weights_are_noted_and_refused_by_reports() -> None:
    net = Means("toyscapes", "fd_toyscapes", "random")
    photos = Subject("photos", "real photos")
    drawn, _ = evaluate(bench_of(segmenter=Bright(weights="random")), PhotoSource("p"), photos)
    assert "segmenter toyscapes: random weights, so mIoU and accuracy are no scores" in drawn.notes
    assert "seg:toyscapes@random" in drawn.protocol["signature"]
    other, _ = evaluate(bench_of(feature_nets={"toyscapes": net}), PhotoSource("p"), photos)
    assert "feature net toyscapes: random weights, so its distance is no score" in other.notes
    for record in (drawn, other):
        with pytest.raises(UserError, match="scored with random weights, which is no score"):
            build_table(load_grid("table1"), "toyscapes", [record.as_dict()])


@pytest.mark.parametrize(
    ("made_by", "said"),
    [
        ("toyscapes@0123abcd", "the label maps were made by the scoring segmenter toyscapes"),
        ("other@0123abcd", "the label maps were made by the segmenter other@0123abcd"),
    ],
)
def test_labels_out_of_a_segmenter_are_noted(made_by: str, said: str) -> None:
    dataset: Any = Toyscapes(None, "val", count=2)
    dataset.labels_by = made_by
    record, _ = evaluate(bench_of(segmenter=Bright(), dataset=dataset), Painted(), SUBJECT)
    assert said in record.notes


def test_all_pixels_void_or_none_right_is_a_number_or_an_error_and_never_silence() -> None:
    record, confusion = evaluate(bench_of(segmenter=Bright(told=10**6)), Painted(), SUBJECT)
    assert (record.scores["miou"], record.scores["accuracy"]) == (0.0, 0.0)
    assert np.all(confusion.prediction == 9)


def test_a_given_reference_is_taken_and_the_photos_are_not_described_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = open_bench(small_suite(), Places(), CPU)
    stats = bench.reference()["toyscapes"]
    other = open_bench(small_suite(), Places(), CPU)
    monkeypatch.setattr(bench_module, "reference_stats", lambda *_: pytest.fail("described again"))
    other.give_reference("toyscapes", stats)
    assert other.reference()["toyscapes"] is stats
