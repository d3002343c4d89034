"""Downloads that resume, try again, and count as done only with the right digest."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from refine_af.errors import InputError, shown
from refine_af.fetch.pinned import Pinned, listed
from refine_af.jobs.attempts import wait_after
from refine_af.jobs.progress import Progress

CONNECTIONS = 4
# What a server says when it may say otherwise a little later.
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
MEGABYTE = 1_000_000


def download(
    files: Sequence[Pinned],
    folder: Path,
    *,
    attempts: int,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
) -> list[Path]:
    """Download `files` to `folder`, under their names; where they are, digests checked.

    A partial file there is continued, and one that turns out wrong is fetched anew once. `headers`
    go to the addresses' own hosts alone. InputError lists every file that could not be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with client(timeout_s, headers or {}) as connection:
        faults = _Downloads(connection, folder, attempts, _Meter(files)).run(files)
    if faults:
        raise InputError(
            f"{len(faults)} of {len(files)} files could not be downloaded. Run this again where "
            f"there is a network (what arrived is kept in {folder}), or let fetch.mirror name a "
            "folder that holds them under the names that begin these lines:\n" + listed(faults)
        )
    return [folder / file.name for file in files]


def client(timeout_s: float, headers: Mapping[str, str]) -> httpx2.Client:
    """A client that keeps connections and follows redirects.

    InputError where the proxy that the environment names cannot be used.
    """
    # A range counts the bytes as sent, which are the file's only where they are not compressed.
    own = {"Accept-Encoding": "identity", **headers}
    try:
        return httpx2.Client(timeout=timeout_s, follow_redirects=True, headers=own)
    except (ImportError, ValueError) as error:
        raise InputError(f"the proxy that the environment names cannot be used: {error}") from None


class _Downloads:
    """The downloads of one command; where one cannot reach its server, the others stop trying."""

    def __init__(
        self, connection: httpx2.Client, folder: Path, attempts: int, meter: _Meter
    ) -> None:
        self._client = connection
        self._folder = folder
        self._attempts = attempts
        self._meter = meter
        self._measuring = threading.Lock()
        self._given_up = threading.Event()
        self._ended = threading.Event()

    def run(self, files: Sequence[Pinned]) -> dict[Pinned, str]:
        """The files that could not be had, with what went wrong."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            try:
                faults = dict(zip(files, pool.map(self._fetch, files), strict=True))
            finally:
                self._given_up.set()
                self._ended.set()
        return {file: why for file, why in faults.items() if why}

    def _fetch(self, file: Pinned) -> str:
        """Land one file; an empty text, or what went wrong."""
        whole = self._folder / file.name
        partial = whole.with_name(f"{whole.name}.partial")
        whole.parent.mkdir(parents=True, exist_ok=True)
        if whole.is_file() and self._digest(file, whole) == file.digest:
            self._meter.landed(file, whole)
            return ""
        found = ""
        for _ in range(2):
            fault = self._receive(file, partial)
            if fault:
                return fault
            found = self._digest(file, partial)
            if found == file.digest:
                with open(partial, "rb") as written:
                    os.fsync(written.fileno())
                os.replace(partial, whole)
                self._meter.landed(file, whole)
                return ""
            partial.unlink()
        return f"downloaded twice with the wrong {file.what} {found}{file.advice}"

    def _digest(self, file: Pinned, path: Path) -> str:
        # One at a time: some measures hold the whole file in memory.
        with self._measuring:
            return file.measure(path)

    def _receive(self, file: Pinned, partial: Path) -> str:
        """Fill `partial`; an empty text, or what went wrong when nothing new arrived any more."""
        fault, reached = "not tried, since another failed", True
        failures, most = 0, _size(partial)
        while failures < self._attempts:
            if self._given_up.wait(wait_after(failures)):
                return fault
            try:
                self._stream(file, partial)
                return ""
            except httpx2.HTTPStatusError as error:
                fault, reached = f"HTTP {error.response.status_code}", True
                if error.response.status_code not in TRANSIENT:
                    return fault
            except httpx2.RequestError as error:
                fault, reached = f"{type(error).__name__} {error}".strip(), False
            except (httpx2.InvalidURL, UnicodeError) as error:
                return f"no address: {shown(str(error))}"
            # What arrived counts as progress: only attempts in a row without a new byte add up.
            failures = 1 if _size(partial) > most else failures + 1
            most = max(most, _size(partial))
        if not reached:
            self._given_up.set()
        return f"{fault} (attempts: {self._attempts})"

    def _stream(self, file: Pinned, partial: Path) -> None:
        start = _size(partial)
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._client.stream("GET", file.url, headers=headers) as response:
            if start and response.status_code == httpx2.codes.RANGE_NOT_SATISFIABLE:
                return  # nothing is left to send; the digest says whether that is right
            response.raise_for_status()
            resumed = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            with open(partial, "ab" if start and resumed else "wb") as target:
                for chunk in response.iter_bytes():
                    if self._ended.is_set():
                        raise _EndedError
                    target.write(chunk)
                    self._meter.at(file, target.tell())


class _EndedError(Exception):
    """The command has ended; the partial file stays for the next one."""


class _Meter:
    """Shows how much is here: in MB where every size is known, otherwise in files."""

    def __init__(self, files: Sequence[Pinned]) -> None:
        sizes = [file.size for file in files if file.size is not None]
        self._in_bytes = len(sizes) == len(files)
        total, unit = (sum(sizes) // MEGABYTE, "MB") if self._in_bytes else (len(files), "files")
        self._progress = Progress(total, unit)
        self._positions: dict[Pinned, int] = {}
        self._counted = 0
        self._lock = threading.Lock()

    def at(self, file: Pinned, position: int) -> None:
        """`position` bytes of the file are here, which may be fewer than before."""
        if self._in_bytes:
            with self._lock:
                self._positions[file] = position
                count = sum(self._positions.values()) // MEGABYTE
                if count > self._counted:
                    self._progress.advance(count - self._counted)
                    self._counted = count

    def landed(self, file: Pinned, whole: Path) -> None:
        """The file is complete."""
        self.at(file, _size(whole))
        if not self._in_bytes:
            with self._lock:
                self._progress.advance()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
