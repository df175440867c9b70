"""`flask auth`: what administrators do to accounts."""

import click
from flask.cli import AppGroup
from sqlalchemy import select

from app.auth import lockout
from app.auth.models import User
from app.extensions import db

auth = AppGroup("auth", help="Look after accounts.")


def find(email: str) -> User:
    """Return the user with the address `email`; raises ClickException when there is none."""
    user = db.session.scalars(select(User).where(User.email == email.strip().lower())).one_or_none()
    if user is None:
        raise click.ClickException(f"Nobody has an account with the address {email}.")
    return user


@auth.command()
@click.argument("email")
def unlock(email: str) -> None:
    """Let a user who was locked out for wrong passwords sign in at once."""
    lockout.unlock(find(email))
    db.session.commit()
    click.echo(f"{email} can sign in again.")
