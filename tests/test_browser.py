"""report.html in a real browser: Chromium, headless, and axe-core looking for barriers.

Not run where something is missing: Chromium and its driver, selenium, or axe-core (the package axe-playwright-python
ships it; the variable AXE_CORE may name another axe.min.js).
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grader.engine.reports import html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SHIPPED = importlib.util.find_spec("axe_playwright_python")  # found, never imported: it would ask for Playwright
AXE = Path(os.environ.get("AXE_CORE") or (Path(SHIPPED.origin).with_name("axe.min.js") if SHIPPED else "axe.min.js"))
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage")  # fmt: skip
SCREENS = {"phone": 390, "desktop": 1200}
MISSING = [
    name
    for name, there in (
        ("chromium", CHROMIUM),
        ("chromedriver", shutil.which("chromedriver")),
        ("selenium", importlib.util.find_spec("selenium")),
        ("axe-core", AXE.is_file()),
    )
    if not there
]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(MISSING), reason=f"not run: {', '.join(MISSING)} not installed"),
]
RUN_AXE = """
const done = arguments[0];
document.querySelectorAll('details').forEach(element => element.open = true);
axe.run().then(found => done(found.violations.map(v => [v.impact, v.id, v.nodes[0].html, v.nodes[0].failureSummary])));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (*QUIET, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module", params=["reference", "skeleton", "data", "model", "training", "accuracy", "hostile"])
def page(request, real_results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    hostile = (
        '"><script>document.title="taken"</script><img src=http://198.51.100.7/x onerror=alert(1)>\u202e' + "A" * 9000
    )
    result = real_results["accuracy" if request.param == "hostile" else request.param]
    if request.param == "hostile":
        checks = tuple(replace(c, title=hostile, message=hostile, hint=hostile) for c in result.checks)
        result = replace(result, checks=checks, prints=hostile, submission={"name": hostile, "notes": [hostile]})
    path = tmp_path_factory.mktemp(request.param) / "report.html"
    path.write_text(html.report(result), encoding="utf-8")
    return path


def requests_of(browser: Any) -> list[str]:
    """Addresses asked for since the last call."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_the_report_is_quiet_offline_and_accessible(browser, page, screen, scheme):
    size = {"width": SCREENS[screen], "height": 900, "deviceScaleFactor": 1, "mobile": screen == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    requests_of(browser), browser.get_log("browser")
    browser.get(page.as_uri())
    assert browser.get_log("browser") == []
    asked = requests_of(browser)
    assert page.as_uri() in asked and not [url for url in asked if not url.startswith(("file:", "data:"))]
    assert page.stat().st_size < 1_500_000 and browser.title.startswith("Score ")
    wide, seen = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= seen, "the page must not scroll sideways"
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    found = browser.execute_async_script(RUN_AXE)
    assert [violation for violation in found if violation[0] in ("serious", "critical")] == []
