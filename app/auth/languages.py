"""The languages of mails about accounts.

A mail in another language than English is a template in a folder beside the English one. Here are
the words that code puts into it.
"""

from datetime import datetime

LANGUAGES = {"en": "English", "de": "Deutsch"}
# A word that is not here is the same in both languages.
WORDS = {
    "de": {
        "January": "Januar",
        "February": "Februar",
        "March": "März",
        "May": "Mai",
        "June": "Juni",
        "July": "Juli",
        "October": "Oktober",
        "December": "Dezember",
        "{day} {month} {year}": "{day}. {month} {year}",
        "{browser} on {system}": "{browser} auf {system}",
        "An unknown browser": "Ein unbekannter Browser",
        "A Python program": "Ein Python-Programm",
        "an iPhone": "einem iPhone",
        "an iPad": "einem iPad",
        "a Mac": "einem Mac",
    }
}


def translate(words: str, language: str) -> str:
    """Return the English `words` in `language`."""
    return WORDS.get(language, {}).get(words, words)


def day(when: datetime, language: str) -> str:
    """Return the day of `when` in `language`, like 05 November 2026."""
    pattern = translate("{day} {month} {year}", language)
    month = translate(f"{when:%B}", language)
    return pattern.format(day=f"{when:%d}", month=month, year=when.year)


def moment(when: datetime, language: str) -> str:
    """Return `when` in `language`, like 05 November 2026, 08:50 UTC."""
    return f"{day(when, language)}, {when:%H:%M} UTC"
