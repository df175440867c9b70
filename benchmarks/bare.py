"""Bare Flask that renders our home page and does nothing else.

What our templates ask for beyond Flask has a stand-in here that looks nothing up; a test compares
the page with ours. Nothing of `app` is imported: what a process does not load cannot slow it.
"""

from pathlib import Path
from types import SimpleNamespace

from flask import Flask, render_template
from jinja2 import FileSystemLoader

APP = Path(__file__).resolve().parents[1] / "app"
TEMPLATES = [APP / "templates", APP / "main" / "templates"]
# The navigation of a visitor: label, endpoint, address.
MENU = [
    ("Sign in", "security.login", "/users/login"),
    ("Sign up", "security.register", "/users/register"),
    ("Contact", "main.contact", "/contact"),
]


def lend_templates(app: Flask) -> None:
    """Let `app` render our home page: its templates, the stand-ins, and where its links lead."""
    app.config["APP_NAME"] = "Stockpot"
    app.jinja_loader = FileSystemLoader(TEMPLATES)  # type: ignore[assignment]
    entries = [
        SimpleNamespace(label=label, endpoint=endpoint, method="get") for label, endpoint, _ in MENU
    ]
    for _, endpoint, path in MENU:
        app.add_url_rule(path, endpoint)
    app.add_template_global(lambda: entries, "menu")
    app.add_template_global(lambda: False, "signed_in")
    app.add_template_global(lambda name: f"/static/{name}?v=0", "asset")


def hello() -> str:
    """Return a string."""
    return "Hello world from a string!"


def home() -> str:
    """Return our home page as a visitor sees it."""
    return render_template("main/home.html")


application = Flask(__name__, static_folder=None)
lend_templates(application)
application.add_url_rule("/", "main.home", home)
application.add_url_rule("/string", "string", hello)
