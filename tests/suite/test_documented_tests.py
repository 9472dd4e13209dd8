"""The pages that name tests as their evidence name tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/guarantees.md", "docs/decisions.md")
_NAMED = re.compile(r"\btests/[\w/]+\.py(?:::\w+)?")


@pytest.mark.parametrize("page", PAGES)
def test_page_names_tests_that_exist(page: str) -> None:
    """Every ``tests/....py`` and ``::function`` on the page is there."""
    named = sorted(set(_NAMED.findall((ROOT / page).read_text(encoding="utf-8"))))
    assert named, "the page shows nothing"
    missing = []
    for name in named:
        file, _, function = name.partition("::")
        path = ROOT / file
        if not path.is_file() or (function and function not in _functions_of(path)):
            missing.append(name)
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_page_links_to_files_that_exist(page: str) -> None:
    """Every relative link and picture of the page leads to a file of the repository."""
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    missing = [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]
    assert not missing


def _functions_of(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
