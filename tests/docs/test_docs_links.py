"""Every link, anchor and path of the documentation leads somewhere, and every page can be reached from the index."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from doc_pages import NAMES, ROOT, anchors, links, text_of


def target_of(page: str, path: str) -> str:
    """The path below the repository that a link of `page` leads to."""
    return os.path.normpath((Path(page).parent / path) if path else page)


@pytest.mark.parametrize("page", NAMES)
def test_links_and_anchors_resolve(page: str) -> None:
    for path, anchor in links(page):
        target = target_of(page, path)
        assert (ROOT / target).exists(), f"{page} links to {path}, which does not exist"
        if anchor:
            assert anchor in anchors(target), f"{page} links to {path}#{anchor}; {target} has no such heading"


def test_every_page_is_reachable_from_the_index() -> None:
    pages, reached, new = {name for name in NAMES if name.startswith("docs/")}, set[str](), {"docs/README.md"}
    while new:
        reached |= new
        new = {
            target_of(page, path) for page in new for path, _ in links(page) if path.endswith(".md")
        } & pages - reached
    assert reached == pages


def test_the_readme_links_the_four_shelves() -> None:
    found = set(links("README.md"))
    assert found >= {("docs/README.md", shelf) for shelf in ("start", "guides", "explanation", "reference")}


@pytest.mark.parametrize("page", NAMES)
def test_files_that_a_page_names_exist(page: str) -> None:
    for path in re.findall(r"`(?:python )?((?:tests|benchmarks)/[\w/.]+\.(?:py|md))", text_of(page)):
        if page != "CHANGELOG.md":
            assert (ROOT / path).is_file(), f"{page} names {path}"


def test_pages_that_the_code_names_exist() -> None:
    folders = ("dlexp", "conf", "tests", "benchmarks", "docs")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".yaml")]
    named = {
        (path, name)
        for path in files
        for name in re.findall(r"(?:docs|benchmarks)/[\w/-]+\.md", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 5
    assert [(str(path), name) for path, name in named if not (ROOT / name).is_file()] == []
