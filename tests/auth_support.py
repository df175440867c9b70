"""What the tests of accounts share: users, and signing in."""

from flask import Flask
from flask.testing import FlaskClient
from flask_security import hash_password
from sqlalchemy import select

from app.auth.models import User
from app.extensions import db
from app.jobs.models import Job
from app.models import Base, utcnow
from tests.support import post

PASSWORD = "a stockpot full of soup"
COUNTED = ("failed_sign_ins", "locked_until", "updated_at", "last_seen_at")


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


def link(app: Flask, template: str, name: str) -> str:
    """Return the path of the link in the newest mail of this template that is queued."""
    with app.app_context():
        jobs = db.session.scalars(select(Job).order_by(Job.created_at.desc())).all()
        mails = [job.arguments["args"] for job in jobs if job.task == "app.tasks.send_email"]
    newest = next(mail for mail in mails if mail[1] == f"auth/mail/{template}")
    return "/" + newest[2][name].split("/", 3)[3]


def snapshot(app: Flask) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows; without wrong guesses that are counted, and jobs that mail nobody."""
    rows = {}
    with app.app_context():
        for table in Base.metadata.sorted_tables:
            wanted = [column for column in table.columns if column.name not in COUNTED]
            found = db.session.execute(select(*wanted).order_by(*table.primary_key))
            rows[table.name] = [
                tuple(row) for row in found if "app.auth.tasks.mail_nobody" not in tuple(row)
            ]
        db.session.rollback()
    return rows
