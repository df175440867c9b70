"""The models and the migrations agree, on both databases, and SQLite bears many writers."""

import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import Migrate, downgrade, upgrade
from sqlalchemy import inspect, select
from sqlalchemy.exc import IntegrityError

from app import create_app
from app.auth.models import Role, User
from app.extensions import db
from app.models import Base


def make_user(email: str = "ada@example.com") -> User:
    return User(email=email, fs_uniquifier=email)


def test_migrations_make_what_the_models_say(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_migrations_can_be_undone_and_done_again(app: Flask) -> None:
    Migrate(app, db)
    with app.app_context():
        downgrade(revision="base")
        assert set(inspect(db.engine).get_table_names()) == {"alembic_version"}
        upgrade()
        assert {"users", "roles"} <= set(inspect(db.engine).get_table_names())


def test_every_constraint_has_its_name_by_convention(app: Flask) -> None:
    with app.app_context():
        inspector = inspect(db.engine)
        assert inspector.get_pk_constraint("users")["name"] == "pk_users"
        assert {unique["name"] for unique in inspector.get_unique_constraints("users")} == {
            "uq_users_email",
            "uq_users_fs_uniquifier",
            "uq_users_fs_webauthn_user_handle",
        }
        assert {key["name"] for key in inspector.get_foreign_keys("roles_users")} == {
            "fk_roles_users_role_id_roles",
            "fk_roles_users_user_id_users",
        }


def test_moments_are_in_utc_and_know_it(app: Flask) -> None:
    noon_in_rome = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    with app.app_context():
        user = make_user()
        user.confirmed_at = noon_in_rome
        db.session.add(user)
        db.session.commit()
        db.session.expire_all()
        confirmed = user.confirmed_at
        assert confirmed == noon_in_rome
        assert confirmed is not None
        assert confirmed.tzinfo == UTC
        assert user.created_at.tzinfo == UTC


def test_an_address_has_one_account(app: Flask) -> None:
    with app.app_context():
        db.session.add_all([make_user(), make_user()])
        with pytest.raises(IntegrityError):
            db.session.commit()


def test_errors_of_the_database_show_no_values(app: Flask) -> None:
    with app.app_context():
        db.session.add_all([make_user(), make_user()])
        with pytest.raises(IntegrityError) as error:
            db.session.commit()
    assert "parameters hidden" in str(error.value)


def test_deleting_a_user_leaves_the_role_and_no_link(app: Flask) -> None:
    with app.app_context():
        user = make_user()
        user.roles.append(Role(name="admin"))
        db.session.add(user)
        db.session.commit()
        db.session.delete(user)
        db.session.commit()
        role = db.session.scalars(select(Role)).one()
        assert role.users == []


def test_many_writers_that_read_first_wait_for_each_other(app: Flask) -> None:
    """A read that turns into a write is what SQLite refuses at once if nothing is done about it."""
    failures: list[BaseException] = []
    barrier = threading.Barrier(4)

    def read_then_write(name: str) -> None:
        try:
            with app.app_context():
                for round_ in range(10):
                    db.session.scalars(select(User)).all()
                    if round_ == 0:
                        barrier.wait()
                    db.session.add(make_user(f"{name}-{round_}@example.com"))
                    db.session.commit()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read_then_write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with app.app_context():
        assert len(db.session.scalars(select(User)).all()) == 40


def test_sqlite_is_opened_for_several_processes(tmp_path: Path) -> None:
    app = create_app("config.TestingConfig", DATABASE_URL=f"sqlite:///{tmp_path}/new/app.db")
    with app.app_context(), db.engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
        connection.close()
        db.engine.dispose()
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10000}


def test_savepoints_and_rollbacks_undo_only_what_they_should(app: Flask) -> None:
    with app.app_context():
        db.session.add(make_user("kept@example.com"))
        savepoint = db.session.begin_nested()
        db.session.add(make_user("undone@example.com"))
        db.session.flush()
        savepoint.rollback()
        db.session.commit()
        db.session.add(make_user("forgotten@example.com"))
        db.session.flush()
        db.session.rollback()
        assert db.session.scalars(select(User.email)).all() == ["kept@example.com"]
