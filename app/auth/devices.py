"""What a User-Agent says in plain words."""

from app.auth.languages import translate

# The first that is found counts: many browsers name the ones they descend from as well.
BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "Vivaldi/": "Vivaldi",
    "SamsungBrowser/": "Samsung Internet",
    "FxiOS/": "Firefox",
    "Firefox/": "Firefox",
    "CriOS/": "Chrome",
    "Chromium/": "Chromium",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
    "curl/": "curl",
    "python-requests/": "A Python program",
}
SYSTEMS = {
    "iPhone": "an iPhone",
    "iPad": "an iPad",
    "Android": "Android",
    "Windows": "Windows",
    "CrOS": "ChromeOS",
    "Mac OS X": "a Mac",
    "Linux": "Linux",
}


def describe(user_agent: str, language: str = "en") -> str:
    """Return words like "Firefox on Linux" for people; never the text itself, anybody writes it."""
    browser = translate(_first(BROWSERS, user_agent) or "An unknown browser", language)
    system = translate(_first(SYSTEMS, user_agent) or "", language)
    pattern = translate("{browser} on {system}", language)
    return pattern.format(browser=browser, system=system) if system else browser


def _first(names: dict[str, str], user_agent: str) -> str | None:
    return next((name for mark, name in names.items() if mark in user_agent), None)
