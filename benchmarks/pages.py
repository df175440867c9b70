"""Requests/s: bare Flask, our pages, and the usual design, each in production."""

import re
from collections.abc import Iterator

from flask_security import hash_password

from app.auth.models import User
from app.extensions import db
from app.models import utcnow
from benchmarks import commands
from benchmarks.bare import application
from benchmarks.figures import Figures
from benchmarks.stand import Stand, Tree
from benchmarks.visitors import PASSWORD, Browser, measure, signed_in

STRING = "bare Flask: a string"
BARE = "bare Flask: our home page's template"
HOME = "home page, signed out"
SIGN_IN = "sign-in page"
MEMBERS = "home page, signed in"
USUAL = "the usual design: our home page's template"
UNIT = "requests/s"
ADA = "ada@example.com"
VERSION = re.compile(r"\?v=\w+")

Speed = tuple[str, float]


def run(stand: Stand, figures: Figures) -> None:
    """Measure each server in turn."""
    add_user(stand)
    for _ in range(stand.scale.rounds):
        for measured in (bare, ours, usual):
            for name, speed in measured(stand):
                figures.note(name, speed, UNIT, BARE)


def add_user(stand: Stand) -> None:
    """Add somebody who can sign in."""
    with stand.app().app_context():
        password = hash_password(PASSWORD)
        db.session.add(User(email=ADA, password=password, fs_uniquifier=ADA, confirmed_at=utcnow()))
        db.session.commit()
        db.engine.dispose()


def bare(stand: Stand) -> Iterator[Speed]:
    """Yield the speeds of bare Flask on our server."""
    with stand.web(commands.WEB, place=stand.place_with("benchmarks.bare")) as tree:
        check_home(tree)
        yield STRING, measure(f"{tree.root}/string", stand.scale.seconds)
        yield BARE, measure(f"{tree.root}/", stand.scale.seconds)


def ours(stand: Stand) -> Iterator[Speed]:
    """Yield the speeds of our pages."""
    with stand.web(commands.WEB) as tree:
        check_home(tree)
        yield HOME, measure(f"{tree.root}/", stand.scale.seconds)
        yield SIGN_IN, measure(f"{tree.root}/users/login", stand.scale.seconds)
        yield MEMBERS, measure(f"{tree.root}/", stand.scale.seconds, signed_in(tree.root, ADA))


def usual(stand: Stand) -> Iterator[Speed]:
    """Yield the speed of the usual design, on its own server."""
    place = stand.place_with("benchmarks.baseline.application")
    with stand.web(commands.GUNICORN, place=place) as tree:
        check_home(tree)
        yield USUAL, measure(f"{tree.root}/", stand.scale.seconds)


def check_home(tree: Tree) -> None:
    """Raise RuntimeError if the home page is not the one that bare Flask renders.

    Only the versions of the static files may differ.
    """
    with application.test_client() as client:
        wanted = client.get("/").text
    found = Browser(tree.root).get("/")
    if VERSION.sub("", found) != VERSION.sub("", wanted):
        raise RuntimeError("The servers do not render the same home page; adapt benchmarks/.")
