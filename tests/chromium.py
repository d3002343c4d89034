"""A real headless Chromium that tests drive through its DevTools protocol, over a pipe.

https://chromedevtools.github.io/devtools-protocol: messages are JSON, each ended by a NUL.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 120.0  # seconds for an answer, or for something to become true
NAMED = {"ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Tab": 9, "Escape": 27}
TEXTS = {"Enter": "\r"}  # what a named key types
FLAGS = [
    "--headless=new",
    "--no-sandbox",  # a container's root has none to give
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-extensions",
    "--hide-scrollbars",
    "--allow-pre-commit-input",  # or a key that is struck before the first paint is lost
    "--remote-debugging-pipe",
]


# Texts that mean harm.
HOSTILE = [
    "</script><script>window.harm = 1</script>",
    '<img src="http://127.0.0.1:9/x.png" onerror="window.harm = 1">',
    "<!-- <script> <div><b>unclosed <textarea><style>* { display: none }",
    '<svg onload="window.harm = 1"><iframe src="javascript:parent.harm = 1"></iframe>',
    "{{data}} {{script}} ${window.harm = 1} ]]> &lt;b&gt; \\u003c",
    "\u202egnp.exe \u2066\u05e9\u05dc\u05d5\u05dd <b>\u0645\u0631\u062d\u0628\u0627",
    "a\0b\x01\x07\x1b[31m\x7f\x85 \ufffe",
    "one\u2028two\u2029three\ufefffour\r\nfive\rsix\tseven",
    "half \ud83d a character \udc00",
    "x" * 100_000,
    "words and\n" * 10_000,
    "  \n\t ",
]

# How many texts a page shows, and those that stand out too little (WCAG 2: 4.5), with the ratio.
CONTRASTS = """(() => {
  const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) =>
    0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parts(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const low = [], seen = [];
  for (const element of document.body.querySelectorAll("*")) {
    const text = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!text || !element.checkVisibility() || /SCRIPT|STYLE/.test(element.tagName)) continue;
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    seen.push(ratio);
    if (ratio < 4.5) low.push([element.outerHTML.slice(0, 80), ratio]);
  }
  return [seen.length, low];
})()"""


def program() -> str | None:
    """The Chromium of this machine, if it has one."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def need_chromium() -> None:
    """Skip, and say what is not tried, where there is none."""
    if program() is None:
        pytest.skip("no Chromium here: pages are not tried in a browser")


class Page:
    """One tab: what it is told to do, and what it has told of by itself."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive, self._buffer = send, receive, b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        self.dialogs: list[str] = []

    def attach(self, downloads: Path) -> None:
        """Open a tab; what it downloads lands in `downloads`."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        behaviour = {"behavior": "allow", "downloadPath": str(downloads)}
        self.call("Browser.setDownloadBehavior", browser=True, **behaviour)
        self.until("document.readyState === 'complete'")
        for domain in ("Page", "Runtime", "Network", "Log", "DOM", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, *, browser: bool = False, **parameters: Any) -> dict[str, Any]:
        """The answer to one command; what the browser tells meanwhile is kept in `events`."""
        number = self._tell(method, browser=browser, **parameters)
        while (answer := self._next()).get("id") != number:
            pass
        assert "error" not in answer, f"{method}: {answer.get('error')}"
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        """The next message; an event is kept, and a dialog accepted at once."""
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._receive], [], [], max(0, end - time.monotonic()))
            assert ready, "Chromium gave no answer"
            read = os.read(self._receive, 2**20)
            assert read, "Chromium ended"
            self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self.events.append(message)
            if message["method"] == "Page.javascriptDialogOpening":
                self.dialogs.append(message["params"]["type"])
                self._tell("Page.handleJavaScriptDialog", accept=True)
        return message

    def _tell(self, method: str, *, browser: bool = False, **parameters: Any) -> int:
        """Send one command; the number that its answer will bear."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session and not browser:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._send, data) :]
        return self._number

    def open(self, url: str) -> None:
        self._load("Page.navigate", url=url)

    def reload(self) -> None:
        self._load("Page.reload")

    def _load(self, method: str, **parameters: Any) -> None:
        """Return once the page that a command brings has loaded; nothing is asked meanwhile."""
        known = len(self.events)
        self.call(method, **parameters)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events[known:]):
            self._next()
        # The event may be a late one, of the page before.
        self.until("document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, or of the promise that it is."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self.evaluate(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.02)

    def press(self, *keys: str) -> None:
        """Strike keys as a keyboard does, one after the other."""
        for key in keys:
            code = NAMED.get(key, ord(key[0].upper()))
            common: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": code}
            written = {"text": TEXTS.get(key, key)} if len(key) == 1 or key in TEXTS else {}
            self.call("Input.dispatchKeyEvent", type="keyDown", **common | written)
            self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """A press of the mouse in the middle of an element, wherever the page shows it."""
        found = json.dumps(selector)
        x, y = self.evaluate(
            f"(() => {{ const it = document.querySelector({found});"
            "it.scrollIntoView({block: 'center'}); const box = it.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            place = {"x": x, "y": y, "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, **place)

    def choose_file(self, selector: str, file: Path) -> None:
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def scheme(self, name: str) -> None:
        """Day or night: "light" or "dark"."""
        feature = {"name": "prefers-color-scheme", "value": name}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def told(self, method: str) -> list[dict[str, Any]]:
        """The parameters of the events of one kind."""
        self.evaluate("0")  # what was told before this answer has been read
        return [event["params"] for event in self.events if event["method"] == method]


@contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    """A tab of a Chromium of its own, whose profile and downloads stand in `folder`."""
    downloads = folder / "downloads"
    downloads.mkdir(parents=True)
    pipes = [*os.pipe(), *os.pipe()]
    # Above 10, so that neither end is overwritten while the shell moves them to 3 and 4.
    ours_in, theirs_out = pipes[2], fcntl.fcntl(pipes[3], fcntl.F_DUPFD, 10)
    ours_out, theirs_in = pipes[1], fcntl.fcntl(pipes[0], fcntl.F_DUPFD, 10)
    os.close(pipes[3])
    os.close(pipes[0])
    shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out} {theirs_in}<&- {theirs_out}>&-'
    found = program()
    assert found
    command = [found, *FLAGS, f"--user-data-dir={folder / 'profile'}"]
    process = subprocess.Popen(
        ["bash", "-c", shell, "bash", *command],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=(folder / "chromium.log").open("wb"),
        start_new_session=True,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        page = Page(ours_out, ours_in)
        page.attach(downloads)
        yield page
    finally:
        os.close(ours_out)
        os.close(ours_in)
        os.killpg(process.pid, signal.SIGKILL)  # its helpers too, which write to its profile
        process.wait()
