"""A feature is one folder: without it and its line in FEATURES the application still works."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app import FEATURES

CHECK = """
import sys
from app import create_app
app = create_app("config.TestingConfig", DATABASE_URL="sqlite:///" + sys.argv[1])
client = app.test_client()
for path in ("/", "/healthz", "/users/login", "/contact", "/no/such/page"):
    response = client.get(path)
    assert response.status_code in (200, 404), (path, response.status_code)
    assert response.status_code == 200 or "This page does not exist" in response.text
"""


@pytest.mark.parametrize("feature", FEATURES)
def test_the_application_works_without_a_feature(copy_of_project: Path, feature: str) -> None:
    shutil.rmtree(copy_of_project / "app" / feature)
    factory = copy_of_project / "app" / "__init__.py"
    source = factory.read_text("utf-8")
    assert f'"{feature}"' in source
    factory.write_text(source.replace(f'"{feature}", ', "").replace(f', "{feature}"', ""), "utf-8")
    environment = {name: value for name, value in os.environ.items() if "COV" not in name}
    result = subprocess.run(
        [sys.executable, "-c", CHECK, str(copy_of_project / "app.db")],
        cwd=copy_of_project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
