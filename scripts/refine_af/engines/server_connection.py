"""The way to a server: its address and key, and the environment's proxies and certificates."""

from __future__ import annotations

import os
import re
from urllib.request import getproxies

import httpx2

from refine_af.errors import InputError, shown

# httpx2 itself, not the openai client built on it (3.52): that one tells every server what machine
# this is and what OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS hold, reads a refusal
# without a bound, and does not try again after a fault in an answer's body, after 425, or
# where Retry-After asks for more than two minutes.
CONNECT_S = 30.0
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def endpoint(url: str, path: str) -> str:
    """The address of `path` below `url`, such as completions; InputError where it is no address."""
    whole = f"{url.rstrip('/')}/{path}"
    try:
        _check_address(httpx2.URL(whole))
    except (httpx2.InvalidURL, ValueError) as error:
        raise InputError(f"{url}: no address: {shown(str(error))}") from None
    return whole


def key_in(variable: str | None) -> str:
    """The server's key, from the environment variable; empty where `variable` is None.

    InputError where the variable is not set, or holds what cannot be a key.
    """
    if variable is None:
        return ""
    named, key = f"the environment variable {variable} (key_variable)", os.environ.get(variable)
    if not key:
        missing = "is not set" if key is None else "is empty"
        raise InputError(f"{named} is to hold the server's key, and {missing}")
    # Other characters cannot be sent, or are echoed in escapes in which the key would go unseen.
    if not re.fullmatch(r"[!#-&(-\[\]-~]+", key):
        raise InputError(
            f"{named} holds no key: of spaces, quotation marks, backslashes and characters that "
            "are not ASCII a key has none"
        )
    return key


def client(key: str, connections: int, *, proxies: bool) -> httpx2.AsyncClient:
    """A client that sends `key`, past the environment's proxies where `proxies` is false.

    InputError where the environment's proxy or certificates fail.
    """
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    if proxies:
        _check_proxies()
    # The engine limits an attempt as a whole; an address that nobody has is noticed sooner.
    timeout = httpx2.Timeout(None, connect=CONNECT_S)
    limits = httpx2.Limits(max_keepalive_connections=connections)
    try:
        return httpx2.AsyncClient(
            timeout=timeout, limits=limits, headers=headers, trust_env=proxies
        )
    except ImportError:
        raise InputError(
            "an environment variable *_PROXY (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) names a SOCKS "
            "proxy, for which the package socksio is missing; a proxy with http:// needs none"
        ) from None
    except OSError as error:  # read for http too, since its proxy may have an https address
        held = ", ".join(f"{name} {shown(os.environ.get(name))}" for name in CERTIFICATES)
        raise InputError(
            f"no certificates can be read: {shown(str(error))} (environment variables: {held})"
        ) from None


def _check_address(url: httpx2.URL) -> None:
    url.host.encode("idna")
    if not url.host or not 0 <= (url.port or 0) < 2**16:
        raise ValueError("no host, or a port that is not from 0 to 65535")


def _check_proxies() -> None:
    """InputError where a proxy's address is not valid; otherwise its first use would show it."""
    for scheme in ("http", "https", "all"):
        proxy = getproxies().get(scheme)
        if not proxy:
            continue
        try:
            _check_address(httpx2.Proxy(proxy if "://" in proxy else f"http://{proxy}").url)
        except (httpx2.InvalidURL, ValueError):
            # What is wrong is not shown: it may be a piece of the proxy's password.
            raise InputError(
                f"the environment variable {scheme.upper()}_PROXY (or {scheme}_proxy) names no "
                "proxy: one is http://host:port, or http://user:password@host:port with %XX for "
                "special characters of the password"
            ) from None
