"""Every variable is in the classes, in `.env.example` and in the documentation; none is alone."""

import re
from typing import Any

import pytest

import config
from settings import ConfigurationError
from tests.support import ROOT

# These say where values come from, so no class can have them.
SOURCES = {"CONFIG_TYPE", "CONFIG_FILE", "SECRETS_DIR"}
NOTHING = "\N{EN DASH}"
VARIABLES = SOURCES.union(*(cls.model_fields for cls in config.CONFIG_TYPES.values()))


def test_env_example_has_every_variable_and_no_other() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    names = re.findall(r"^(\w+)=", example, re.MULTILINE)
    assert sorted(names) == sorted(VARIABLES)


def test_env_example_explains_every_variable() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^# .+\n(\w+)=", example, re.MULTILINE)) == VARIABLES


def test_documentation_has_every_variable_and_no_other() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE)
    assert sorted(names) == sorted(VARIABLES)


def table() -> dict[str, list[str]]:
    """Return what the documentation says of each variable: development, testing, production."""
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z_]+)` \|(.+)\|$", page, re.MULTILINE)
    return {name: [cell.strip() for cell in cells.split("|")[1:]] for name, cells in rows}


def says(cell: str, value: Any) -> bool:
    """Tell whether a cell of the table describes the default `value`."""
    if isinstance(value, bool):
        return cell.partition(",")[0] == ("on" if value else "off")
    if cell.startswith("a "):  # a fixed one, a path or a host that does not exist
        return value.startswith("only-for-tests") or "you-forgot-to-" in value
    if cell in (NOTHING, "all"):
        return value in (None, [])
    quoted = re.search(r"`([^`]+)`", cell)
    shown = quoted[1] if quoted else ""
    if ahead := re.fullmatch(r"PORT\+(\d)", shown):
        port = str(5000 + int(ahead[1]))
        database = re.search(r"database (\d)", cell)
        return str(value) == (f"redis://127.0.0.1:{port}/{database[1]}" if database else port)
    if shown.startswith("instance/"):
        return str(value).endswith(f"{ROOT.name}/{shown}")
    return shown == str(value)


@pytest.mark.parametrize("name", sorted(VARIABLES - SOURCES))
def test_documentation_gives_the_defaults_of_the_classes(name: str) -> None:
    cells = table()[name]
    for cell, cls in zip(cells, config.CONFIG_TYPES.values(), strict=True):
        # These come from `.env`, are required, or are refused; other tests see to that.
        if ".env" in cell or "required" in cell:
            continue
        defaults = cls.model_construct()
        assert says(cell, getattr(defaults, name)), f"{cls.__name__}.{name}"


def test_documentation_names_what_production_requires(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(config, "BASE_DIR", ROOT / "docs")  # where no `.env` is
    with pytest.raises(ConfigurationError) as refused:
        config.load("config.ProductionConfig")
    named = set(re.findall(r"^  (\w+) ", str(refused.value), re.MULTILINE))
    assert {name for name, cells in table().items() if "required" in cells[2]} == named
