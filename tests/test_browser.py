"""report.html and class.html in a real browser: Chromium, headless, and axe-core looking for barriers.

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

from grader.classroom.page.changes import summary
from grader.classroom.page.page import write
from grader.contract import WEEK
from grader.engine.reports import html
from tests.made_class import made_class, made_sources

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
    driver.set_script_timeout(250)  # axe looks at every colour of a large page, maybe beside other work
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


def open_quietly(browser: Any, page: Path, screen: str, scheme: str = "light") -> None:
    """Opens a page that asks for nothing, says nothing to the console and does not scroll sideways."""
    size = {"width": SCREENS[screen], "height": 900, "deviceScaleFactor": 1, "mobile": screen == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    requests_of(browser), browser.get_log("browser")
    browser.get(page.as_uri())
    assert browser.get_log("browser") == []
    asked = requests_of(browser)
    assert page.as_uri() in asked and not [url for url in asked if not url.startswith(("file:", "data:"))]
    stays_in_width(browser)


def stays_in_width(browser: Any) -> None:
    wide, seen = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= seen, "the page must not scroll sideways"


def barriers(browser: Any) -> list[Any]:
    """What axe finds serious, with everything unfolded."""
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    return [found for found in browser.execute_async_script(RUN_AXE) if found[0] in ("serious", "critical")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_the_report_is_quiet_offline_and_accessible(browser, page, screen, scheme):
    open_quietly(browser, page, screen, scheme)
    assert page.stat().st_size < 1_500_000 and browser.title.startswith("Score ")
    assert barriers(browser) == []


# -- class.html --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def class_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = made_class(40, later=0.3)
    before, arrived = summary(made_class(40)), [("homework.rar", "it cannot be opened")]
    return write(rows, arrived, WEEK, tmp_path_factory.mktemp("class"), before=before, sources=made_sources(rows))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_the_class_page_is_quiet_offline_and_accessible(browser, class_page, screen, scheme):
    open_quietly(browser, class_page, screen, scheme)
    browser.find_element("id", "names").click()
    assert barriers(browser) == []
    stays_in_width(browser)
    assert browser.get_log("browser") == []


def cells(browser: Any, column: int) -> list[str]:
    """What stands in a column of the table of all students, of the rows in sight."""
    script = """return [...document.querySelectorAll('.students tbody tr')].filter(row => !row.hidden)
        .map(row => row.cells[arguments[0]].innerText.trim())"""
    return list(browser.execute_script(script, column))


def test_tables_sort_by_a_click_on_a_heading_and_again_the_other_way_round(browser, class_page):
    open_quietly(browser, class_page, "desktop")
    heading = browser.find_elements("css selector", ".students thead th")[1]
    for direction, last_first in (("descending", True), ("ascending", False)):
        heading.find_element("tag name", "button").click()
        assert heading.get_attribute("aria-sort") == direction
        scores = cells(browser, 1)
        filled = [int(score) for score in scores if score]
        assert filled == sorted(filled, reverse=last_first) and len(filled) > 20
        assert scores[len(filled) :] == [""] * (len(scores) - len(filled)), "those without a score come last"
    browser.find_elements("css selector", ".students thead th")[0].find_element("tag name", "button").click()
    assert cells(browser, 0)[:2] == ["student\u00a01", "student\u00a02"], "numbers in a text count as numbers"
    assert len(browser.find_elements("css selector", ".students th[aria-sort]")) == 1


def test_the_table_is_filtered_by_text_and_by_first_cause(browser, class_page):
    open_quietly(browser, class_page, "desktop")
    every, names = len(cells(browser, 0)), cells(browser, 0)
    find, said = browser.find_element("id", "find"), browser.find_element("id", "shown")
    find.send_keys("complete graded")
    complete = cells(browser, 0)
    assert 0 < len(complete) < every and said.text == f"{len(complete)} of {every} students"
    find.clear()
    find.send_keys(" ")
    assert cells(browser, 0) == names
    option = browser.find_elements("css selector", "#finding option")[2]
    count = int(option.text.rpartition("(")[2].rstrip(")"))
    option.click()
    assert len(cells(browser, 0)) == count


def test_names_are_hidden_until_asked_for(browser, class_page):
    open_quietly(browser, class_page, "desktop")
    name = browser.execute_script("return document.querySelector('.students .name').textContent")
    assert name not in browser.find_element("tag name", "body").text
    find = browser.find_element("id", "find")
    find.send_keys(name)
    assert cells(browser, 0) == [], "a name is not found either"
    browser.find_element("id", "names").click()
    assert cells(browser, 0) == [name]
    browser.find_element("id", "names").click()
    browser.find_element("css selector", ".causes .show").click()
    listed = browser.find_element("css selector", ".causes .names").text.split("\n")
    assert listed and "student" not in " ".join(listed)
    assert browser.find_elements("css selector", ".students .name")[0].is_displayed() is False


def test_addresses_can_be_copied(browser, class_page):
    open_quietly(browser, class_page, "desktop")
    browser.find_element("css selector", ".causes .show").click()
    browser.find_element("css selector", ".causes .copy").click()
    said = browser.find_element("css selector", ".causes .people [role=status]")
    for _ in range(100):
        if said.text:
            break
        browser.execute_async_script("setTimeout(arguments[0], 20)")
    assert said.text.startswith(("Copied", "They are marked"))


def test_without_scripts_everything_can_be_read_and_names_stay_hidden(browser, class_page):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(class_page.as_uri())
        text = browser.find_element("tag name", "body").text
        assert "What this class misunderstood" in text and "student 1" in text
        assert not [
            e for e in browser.find_elements("css selector", "button, input, select, .name") if e.is_displayed()
        ]
        assert browser.find_elements("css selector", "details:not([open]) > summary")[0].is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_print_has_no_controls_and_no_names(browser, class_page):
    open_quietly(browser, class_page, "desktop")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        found = browser.find_elements("css selector", ".controls, nav, .name, .mails")
        assert found and not [element for element in found if element.is_displayed()]
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
