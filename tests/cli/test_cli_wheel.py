"""What `pip install dlexp` gives: the wheel alone, in an environment and a folder of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("dlexp-*.whl"))


def test_the_wheel_carries_every_configuration_file(wheel: Path) -> None:
    carried = {name.removeprefix("dlexp/") for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".yaml")}
    written = {str(path.relative_to(ROOT)) for path in (ROOT / "conf").rglob("*.yaml")}
    assert len(written) > 30
    assert carried == written


@pytest.mark.slow
def test_the_wheel_trains_outside_the_repository(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    site = Path(
        subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
    )
    # The dependencies are lent by path: a .pth line opens a folder without its own .pth files, so not dlexp's sources.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    zipfile.ZipFile(wheel).extractall(site)
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import dlexp, sys; from dlexp.cli.app import main; print(dlexp.__file__, file=sys.stderr); main(sys.argv[1:])"
    )
    words = ("train", "model=mlp", "data=iris", "trainer.epochs=2", "--json")
    done = subprocess.run([python, "-c", code, *words], cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(site) in done.stderr
    assert json.loads(done.stdout)["epochs"] == 2


def test_the_environment_is_consistent() -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
