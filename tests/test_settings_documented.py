"""Every variable is in the classes, in `.env.example` and in the documentation; none is alone."""

import re

import config
from tests.support import ROOT

# These say where values come from, so no class can have them.
SOURCES = {"CONFIG_TYPE", "CONFIG_FILE", "SECRETS_DIR"}
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
