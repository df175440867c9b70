"""Write `.env` from `.env.example`, with fresh secrets, readable by its owner alone."""

import os
import re
import secrets
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECRETS = re.compile(r"^(SECRET_KEY|SECURITY_PASSWORD_SALT)=.*$", re.MULTILINE)


def main() -> None:
    """Write the file if there is none; an existing one is never touched."""
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    content = SECRETS.sub(lambda match: f"{match[1]}={secrets.token_urlsafe(48)}", example)
    try:
        descriptor = os.open(ROOT / ".env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    print("Wrote .env with fresh secrets.")


if __name__ == "__main__":
    main()
