"""Parameter counts of every method at full size, in the configuration that the paper counts: ADE20K."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from ablations.grid import load_grid
from harness.cells import load_suite, resolve
from harness.labels import LabelSpec
from harness.registry import METHODS, names
from harness.training.networks import construct
from reports.published import load_published

ADE20K = LabelSpec(151)
# Generator and discriminator; None: the method has none. Sources: paper.md "Parameter counts", "CRN"; SIMS has 20
# labels in its paper, its three networks at 20 labels are counted in tests/baselines/sims.
COUNTS: dict[str, tuple[int, int | None]] = {
    "spade": (96_492_483, 5_836_930),
    "spade_vae": (111_942_595, 5_836_930),
    "spade_compact": (60_642_771, 5_836_930),
    "spade_concat": (79_081_155, 5_836_930),
    "pix2pixhdpp": (182_928_771, 5_836_930),
    "pix2pixhdpp_compact": (102_996_003, 5_836_930),
    "pix2pixhdpp_concat": (195_453_315, 5_836_930),
    "pix2pixhdpp_spade": (236_879_235, 5_836_930),
    "pix2pixhd": (182_907_395, 5_838_722),
    "spade_z": (111_942_595, 5_836_930),
    "spade_kernel1": (71_295_939, 5_836_930),
    "spade_kernel5": (146_885_571, 5_836_930),
    "spade_ngf80": (140_682_163, 5_836_930),
    "spade_batch": (96_492_483, 5_836_930),
    "spade_instance": (96_492_483, 5_836_930),
    "spade_no_perceptual": (96_492_483, 5_836_930),
    "spade_no_feature_matching": (96_492_483, 5_836_930),
    "spade_deeper_discriminator": (96_492_483, 14_225_538),
    "pix2pixhdpp_no_sync_bn": (182_886_019, 5_836_930),
    "pix2pixhdpp_no_sync_bn_no_sn": (182_886_019, 5_836_930),
    "crn": (105_119_259, None),
    "sims": (89_612_599, None),
}
# Lists of the official networks' names and shapes in tests/golden.
OFFICIAL = {
    "spade": ("spade_ade20k_netG", "spade_ade20k_netD"),
    "spade_vae": ("spade_ade20k_netG_vae", "spade_ade20k_netD"),
    "pix2pixhdpp": ("spade_ade20k_netG_pix2pixhdpp", "spade_ade20k_netD"),
    "pix2pixhd": ("pix2pixHD_ade20k_netG_global", "pix2pixHD_ade20k_netD"),
}
BUFFERS = ("weight_u", "weight_v", "running_mean", "running_var", "num_batches_tracked")


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("name", names(METHODS))
def test_a_methods_networks_have_the_exact_size(name: str) -> None:
    assert name in COUNTS, f"add the counts of {name}: its generator's and discriminator's parameters on ADE20K"
    suite = load_suite("ade20k")
    config = resolve(name, suite).config
    with torch.device("meta"):
        networks = construct(config, ADE20K)
    judge = networks.discriminator
    assert (parameters(networks.generator), None if judge is None else parameters(judge)) == COUNTS[name]


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_counts_are_those_of_the_official_networks(name: str, golden: Path) -> None:
    keys = json.loads(gzip.decompress((golden / "keys.json.gz").read_bytes()))
    counted = tuple(
        sum(math.prod(shape) for key, shape, _ in keys[listed] if not key.endswith(BUFFERS))
        for listed in OFFICIAL[name]
    )
    assert counted == COUNTS[name]


@pytest.mark.parametrize("table", ["table3", "table4"])
def test_every_row_of_the_table_has_a_method_whose_count_rounds_to_the_published_one(table: str) -> None:
    published = {f.method: f.value for f in load_published(table) if f.metric == "parameters"}
    rows = load_grid(table).methods
    for row in rows:
        count = COUNTS[row.name][0]
        if row.published in published:
            assert round(count / 1e6) == published[row.published], row.name
    assert {row.name for row in rows} <= set(COUNTS)
    if table == "table3":
        assert {row.published for row in rows} == set(published)
