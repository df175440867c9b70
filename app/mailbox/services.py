"""Read the Maildir into which the development SMTP listener puts mails."""

import email
import email.policy
import mailbox
import re
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

NEWEST = 200  # mails that are shown
LINK = re.compile(r"https?://[^\s<>\"']+")


@dataclass(frozen=True)
class Mail:
    """A mail as it was received."""

    id: str
    subject: str
    sender: str
    to: str
    date: str
    message_id: str
    text: str
    html: str

    def as_json(self) -> dict[str, Any]:
        """Return the fields, and the links in the text."""
        return asdict(self) | {"links": LINK.findall(self.text)}


def newest(path: Path) -> list[Mail]:
    """Return the newest mails in the Maildir at `path`, newest first."""
    folder = _open(path)
    if folder is None:
        return []
    mails = [_read(key, folder.get_bytes(key)) for key in folder.keys()]  # noqa: SIM118
    mails.sort(key=lambda mail: (parsedate_to_datetime(mail.date), mail.id), reverse=True)
    return mails[:NEWEST]


def find(path: Path, key: str) -> Mail | None:
    """Return the mail `key`, or None if there is none."""
    folder = _open(path)
    try:
        return _read(key, folder.get_bytes(key)) if folder is not None else None
    except KeyError:
        return None


def empty(path: Path) -> None:
    """Delete every mail."""
    folder = _open(path)
    if folder is not None:
        folder.clear()


def _open(path: Path) -> mailbox.Maildir | None:
    return mailbox.Maildir(path, create=False) if path.is_dir() else None


def _read(key: str, raw: bytes) -> Mail:
    message = email.message_from_bytes(raw, EmailMessage, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return Mail(
        id=key,
        subject=message.get("Subject", ""),
        sender=message.get("From", ""),
        to=message.get("To", ""),
        date=message.get("Date", ""),
        message_id=message.get("Message-ID", ""),
        text=_body(message, "plain"),
        html=_body(message, "html"),
    )


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return part.get_content() if part else ""
