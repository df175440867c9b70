"""What the documentation names exists: files, commands of make, links."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
MADE = ("instance/", "/")  # what exists only once the application ran, or on another machine
FILE = re.compile(r"(?:[\w.-]+/)*[\w.-]*\.(?:py|html|txt|toml|ini|yml|yaml|sh|css|md|example)")
FOLDER = re.compile(r"(?:app|docs|migrations|scripts|tests)/(?:[\w.-]+/)*")
PLACEHOLDER = re.compile(r"\b(NAME|CODE|FEATURE)\b")

everywhere = pytest.mark.parametrize("document", PAGES, ids=lambda path: path.name)


def named_paths(text: str) -> Iterator[str]:
    """Yield the paths in code spans; in the blocks of an example they may be yet to be made."""
    for span in CODE.findall(FENCE.sub("", text)):
        is_path = FILE.fullmatch(span) or FOLDER.fullmatch(span)
        if is_path and not span.startswith(MADE) and not PLACEHOLDER.search(span):
            yield span


def exists(name: str) -> bool:
    """Tell whether a file is there; `base.html` and `views.py` are named without their folder."""
    return (ROOT / name).exists() or any((ROOT / "app").rglob(name.rstrip("/")))


def anchor_of(heading: str) -> str:
    """Return what GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@everywhere
def test_files_that_are_named_exist(document: Path) -> None:
    examples = FENCE.findall(document.read_text("utf-8"))
    given = [name for name in named_paths(document.read_text("utf-8")) if not exists(name)]
    # An example may show how a file is made, and then speak of it.
    assert [name for name in given if not any(name in example for example in examples)] == []


@everywhere
def test_make_knows_every_command_that_is_named(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    text = document.read_text("utf-8")
    code = "\n".join([*FENCE.findall(text), *CODE.findall(FENCE.sub("", text))])
    commands = set(re.findall(r"(?:^|[ =&;])make ([a-z]+)", code, re.MULTILINE))
    assert commands <= targets


@everywhere
def test_links_lead_somewhere(document: Path) -> None:
    for link in LINK.findall(FENCE.sub("", document.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in map(anchor_of, headings), link


def test_every_test_that_is_named_exists() -> None:
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 50
    for file, test in named:
        assert re.search(rf"^def {test}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE), test


def test_the_image_serves_with_the_command_of_the_procfile() -> None:
    procfile = (ROOT / "Procfile").read_text("utf-8")
    web = re.findall(r"^web: exec (.+)$", procfile, re.MULTILINE)
    image = re.findall(r"^CMD (\[.+\])$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert [json.loads(command) for command in image] == [command.split() for command in web]
