"""The addresses that messages and pages lead to."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Links:
    """
    Where people find more: *base* is the sidecar's own address, *grafana* a dashboard's, or empty.

    Names become one part of an address each, whatever is in them.
    """

    base: str
    grafana: str = ""

    def service(self, service: str) -> str:
        """Return the address of the page about *service*."""
        return f"{self.base}/services/{quote(service, safe='')}"

    def alert(self, service: str, fingerprint: str) -> str:
        """Return the address of one alert on the page about *service*."""
        return f"{self.service(service)}#alert-{quote(fingerprint, safe='')}"

    def dashboard(self, service: str) -> str:
        """Return the address of Grafana's dashboard with *service* chosen, or nothing if there is none."""
        joint = "&" if "?" in self.grafana else "?"
        return f"{self.grafana}{joint}var-service={quote(service, safe='')}" if self.grafana else ""
