"""A headless Chromium, driven by the DevTools protocol over two pipes, and what it sees of a page."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_SECONDS = 60.0  # for one answer, on a machine that other tests keep busy
# The pipes must be the descriptors 3 and 4 of the browser.
_START = 'exec 3<&"$0" 4>&"$1"; shift; exec "$@"'
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-pipe",
    "about:blank",
)

# Whatever of an open page is cut off, unreadable, or out of reach; folded sections are unfolded first.
_DRAWN = """new Promise(done => requestAnimationFrame(() => setTimeout(() =>
  Promise.all([...document.images].map(image => image.decode().catch(() => 0))).then(() => done(true)), 50)))"""
_PROBLEMS = """
(() => {
  const problems = [], wide = document.documentElement.clientWidth, name = element =>
    `<${element.tagName.toLowerCase()}> "${(element.textContent || element.alt || '').trim().slice(0, 60)}"`;
  for (const part of document.querySelectorAll('details')) part.open = true;
  if (document.documentElement.scrollWidth > wide)
    problems.push(`the page is ${document.documentElement.scrollWidth} pixels wide`);
  const scrolls = element => ['auto', 'scroll'].includes(getComputedStyle(element).overflowX);
  const scroller = element => { while ((element = element.parentElement)) if (scrolls(element)) return element; };
  const light = color => {
    const parts = color.match(/[0-9.]+/g).slice(0, 3).map(part => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const behind = element => {
    for (; element; element = element.parentElement) {
      const color = getComputedStyle(element).backgroundColor;
      if (!/, 0\\)$/.test(color)) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  for (const element of document.body.querySelectorAll('*')) {
    const style = getComputedStyle(element), box = element.getBoundingClientRect();
    if (!box.width || !box.height || element.closest('.skip')) continue;
    const frame = scroller(element);
    if (!frame && (box.right > wide + 1 || box.left < -1))
      problems.push(`${name(element)} ends at ${Math.round(box.right)} of ${wide} pixels`);
    if (['hidden', 'clip'].includes(style.overflowX) && element.scrollWidth > element.clientWidth + 1)
      problems.push(`${name(element)} is cut off`);
    if (scrolls(element) && element.scrollWidth > element.clientWidth && element.tabIndex !== 0)
      problems.push(`${name(element)} cannot be scrolled with the keyboard`);
    if (element.tagName === 'IMG' && !element.naturalWidth) problems.push(`${name(element)} has no picture`);
    if (element.tagName === 'SPAN' && frame && box.width > frame.clientWidth + 1)
      problems.push(`${name(element)} is wider than the window of its table`);
    const texts = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (texts) {
      const [one, two] = [light(style.color), light(behind(element))].sort((a, b) => b - a);
      const contrast = (one + 0.05) / (two + 0.05);
      if (contrast < 4.5) problems.push(`${name(element)} has a contrast of ${contrast.toFixed(2)} only`);
    }
  }
  for (const button of document.querySelectorAll('table.sortable th button')) {
    button.click();
    if (!button.closest('th').getAttribute('aria-sort')) problems.push(`${name(button)} does not sort`);
  }
  return problems;
})()
"""


def browser_found() -> str | None:
    """The path of an installed Chromium or Chrome, None without one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A running browser with one page. Messages are JSON, each ended by a zero byte."""

    def __init__(self, process: subprocess.Popen[bytes], to: int, answers: int) -> None:
        self.process, self.to, self.answers = process, to, answers
        self.numbers = itertools.count(1)
        self.unread = b""
        self.session: str | None = None
        self.errors: list[str] = []
        self.is_loaded = False

    def open(self) -> None:
        """Open the page that everything after this is about."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def load(self, page: Path) -> None:
        """Load a page."""
        self.errors.clear()
        self.is_loaded = False
        self.ask("Page.navigate", url=page.absolute().as_uri())
        while not self.is_loaded:
            self._take(self._message())

    def resize(self, width: int, scheme: str, height: int = 900) -> None:
        """Show the page that is loaded at `width` CSS pixels, in the color scheme light or dark."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.value(_DRAWN)  # a <picture> chooses its image after the change

    def value(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise AssertionError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def problems(self) -> list[str]:
        """Errors of the console, and whatever of the page is cut off or cannot be read."""
        found = self.value(_PROBLEMS)
        return [*self.errors, *found]

    def screenshot(self, out: Path) -> None:
        """The whole page as a PNG."""
        found = self.ask("Page.captureScreenshot", captureBeyondViewport=True, format="png", clip=self._whole())
        out.write_bytes(base64.b64decode(found["data"]))

    def _whole(self) -> Mapping[str, float]:
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}

    def ask(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        """Send a command and return its answer."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self.session and not method.startswith("Target."):
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                result: Mapping[str, Any] = answer["result"]
                return result
            self._take(answer)

    def _take(self, event: Mapping[str, Any]) -> None:
        name, details = event.get("method"), event.get("params", {})
        if name == "Page.loadEventFired":
            self.is_loaded = True
        elif name == "Runtime.exceptionThrown":
            self.errors.append(str(details["exceptionDetails"]))
        elif name == "Log.entryAdded" and details["entry"]["level"] in ("error", "warning"):
            self.errors.append(str(details["entry"]["text"]))
        elif name == "Runtime.consoleAPICalled" and details["type"] in ("error", "warning", "assert"):
            self.errors.append(str(details["args"]))

    def _message(self) -> Mapping[str, Any]:
        end = time.monotonic() + PATIENCE_SECONDS
        while b"\0" not in self.unread:
            ready, _, _ = select.select([self.answers], [], [], max(0.0, end - time.monotonic()))
            piece = os.read(self.answers, 1 << 20) if ready else b""
            if not piece:
                raise AssertionError(f"the browser does not answer (exit code {self.process.poll()})")
            self.unread += piece
        line, _, self.unread = self.unread.partition(b"\0")
        message: Mapping[str, Any] = json.loads(line)
        return message


@contextlib.contextmanager
def browser(path: str, profile: Path) -> Iterator[Browser]:
    """Start a browser with an empty profile; every process of it ends with the block."""
    theirs, to = os.pipe()
    answers, back = os.pipe()
    command = ["bash", "-c", _START, str(theirs), str(back), path, f"--user-data-dir={profile}", *_OPTIONS]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, pass_fds=(theirs, back), stdout=quiet, stderr=quiet, start_new_session=True)
    os.close(theirs)
    os.close(back)
    try:
        found = Browser(process, to, answers)
        found.open()
        yield found
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(to)
        os.close(answers)
