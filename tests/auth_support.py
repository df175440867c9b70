"""What the tests of accounts share: users, and signing in."""

from flask import Flask
from flask.testing import FlaskClient
from flask_security import hash_password
from sqlalchemy import select

from app.auth.models import User
from app.extensions import db
from app.models import utcnow
from tests.support import post

PASSWORD = "a stockpot full of soup"


def add_user(app: Flask, email: str, confirmed: bool = True) -> str:
    """Add a user whose password is PASSWORD; return the address."""
    with app.app_context():
        db.session.add(
            User(
                email=email,
                password=hash_password(PASSWORD),
                fs_uniquifier=email,
                confirmed_at=utcnow() if confirmed else None,
            )
        )
        db.session.commit()
    return email


def user_of(email: str) -> User:
    """Return the user with this address, as the database has it now."""
    query = select(User).where(User.email == email).execution_options(populate_existing=True)
    return db.session.scalars(query).one()


def sign_in(client: FlaskClient, email: str, password: str = PASSWORD, **fields: str):
    """Send the sign-in form; return the response."""
    return post(client, "/users/login", email=email, password=password, **fields)
