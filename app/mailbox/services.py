"""Read the Maildir into which the development SMTP listener puts mails."""

import email
import email.policy
import mailbox
import re
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

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
    keys = sorted(folder.keys(), key=_arrival, reverse=True)[:NEWEST]
    return [mail for mail in (_get(folder, key) for key in keys) if mail]


def find(path: Path, key: str) -> Mail | None:
    """Return the mail `key`, or None if there is none."""
    folder = _open(path)
    return _get(folder, key) if folder is not None else None


def empty(path: Path) -> None:
    """Delete every mail."""
    folder = _open(path)
    if folder is not None:
        folder.clear()


def _open(path: Path) -> mailbox.Maildir | None:
    return mailbox.Maildir(path, create=False) if (path / "new").is_dir() else None


def _get(folder: mailbox.Maildir, key: str) -> Mail | None:
    try:
        return _read(key, folder.get_bytes(key))
    except (KeyError, FileNotFoundError):  # deleted, perhaps just now
        return None


def _arrival(key: str) -> list[int]:
    """Return when a mail came, which its key begins with; its Date may be missing or a lie."""
    return [int(number) for number in re.findall(r"\d+", key)[:4]]


def _read(key: str, raw: bytes) -> Mail:
    parsed = email.message_from_bytes(raw, EmailMessage, policy=email.policy.default)
    message = cast(EmailMessage, parsed)
    return Mail(
        id=key,
        subject=_header(message, "Subject") or "(no subject)",
        sender=_header(message, "From"),
        to=_header(message, "To"),
        date=_header(message, "Date"),
        message_id=_header(message, "Message-ID"),
        text=_body(message, "plain"),
        html=_body(message, "html"),
    )


def _header(message: EmailMessage, name: str) -> str:
    try:
        return str(message.get(name, ""))
    except Exception:  # the parser of headers raises various errors for garbage
        return "(unreadable)"


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    if part is None:
        return ""
    try:
        return part.get_content()
    except (LookupError, ValueError):  # a charset that does not exist, or is not true
        payload = part.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
