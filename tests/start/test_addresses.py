"""Addresses that are taken as they stand, without the library that would read them: it reads them alike."""

from __future__ import annotations

import httpx
import pytest

from watchdog.signals.health import HealthConfig, address_of

ADDRESSES = (
    "http://127.0.0.1:8002/health",
    "http://localhost/",
    "http://localhost",
    "https://api.example.com:8443/v1/health-check_1/~me/",
    "http://h:80/health",
    "https://h:443/health",
    "http://Example.COM/Health",
    "HTTP://example.com/",
    "http://user:word@example.com/x?token=1#part",
    "http://1.2.3.4/",
    "http://255.1.1.1:65000/a",
    "http://[::1]:8000/health",
    "http://müller.example/ä",
    "http://h/a/../b",
    "http://h//a",
    "http://h/a%2fb c",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_label_is_what_httpx_makes_of_the_address(address: str) -> None:
    """So no signal gets another identity than it had."""
    config = HealthConfig.model_validate({"url": address})
    assert config.labels()["url"] == address_of(httpx.URL(address))
    assert config.secure == (httpx.URL(address).scheme == "https")


BAD = ("http://1.2.3.400/", "ftp://h/", "/health", "http:///x")


@pytest.mark.parametrize("address", BAD)
def test_a_bad_address_is_refused(address: str) -> None:
    """However plain it looks."""
    with pytest.raises(ValueError, match="url"):
        HealthConfig.model_validate({"url": address})
