"""Load balancers and container engines ask a process by its address, not by the site's name."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATHS = ("/healthz", "/readyz", "/metrics")


class ProbesByAddress:
    """Lets probes pass the check of the Host header; their answers do not depend on it."""

    def __init__(self, wsgi_app: "WSGIApplication", host: str) -> None:
        """Answer probes as if they had asked for `host`, a pattern of TRUSTED_HOSTS."""
        self._wsgi_app = wsgi_app
        self._host = host.removeprefix(".")

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Hand the request on."""
        if environ.get("PATH_INFO") in PATHS:
            environ["HTTP_HOST"] = self._host
        return self._wsgi_app(environ, start_response)
