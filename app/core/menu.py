"""The navigation: features add their entries, `base.html` shows them."""

from dataclasses import dataclass
from typing import Literal

from flask import Flask, current_app, request
from flask_login import current_user

Audience = Literal["everyone", "visitors", "members"]


@dataclass(frozen=True)
class Entry:
    """A place in the navigation: a link, or a button that posts where something changes."""

    label: str
    endpoint: str
    audience: Audience = "everyone"
    method: Literal["get", "post"] = "get"


def init_app(app: Flask) -> None:
    """Give templates `menu()` and `signed_in()`."""
    app.extensions["menu"] = []
    app.add_template_global(entries, "menu")
    app.add_template_global(signed_in)


def add(app: Flask, entry: Entry) -> None:
    """Append `entry` to the navigation of `app`."""
    app.extensions["menu"].append(entry)


def signed_in() -> bool:
    """Tell whether the visitor has signed in; whoever sends no cookie has not."""
    known = bool(request.cookies) and hasattr(current_app, "login_manager")
    return known and current_user.is_authenticated


def entries() -> list[Entry]:
    """Return what this visitor may see."""
    audience = "members" if signed_in() else "visitors"
    return [
        entry
        for entry in current_app.extensions["menu"]
        if entry.audience in ("everyone", audience)
    ]
