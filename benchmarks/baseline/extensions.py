"""The extensions and the table of users, as the usual design has them."""

from flask_login import LoginManager, UserMixin
from flask_mail import Mail
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

db = SQLAlchemy()
login = LoginManager()
csrf = CSRFProtect()
mail = Mail()


class User(UserMixin, db.Model):  # type: ignore[name-defined]
    """A person with an account."""

    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String(255), unique=True, nullable=False)
    password = db.Column(db.String(255), nullable=False)


@login.user_loader
def load_user(user_id: str) -> User | None:
    """Return the user whom the session names."""
    return db.session.get(User, int(user_id))
