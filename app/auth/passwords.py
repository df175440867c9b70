"""Which passwords are accepted: long enough, not too long, and not the first ones to be guessed."""

from functools import cache
from pathlib import Path
from typing import Any

from flask_security import PasswordUtil

LENGTH_MIN = 8  # characters; the library's own rule
LENGTH_MAX = 128  # characters; hashing a longer one would only cost time
PART_MIN = 4  # characters; a shorter part of an address is in a password by chance
COMMON = Path(__file__).with_name("common_passwords.txt")


class PasswordRules(PasswordUtil):
    """8 to 128 characters of any kind, neither a common password nor made of the own address.

    No rules about kinds of characters: they make passwords worse (NIST SP 800-63B, 3.1.1.2).
    """

    def validate(
        self, password: str, is_register: bool, **kwargs: Any
    ) -> tuple[list[str] | None, str]:
        """Return what is wrong, and the password as it is stored."""
        if len(password) > LENGTH_MAX:
            return [f"Use at most {LENGTH_MAX} characters."], password
        problems, normal = super().validate(password, is_register, **kwargs)
        if problems:
            return problems, normal
        if is_common(normal):
            return [
                "Many people use this password, so it is guessed first. Choose another."
            ], normal
        user = kwargs.get("user")
        if is_made_of(normal, kwargs.get("email") or (user.email if user else "")):
            return ["This password is too close to your address. Choose another."], normal
        return None, normal


def is_common(password: str) -> bool:
    """Tell whether `password`, in whatever case, is on the list of common ones."""
    return password.casefold() in common_passwords()


@cache
def common_passwords() -> frozenset[str]:
    """Return the bundled list; it is read when the first password is chosen, once a process."""
    return frozenset(COMMON.read_text(encoding="utf-8").split())


def is_made_of(password: str, email: str) -> bool:
    """Tell whether `password` without the parts of the address would be too short by itself."""
    local, _, domain = email.casefold().partition("@")
    rest = password.casefold()
    for part in (email.casefold(), local, domain, domain.partition(".")[0]):
        if len(part) >= PART_MIN:
            rest = rest.replace(part, "")
    return rest != password.casefold() and len(rest) < LENGTH_MIN
