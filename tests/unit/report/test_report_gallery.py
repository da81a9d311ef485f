"""The gallery of the README: there, small, described, and free of other hosts."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MAX_BYTES = 1_500_000


def test_every_picture_that_the_readme_shows_is_in_the_gallery_and_the_other_way_round() -> None:
    shown = dict(re.findall(r'<img src="(docs/gallery/[^"]+)"[^>]* alt="([^"]+)"', (ROOT / "README.md").read_text()))
    files = sorted(path for path in (ROOT / "docs/gallery").iterdir())
    assert sorted(shown) == [path.relative_to(ROOT).as_posix() for path in files]
    assert len(shown) >= 8
    assert all(len(text) > 30 for text in shown.values())
    assert sum(path.stat().st_size for path in files) < MAX_BYTES


def test_pictures_of_terminals_load_nothing_and_name_no_machine() -> None:
    files = list((ROOT / "docs/gallery").glob("*.svg"))
    assert files
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r'https?://[^"\s)<]+', text)) <= {
            "http://www.w3.org/2000/svg",
            "https://www.textualize.io",
        }
        assert "@font-face" not in text
        assert not re.search(r"/(home|root|tmp|work|Users)/", text)
