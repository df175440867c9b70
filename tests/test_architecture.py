"""The house rules, checked: which way imports run, who may reach a route, how long things are."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from app import FEATURES, create_app
from app.jobs.task import DurableTask
from config import Config
from tests.support import ROOT

# From the bottom up: a module may import modules of its own floor's rank or below.
FLOORS = (
    ("app.extensions",),
    ("app.models",),
    ("app.core",),
    ("app.tasks", "app.forms", "app.jobs"),
    tuple(f"app.{feature}" for feature in FEATURES),
    ("app.cli",),
    ("app",),
)
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "app").rglob("*.py"))
}
SOURCES = [*MODULES.values(), *(ROOT / "scripts").glob("*.py"), *ROOT.glob("*.py")]
REGISTERING = (*FEATURES, "jobs")  # these import their rooms when an application registers them
ACCESS = {"everyone", "members"}


def floor_of(module: str) -> int:
    for number, names in enumerate(FLOORS):
        if any(
            module == name or (name != "app" and module.startswith(f"{name}.")) for name in names
        ):
            return number
    raise AssertionError(f"{module} has no place in the house; give it a floor.")


def imports_of(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Yield what a file imports: the module, the line, whether it is inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, id(node) in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            for name in names:
                yield name if name in MODULES else node.module, node.lineno, id(node) in inside


def own_imports() -> Iterator[tuple[str, str, int, bool]]:
    for module, path in MODULES.items():
        for imported, line, inside in imports_of(path):
            if imported == "app" or imported.startswith("app."):
                yield module, imported, line, inside


def feature_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FEATURES else None


def test_imports_run_downwards() -> None:
    upwards = [
        f"{module}:{line} imports {imported}"
        for module, imported, line, _ in own_imports()
        if floor_of(imported) > floor_of(module)
    ]
    assert upwards == []


def test_features_do_not_import_each_other_except_auth() -> None:
    across = [
        f"{module}:{line} imports {imported}"
        for module, imported, line, _ in own_imports()
        if feature_of(module) and feature_of(imported) not in (None, feature_of(module), "auth")
    ]
    assert across == []


def test_only_entry_points_import_the_application_itself() -> None:
    assert [f"{m}:{line}" for m, imported, line, _ in own_imports() if imported == "app"] == []


def test_imports_inside_functions_are_those_of_features_when_they_register() -> None:
    hidden = [
        f"{path.name}:{line} imports {imported}"
        for path in SOURCES
        for imported, line, inside in imports_of(path)
        if inside and path not in [ROOT / "app" / name / "__init__.py" for name in REGISTERING]
    ]
    assert hidden == []


def test_a_feature_imports_nothing_of_ours_at_load() -> None:
    for feature in FEATURES:
        for imported, line, inside in imports_of(ROOT / "app" / feature / "__init__.py"):
            assert inside or not imported.startswith("app"), f"{feature}/__init__.py:{line}"


def test_there_are_no_import_circles() -> None:
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for module, imported, _, inside in own_imports():
        if not inside and imported in graph:
            graph[module].add(imported)
    while graph:
        leaves = {module for module, needs in graph.items() if not needs & graph.keys()}
        assert leaves, f"These import each other: {sorted(graph)}"
        graph = {module: needs for module, needs in graph.items() if module not in leaves}


def test_the_configuration_alone_reads_the_environment() -> None:
    pattern = re.compile(r"os\.(environ|getenv)")
    readers = [path for path in MODULES.values() if pattern.search(path.read_text("utf-8"))]
    assert readers == []


def test_rooms_are_small() -> None:
    too_long = [path for path in SOURCES if len(path.read_text("utf-8").splitlines()) > 300]
    assert too_long == []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                assert lines <= 40, f"{path.name}: {node.name} has {lines} lines"


def test_the_factory_is_short() -> None:
    tree = ast.parse((ROOT / "app" / "__init__.py").read_text("utf-8"))
    (factory,) = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == "create_app"
    ]
    assert (factory.end_lineno or 0) - factory.lineno < 45
    decisions = (ast.If, ast.For, ast.While, ast.Try)
    assert not [node for node in ast.walk(factory) if isinstance(node, decisions)]


@pytest.fixture(scope="module")
def every_feature() -> Flask:
    """Return an application with all features, those of development too."""
    return create_app("config.TestingConfig", MAILBOX_PATH=Path("nowhere"))


def test_every_route_states_who_may_reach_it(every_feature: Flask) -> None:
    silent = [
        endpoint
        for endpoint, view in every_feature.view_functions.items()
        if endpoint != "static" and getattr(view, "access", None) not in ACCESS
    ]
    assert silent == []


def test_every_link_in_a_template_leads_somewhere(every_feature: Flask) -> None:
    endpoints = {*every_feature.view_functions}
    links = re.compile(r"url_for(_security)?\(\s*[\"']([\w.]+)[\"']")
    for path in (ROOT / "app").rglob("templates/**/*.*"):
        for of_security, endpoint in links.findall(path.read_text("utf-8")):
            assert (f"security.{endpoint}" if of_security else endpoint) in endpoints, path
    for entry in every_feature.extensions["menu"]:
        assert entry.endpoint in endpoints


def test_every_asset_in_a_template_exists() -> None:
    assets = re.compile(r"asset\(\s*[\"']([^\"']+)[\"']")
    for path in (ROOT / "app").rglob("templates/**/*.html"):
        for name in assets.findall(path.read_text("utf-8")):
            assert (ROOT / "app" / "static" / name).is_file(), f"{path.name} wants {name}"


def test_every_line_of_the_schedule_names_a_task_and_a_minute(every_feature: Flask) -> None:
    for task, fields in Config.SCHEDULE.items():
        assert isinstance(every_feature.extensions["celery"].tasks[task], DurableTask)
        assert "minute" in fields, f"{task} would start every minute"


def test_blueprints_are_named_after_their_feature(every_feature: Flask) -> None:
    assert {"auth", "main", "health", "mailbox"} <= set(every_feature.blueprints)
    assert every_feature.blueprints["auth"].url_prefix == "/users"
    for feature in FEATURES:
        assert f"{feature}_blueprint = Blueprint(" in (
            ROOT / "app" / feature / "views.py"
        ).read_text("utf-8")


@pytest.mark.parametrize(
    "name",
    [
        *("application.py", "config.py", "celery_worker.py", "Dockerfile", "docker-compose.yml"),
        *("pytest.ini", "requirements.txt", ".env.example", ".gitignore", "README.md"),
        *("tests/conftest.py", "tests/test_main.py", "tests/test_auth.py", "tests/test_models.py"),
        *("app/__init__.py", "app/models.py", "app/forms.py", "app/tasks.py"),
        *(f"app/templates/{page}.html" for page in ("base", 400, 403, 404, 405, 500)),
        *(f"app/auth/{room}.py" for room in ("__init__", "views", "forms")),
        *(f"app/main/{room}.py" for room in ("__init__", "views", "forms")),
        *("app/auth/templates/auth/login.html", "app/main/templates/main/home.html"),
    ],
)
def test_the_house_has_every_room_and_none_is_empty(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0
