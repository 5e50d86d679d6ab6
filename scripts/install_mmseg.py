"""Install the extra `mmseg`: mmcv comes as source only, so its wheel is built once and kept outside the clone.

    .venv/bin/python scripts/install_mmseg.py [--stamp FILE]

The wheelhouse is keyed by torch and Python version: a wheel built for another torch does not load.
Where no C++ compiler (or no Python header) is found, one line says so, the extra is left out and the
tests that need it are skipped. FILE is touched only when the extra is in.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
# What the build of mmcv needs in the environment itself: an isolated build finds no torch.
BUILD_TOOLS = ("pip", "ninja", "psutil", "wheel", "setuptools<82")


def main() -> int:
    parser = argparse.ArgumentParser(description="Install the extra mmseg, building mmcv where no wheel is kept.")
    parser.add_argument("--stamp", type=Path, help="touched when the extra is installed")
    stamp: Path | None = parser.parse_args().stamp

    wanted = re.search(r"^mmcv==(\S+)", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    if wanted is None:
        print(f"{CONSTRAINTS} names no version of mmcv", file=sys.stderr)
        return 1
    wheel = kept_wheel(wanted[1])
    if wheel is None:
        if missing := missing_tool():
            print(f"mmseg: {missing}, so the extra is left out and its tests are skipped", file=sys.stderr)
            return 0
        wheel = build(wanted[1])
    # opencv's headless build: the usual one needs libGL, which a bare machine lacks.
    uv_install(str(wheel), "-e", f"{ROOT}[mmseg]", "opencv-python-headless")
    if stamp is not None:
        stamp.touch()
    return 0


def wheelhouse() -> Path:
    """The folder of wheels for this torch and this Python."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "spadebench" / "wheelhouse" / f"torch{version('torch').split('+')[0]}-{python_tag()}"


def python_tag() -> str:
    """Such as cp311."""
    return f"cp{sys.version_info.major}{sys.version_info.minor}"


def kept_wheel(mmcv: str) -> Path | None:
    """The wheel built earlier, or None."""
    platform = re.sub(r"[-.]", "_", sysconfig.get_platform())
    found = sorted(wheelhouse().glob(f"mmcv-{mmcv}-{python_tag()}-{python_tag()}-{platform}.whl"))
    return found[0] if found else None


def missing_tool() -> str | None:
    """What a build lacks, in words, or None."""
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        return f"no C++ compiler ({compiler}) was found"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "the headers of Python (Python.h) were not found"
    return None


def build(mmcv: str) -> Path:
    """Compile the wheel (five minutes on 2 cores) and keep it. Raises CalledProcessError where that fails."""
    house = wheelhouse()
    house.mkdir(parents=True, exist_ok=True)
    print(f"mmseg: compiling mmcv {mmcv} once, about five minutes; the wheel is kept in {house}", file=sys.stderr)
    uv_install(*BUILD_TOOLS)
    environment = {
        **os.environ,
        "CFLAGS": "-g0",
        "MAX_JOBS": os.environ.get("MAX_JOBS", "2"),
        # Without a GPU in sight the CPU ops are built: the CUDA ones do not compile against this torch.
        "CUDA_VISIBLE_DEVICES": "",
    }
    with tempfile.TemporaryDirectory(dir=house) as work:
        # pip's own cache does not know for which torch a wheel was built.
        flags = ("--no-cache-dir", "--no-build-isolation", "--no-deps", "--wheel-dir", work)
        subprocess.run([sys.executable, "-m", "pip", "wheel", *flags, f"mmcv=={mmcv}"], check=True, env=environment)
        (made,) = Path(work).glob("mmcv-*.whl")
        kept = house / made.name
        os.replace(made, kept)
    return kept


def uv_install(*what: str) -> None:
    """Install into the environment that runs this, within the constraints."""
    uv = Path(sys.executable).parent / "uv"
    command = [str(uv), "pip", "install", "--python", sys.executable, "-c", str(CONSTRAINTS), *what]
    subprocess.run(command, check=True, cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
