"""The base form and the validators that forms share."""

import unicodedata
from collections.abc import MutableMapping
from typing import Any

from flask_wtf import FlaskForm
from wtforms import Field, PasswordField, StringField, ValidationError
from wtforms.fields.core import UnboundField
from wtforms.form import BaseForm

BREAKS = ("Cc", "Zl", "Zp")  # control characters, and what separates lines and paragraphs


class Form(FlaskForm):
    """A form with CSRF protection that strips white space around what is typed."""

    class Meta(FlaskForm.Meta):
        """How WTForms builds the fields of each form."""

        def bind_field(
            self, form: BaseForm, unbound_field: UnboundField, options: MutableMapping[str, Any]
        ) -> Field:
            """Return the field bound to `form`, with the filter that strips text."""
            kind = unbound_field.field_class
            if issubclass(kind, StringField) and not issubclass(kind, PasswordField):
                options["filters"] = [*unbound_field.kwargs.pop("filters", []), strip]
            return unbound_field.bind(form=form, **options)


def strip(value: str | None) -> str | None:
    """Return `value` without surrounding white space."""
    return value.strip() if value else value


def single_line(form: BaseForm, field: Field) -> None:
    """Refuse line breaks, which would let a value add headers of its own to a mail.

    Other control characters are refused too: where the value is shown they could steer a terminal.
    """
    if field.data and any(unicodedata.category(sign) in BREAKS for sign in field.data):
        raise ValidationError("Please write this on one line, without control characters.")
