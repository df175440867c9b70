"""Who may reach a view: each one says so, and a test sees to it."""

from collections.abc import Callable
from typing import Any, Literal

from flask_login import login_required

Access = Literal["everyone", "members"]
View = Callable[..., Any]


def everyone(view: View) -> View:
    """Let anybody reach `view`."""
    return state(view, "everyone")


def members(view: View) -> View:
    """Let only those who have signed in reach `view`; others are led to the sign-in page."""
    return state(login_required(view), "members")


def state(view: View, access: Access) -> View:
    """Note `access` on `view`, which guards itself."""
    view.access = access  # type: ignore[attr-defined]
    return view
