"""`flask auth`: what administrators do to accounts."""

import click
from flask import current_app
from flask.cli import AppGroup
from sqlalchemy import select

from app.auth import lockout, rights, services
from app.auth.models import User
from app.extensions import db

auth = AppGroup("auth", help="Look after accounts.")


def find(email: str) -> User:
    """Return the user with the address `email`; raises ClickException when there is none."""
    user = db.session.scalars(select(User).where(User.email == email.strip().lower())).one_or_none()
    if user is None:
        raise click.ClickException(f"Nobody has an account with the address {email}.")
    return user


def base_url() -> str:
    """Return where this site is, which no request tells here."""
    settings = current_app.config
    hosts = settings["TRUSTED_HOSTS"] or [f"127.0.0.1:{settings['PORT']}"]
    host = settings["SERVER_NAME"] or hosts[0].lstrip(".")
    return f"{settings['PREFERRED_URL_SCHEME']}://{host}"


@auth.command("create-admin")
@click.argument("email")
@click.option("--mail", is_flag=True, help="Mail a link to set the password instead of asking.")
def create_admin(email: str, mail: bool) -> None:
    """Add a user who may do everything."""
    password = None
    if not mail:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    try:
        # A link needs to know where the site is.
        with current_app.test_request_context(base_url=base_url()):
            user = rights.create_admin(email, password)
            address = user.email
            db.session.commit()
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{address} is an admin." + (" A mail with a link is on its way." if mail else ""))


@auth.command()
@click.argument("email")
@click.argument("role", type=click.Choice(rights.ROLES))
def grant(email: str, role: str) -> None:
    """Give a user a role; all sessions of this user end."""
    rights.grant(find(email), role)
    db.session.commit()
    click.echo(f"{email} has the role {role}.")


@auth.command()
@click.argument("email")
@click.argument("role", type=click.Choice(rights.ROLES))
def revoke(email: str, role: str) -> None:
    """Take a role from a user; all sessions of this user end."""
    rights.revoke(find(email), role)
    db.session.commit()
    click.echo(f"{email} does not have the role {role}.")


@auth.command()
@click.argument("email")
def deactivate(email: str) -> None:
    """Sign a user out everywhere, and let this user sign in no more."""
    rights.activate(find(email), False)
    db.session.commit()
    click.echo(f"{email} is deactivated.")


@auth.command()
@click.argument("email")
def activate(email: str) -> None:
    """Let a deactivated user sign in again."""
    rights.activate(find(email), True)
    db.session.commit()
    click.echo(f"{email} is active.")


@auth.command()
@click.argument("email")
def unlock(email: str) -> None:
    """Let a user who was locked out for wrong passwords sign in at once."""
    lockout.unlock(find(email))
    db.session.commit()
    click.echo(f"{email} can sign in again.")


@auth.command("two-factors-off")
@click.argument("email")
def two_factors_off(email: str) -> None:
    """Help a user who lost the app and the recovery codes; all sessions of this user end."""
    rights.turn_two_factors_off(find(email))
    db.session.commit()
    click.echo(f"{email} signs in without a second factor.")


@auth.command("forget-unconfirmed")
def forget_unconfirmed() -> None:
    """Delete the accounts nobody confirmed within 30 days; the schedule does so every night."""
    count = services.forget_unconfirmed()
    db.session.commit()
    click.echo(f"{count} accounts are deleted.")
