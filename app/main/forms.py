"""The contact form."""

from wtforms import EmailField, StringField, TextAreaField
from wtforms.validators import DataRequired, Email, Length

from app.forms import Form, single_line


class ContactForm(Form):
    """A message to the people behind this site."""

    name = StringField(
        "Your name",
        [DataRequired("Write your name."), Length(max=100), single_line],
        render_kw={"autocomplete": "name"},
    )
    email = EmailField(
        "Your address",
        [
            DataRequired("Write your address."),
            Length(max=254),
            single_line,
            Email("Write the address in full, like name@example.com."),
        ],
        render_kw={"autocomplete": "email"},
    )
    message = TextAreaField(
        "Your message", [DataRequired("Write a message."), Length(max=5000)], render_kw={"rows": 8}
    )
