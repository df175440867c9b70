"""The home page and the contact form."""

from flask import Flask
from flask.testing import FlaskClient

from tests.support import Inbox, post, text_of


def test_home_greets(client: FlaskClient) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert "Hello world from the main blueprint!" in response.text
    assert "Set-Cookie" not in response.headers


def test_contact_mails_the_administrators(live_app: Flask, inbox: Inbox) -> None:
    live_app.config["ADMINS"] = ["admin@example.test"]
    response = post(
        live_app.test_client(),
        "/contact",
        name="Ada",
        email="ada@example.com",
        message="The pot boils over.",
    )
    assert response.location == "/"
    mail = inbox.wait_for("admin@example.test")
    assert mail["Reply-To"] == "ada@example.com"
    assert "The pot boils over." in text_of(mail)


def test_contact_does_not_thank_for_what_nobody_would_get(app: Flask) -> None:
    app.config["ADMINS"] = []
    client = app.test_client()
    letter = {"name": "Ada", "email": "ada@example.com", "message": "The pot boils over."}
    response = post(client, "/contact", **letter)
    assert response.status_code == 503
    assert "Messages cannot be delivered at the moment" in response.text
    assert "The pot boils over." in response.text
    assert "Thank you" not in response.text
    assert "Messages cannot be delivered at the moment" in client.get("/contact").text
    app.config["ADMINS"] = ["admin@example.test"]
    assert "cannot be delivered" not in client.get("/contact").text
