"""What a reader of a distance has to know beside it."""

from __future__ import annotations

ENOUGH = 2048  # the width of FID's features; pytorch-fid and others advise at least as many images


def small_sample_note(count: int, dim: int, key: str) -> str | None:
    """One line on what fewer than 2048 images do to a Fréchet distance; None for that many or more.

    count: of the images on the smaller side. dim: width of the features. key: of the distance, as `fid`.
    The bias is that of Chong and Forsyth, "Effectively unbiased FID and Inception Score" (CVPR 2020).
    """
    if count >= ENOUGH:
        return None
    rank = max(count - 1, 0)
    short = f" and a covariance of rank {rank} where {dim} are needed" if rank < dim else ""
    return (
        f"{key} of {count} images, fewer than {ENOUGH}: few images bias it upwards{short}; "
        "compare it only with figures of the same count"
    )
