"""A headless Chromium, spoken to over a pair of pipes in the DevTools protocol, for tests of pages."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)  # fmt: skip
KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13, "Tab": 9}

# The protocol's pipes are descriptors 3 and 4. Both are kept aside first: either may be the other's place.
_LAUNCH = """
import os, sys
commands, answers = (os.dup2(int(fd), high) for fd, high in zip(sys.argv[1:3], (100, 101)))
os.dup2(commands, 3)
os.dup2(answers, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One tab. `errors` collects exceptions and console errors of its pages.

    Args:
        profile: an empty folder.
        flags: beyond `FLAGS`.
    """

    def __init__(self, profile: Path, *flags: str) -> None:
        commands, self._out = os.pipe()
        self._in, answers = os.pipe()
        command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", *flags, "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, str(commands), str(answers), *command],
            pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands)
        os.close(answers)
        self._number, self._rest, self.errors = 0, b"", []
        self._session: str | None = None
        pages = [target for target in self._send("Target.getTargets")["targetInfos"] if target["type"] == "page"]
        attached = self._send("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._send(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def open(self, page: Path, width: int = 1200, height: int = 800, *, touch: bool = False) -> None:
        """Load a page in a window of that size, and wait until it has drawn."""
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self._send("Emulation.setTouchEmulationEnabled", enabled=touch)
        self._send("Page.navigate", url=page.as_uri())
        self.wait("document.readyState === 'complete'")
        if self.evaluate("document.getElementById('report-data') !== null"):  # a report, which unpacks itself first
            self.wait("document.querySelector('#scans button') !== null")
        self.settle()

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited where it is a promise."""
        answer = self._send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def settle(self) -> None:
        """Two frames, so that what was asked for is on the screen."""
        frames = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
        assert self.evaluate(frames) == 1

    def wait(self, condition: str, seconds: float = 20) -> None:
        """Until a JavaScript condition holds."""
        end = time.monotonic() + seconds
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"never: {condition}"
            time.sleep(0.05)

    def press(self, key: str) -> None:
        """Press and release a key, as a hand would."""
        code = KEYS.get(key) or ord(key.upper())
        text = {} if key in KEYS else {"text": key}
        self._send("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        self._send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)
        self.settle()

    def drag(self, start: tuple[int, int], end: tuple[int, int], *, touch: bool = False) -> None:
        """From one place of the window to another, with the mouse or with a finger."""
        if touch:
            for kind, points in (("touchStart", [start]), ("touchMove", [end]), ("touchEnd", [])):
                places = [{"x": x, "y": y} for x, y in points]
                self._send("Input.dispatchTouchEvent", type=kind, touchPoints=places)
        else:
            for kind, (x, y) in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
                self._send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)
        self.settle()

    def picture(self) -> np.ndarray:
        """(H, W, 3) of the window."""
        data = self._send("Page.captureScreenshot", format="png")["data"]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), dtype=int)

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._in, 1 << 16)
            assert more, "the browser is gone"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        method, told = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(told["exceptionDetails"])
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert"):
            self.errors.append(told["args"])
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(told["entry"])
