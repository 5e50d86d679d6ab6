"""The verdict on a norm: what is called better or worse, what is left open, and what the page says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ablations.grid import Grid
from harness.commands.norm_trial import trial_grid
from harness.errors import UserError
from harness.metrics.confusion import Confusion, scores
from harness.norm_check.layers import open_norm
from harness.norm_check.verdict import Trained, Verdict, judge
from reports.verdict import render_html, render_markdown

CLASSES = ("sky", "tree <b>", "road|x")
IMAGES = 40
CHECKS: dict[str, Any] = {
    "contract": [{"name": "shape", "outcome": "ok", "asks": "in, out", "said": "", "tensor": None}],
    "cost": None,
    "kept": None,
    "reductions": None,
    "left_out": {"cost": "not here", "kept": "not here"},
    "norm": {"name": "ours"},
}


def trained(
    title: str, shares: list[float], spread: float = 0.02, protocol: str = "p", adds: int = 100, parts: int = 1
) -> Trained:
    """Trainings whose share of right pixels is about `shares`, one a seed."""
    records, confusions = [], []
    for seed, share in enumerate(shares):
        rng = np.random.default_rng((len(title), seed))
        matrices = []
        for _ in range(IMAGES):
            right = np.clip(rng.normal(share, spread, len(CLASSES)), 0, 1)
            matrix = np.zeros((4, 4), np.int64)
            for index, value in enumerate(right):
                matrix[index, index] = round(1000 * value)
                matrix[index, (index + 1) % 3] = 1000 - matrix[index, index]
            matrices.append(matrix)
        confusion = Confusion.from_dense(matrices, [f"i{n:03}" for n in range(IMAGES)], CLASSES)
        found = scores(confusion.total(), "union")
        confusions.append(confusion)
        records.append(
            {
                "id": f"{title}{seed}",
                "suite": "toy",
                "seed": seed,
                "scores": {"miou": found["miou"], "accuracy": found["accuracy"], "fd_net": 1.0 + seed / 10},
                "notes": [] if parts == 1 else [f"trained in {parts} <parts>"],
                "cost": {"parameters": 10, "multiply_adds": adds, "seconds_training": 1.0},
                "config": {"schedule": {"iterations": 200}, **({} if parts == 1 else {"accumulate": parts})},
                "protocol": {
                    "segmentation": {"hash": protocol, "signature": "suite:toy v2"},
                    "fields": {"class_mean": "union", "void": "ignore"},
                },
            }
        )
    return Trained(title, records, confusions)


FIVE = [0.70, 0.71, 0.69, 0.705, 0.695]


def verdict(gain: float, seeds: int = 5, adds: int = 100) -> Verdict:
    ours = trained("ours", [share + gain for share in FIVE[:seeds]], adds=adds)
    return judge(ours, [trained("spade", FIVE[:seeds])], resamples=1000)


def test_a_gain_beyond_the_spread_of_the_seeds_is_called_with_its_cost_p_and_seeds() -> None:
    found = verdict(+0.08, adds=69)
    (against,) = found.against
    assert against.outcome == "better"
    assert "better than spade by" in found.sentence
    assert "at 31% fewer multiply-adds" in found.sentence
    assert "(seeds × images bootstrap), 5 seeds" in found.sentence
    assert against.permutation.p == pytest.approx(2 / 252)
    assert against.miou.low is not None
    assert against.miou.low > 0


def test_a_loss_is_called_worse() -> None:
    assert verdict(-0.08).against[0].outcome == "worse"


def test_no_difference_is_left_open() -> None:
    found = verdict(0.0)
    assert found.against[0].outcome == "open"
    assert "not shown to differ from spade by 5 seeds" in found.sentence


@pytest.mark.parametrize("seeds", [2, 3])
def test_what_so_few_seeds_cannot_reach_is_not_claimed_however_large(seeds: int) -> None:
    found = verdict(+0.2, seeds)
    assert found.against[0].outcome == "open"
    assert "cannot bring an exact permutation below" in found.sentence


@pytest.mark.parametrize(("seeds", "rivals", "outcome"), [(4, 1, "better"), (4, 3, "open"), (5, 3, "better")])
def test_what_seeds_can_reach_is_corrected_for_the_rivals_too(seeds: int, rivals: int, outcome: str) -> None:
    shares = FIVE[:seeds]
    against = [trained(title, shares) for title in ("spade", "batch", "concat")[:rivals]]
    found = judge(trained("ours", [share + 0.2 for share in shares]), against, resamples=1000)
    assert [one.outcome for one in found.against] == [outcome] * rivals
    cannot = "4 seeds a side cannot bring an exact permutation below p = 0.09 after Holm)"
    assert found.sentence.count(cannot) == (rivals if outcome == "open" else 0)
    # Beside a p after Holm stands one that is not corrected, and says so.
    alone = rivals == 1 or outcome == "open"
    assert found.sentence.count(f"over seeds p = {2 / 252:.1g} uncorrected") == (0 if alone else rivals)


def test_whole_batches_and_micro_batches_are_not_compared_and_notes_are_on_the_page() -> None:
    with pytest.raises(UserError, match=r"micro-batches: ours in 1, spade in 2 \(.*--retry oom"):
        judge(trained("ours", FIVE), [trained("spade", FIVE, parts=2)])
    both = judge(trained("ours", FIVE, parts=2), [trained("spade", FIVE, parts=2)], resamples=1000).as_dict()
    assert render_markdown(both, CHECKS).count("spade: trained in 2 \\<parts\\>") == 1
    assert "<p>ours: trained in 2 &lt;parts&gt;</p>" in render_html(both, CHECKS)


def test_one_seed_speaks_of_the_trainings_and_not_of_the_methods() -> None:
    found = verdict(+0.2, seeds=1)
    assert found.unit == "images"
    assert found.sentence.endswith("of these two trainings, not of the methods.")


def test_several_rivals_are_corrected_by_holm() -> None:
    ours = trained("ours", [share + 0.012 for share in FIVE])
    alone = judge(ours, [trained("spade", FIVE)], resamples=1000).against[0]
    rivals = [trained("spade", FIVE), trained("batch", FIVE), trained("concat", FIVE)]
    among = judge(ours, rivals, resamples=1000).against
    assert alone.p_holm == alone.miou.p
    assert [one.p_holm >= one.miou.p for one in among] == [True] * 3
    assert max(one.p_holm for one in among) > alone.miou.p
    assert "after Holm" in judge(ours, rivals, resamples=1000).sentence


def test_other_protocols_and_missing_trainings_are_refused() -> None:
    with pytest.raises(UserError, match="2 protocols"):
        judge(trained("ours", FIVE), [trained("spade", FIVE, protocol="q")])
    with pytest.raises(UserError, match="needs trainings"):
        judge(trained("ours", FIVE), [])


def test_the_page_shows_verdict_tests_classes_and_protocol_and_escapes_names() -> None:
    plain = verdict(+0.08).as_dict()
    markdown = render_markdown(plain, CHECKS)
    assert plain["sentence"].split(";")[0][:20] in markdown
    assert "tree \\<b\\>" in markdown
    assert "`suite:toy v2`" in markdown
    page = render_html(plain, CHECKS)
    assert "tree &lt;b&gt;" in page
    assert "<b>" not in page
    assert "src=" not in page


def rows(grid: Grid) -> list[tuple[str, str | None]]:
    return [(row.name, row.label) for row in grid.methods]


def test_rivals_are_norms_in_the_same_place_methods_or_concat() -> None:
    grid = trial_grid({"name": "clade"}, ["spade", "concat", "batch", "pix2pixhd"], 3)
    assert rows(grid) == [
        ("spade", "clade"),
        ("spade", "spade"),
        ("spade_concat", "concat"),
        ("spade", "batch"),
        ("pix2pixhd", "pix2pixhd"),
    ]
    assert grid.methods[0].set == {"generator.norm": {"name": "clade"}}
    assert grid.methods[3].set == {"generator.norm": "batch"}
    assert grid.seeds == (0, 1, 2)


def test_a_norm_with_options_of_its_own_is_called_by_them_and_has_the_plain_one_for_a_rival() -> None:
    norm = open_norm("spade", {"kernel": 1})
    assert rows(trial_grid(norm, ["spade"], 1)) == [("spade", "spade, kernel=1"), ("spade", "spade")]


@pytest.mark.parametrize(
    ("rivals", "said"),
    [([], "needs a rival"), (["spad"], "no norm or method 'spad'"), (["clade"], "stands there twice")],
)
def test_a_wrong_rival_is_told(rivals: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        trial_grid({"name": "clade"}, rivals, 2)
