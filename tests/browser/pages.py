"""Visits the pages of `mldash_bridge serve` in a headless Chromium, as a person would.

usage: pages.py CHROMIUM CHECK URL ARGUMENT    (the checks are the functions of that name below; ARGUMENT is JSON)
"""

import json
import pathlib
import sys
import time

from playwright.sync_api import sync_playwright
from report import COUNT, PIXELS

DRAWN = "() => frame === 0 && views.every((view) => !view.isSeen || !view.isStale)"


class Visitor:
    """Somebody at a browser, with everything that went wrong in it and everything that it asked for."""

    def __init__(self, browser, url, **options):
        self.url = url
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page = self.context.new_page()
        self.errors, self.requests = [], []
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def go(self, path):
        self.page.goto(self.url + path)

    def log_in(self, token, path="/"):
        self.go(path)
        assert self.page.url.startswith(f"{self.url}/login"), self.page.url
        # Whoever types, types the token. A browser moves the focus when it gets to it.
        self.page.wait_for_function("() => document.activeElement.name === 'token'")
        self.type_token(token)

    def type_token(self, token):
        self.page.keyboard.type(token)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def follow(self, role, name):
        with self.page.expect_navigation():
            self.page.get_by_role(role, name=name, exact=True).click()

    def path(self):
        return self.page.url.removeprefix(self.url)

    def text(self):
        return self.page.locator("body").inner_text()

    def names(self):
        return self.page.locator(".list tbody a").all_inner_texts()

    def open_report(self, name):
        self.follow("link", name)
        self.page.wait_for_function(DRAWN)

    def canvas(self, label):
        plot = self.page.get_by_role("img", name=label, exact=True).first
        plot.scroll_into_view_if_needed()
        self.page.wait_for_function("(plot) => plot.view.isSeen && !plot.view.isStale", arg=plot.element_handle())
        return plot

    def count(self, label, color):
        return self.canvas(label).evaluate(COUNT, color)

    def download(self, name, folder):
        with self.page.expect_download() as begun:
            self.page.get_by_role("link", name=name, exact=True).click()
        begun.value.save_as(pathlib.Path(folder) / begun.value.suggested_filename)

    def overflow(self):
        return self.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def assert_clean(self, expected=()):
        errors = [error for error in self.errors if not any(text in error for text in expected)]
        assert not errors, errors
        others = [url for url in self.requests if not url.startswith((self.url + "/", "data:", "blob:"))]
        assert not others, others


def visit(browser, url, told):
    """In, around, and out again."""
    visitor = Visitor(browser, url)
    page = visitor.page
    visitor.log_in("no-such-token", told["report"])
    assert "This token is not known" in visitor.text()
    assert not visitor.context.cookies()
    visitor.type_token(told["token"])
    assert visitor.path() == told["report"], "where the link led"
    [cookie] = visitor.context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and not cookie["secure"], cookie
    assert told["token"] not in cookie["value"]

    visitor.follow("link", "Experiments")
    names = visitor.names()
    assert names[0] == told["live"] and len(names) == 100, names[:3]
    assert page.locator(".list tbody tr").first.locator(".chip.live").inner_text() == "being recorded"
    visitor.follow("link", "Older")
    assert 0 < len(visitor.names()) < 100 and told["live"] not in visitor.names()
    assert "secret" not in visitor.text()

    page.get_by_role("searchbox").fill("KITCHEN loop")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert visitor.names() == [told["robot"]], visitor.names()
    visitor.open_report(told["robot"])
    for label, color, least in told["plots"]:
        found = visitor.count(label, color)
        assert found >= least, f"{label}: {found} pixels of {color}"
    before = [visitor.canvas(told["plots"][0][0]).evaluate(PIXELS), page.locator("#now").text_content()]
    page.locator("#slider").evaluate("(slider) => { slider.value = 420; slider.dispatchEvent(new Event('input')); }")
    page.wait_for_function(DRAWN)
    after = [visitor.canvas(told["plots"][0][0]).evaluate(PIXELS), page.locator("#now").text_content()]
    assert before[0] != after[0] and before[1] != after[1]

    visitor.follow("link", "Download rows and files")
    for name in told["downloads"]:
        visitor.download(name, told["folder"])

    visitor.go("/")
    for box in page.locator(".list tbody input").all()[:2]:
        box.check()
    visitor.follow("button", "Show those chosen side by side")
    assert page.locator("main h1").count() == 2
    page.wait_for_function(DRAWN)

    visitor.go("/")
    visitor.follow("button", "Log out")
    assert not visitor.context.cookies()
    page.go_back()
    page.wait_for_url("**/login*")
    assert told["live"] not in visitor.text() and visitor.path().startswith("/login"), "nothing is kept to be seen again"
    visitor.assert_clean(["status of 403"])

    other = Visitor(browser, url)
    other.log_in(told["otherToken"])
    assert other.names() == ["lab/secret"], other.names()
    other.go(told["report"])
    assert "can't access another one" in other.text()
    other.assert_clean(["status of 403"])


def small(browser, url, told):
    """On a phone and in the dark, and without a mouse."""
    options = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 3, "is_mobile": True, "has_touch": True}
    visitor = Visitor(browser, url, color_scheme="dark", **options)
    grounds = []
    visitor.log_in(told["token"])
    for path in ["/", told["report"], told["downloads"], "/?q=nothing-is-called-so"]:
        visitor.go(path)
        assert visitor.overflow() <= 0, f"{path}: {visitor.overflow()} px too wide"
        grounds.append(visitor.page.evaluate("() => getComputedStyle(document.body).backgroundColor"))
        names = visitor.page.evaluate("""() => [...document.querySelectorAll("a, button, input:not([type=hidden]), summary")]
            .map((one) => one.ariaLabel || one.textContent.trim() || one.labels?.[0]?.textContent)""")
        assert names and all(names), names
    assert set(grounds) == {"rgb(14, 17, 22)"}, grounds
    visitor.go(told["report"])
    visitor.page.wait_for_function(DRAWN)
    assert visitor.count(told["plot"], "--series-0") > 100
    visitor.assert_clean()


def live(browser, url, told):
    """A page goes on while rows are appended, and whoever looks at it is not disturbed."""
    visitor = Visitor(browser, url)
    page = visitor.page
    visitor.log_in(told["token"], told["report"])
    page.wait_for_function(DRAWN)

    def rows():
        return page.evaluate("() => views.length") and int(page.locator(".figures b").nth(3).inner_text().replace(",", ""))

    first, label = rows(), told["plot"]
    assert page.locator("#live").inner_text() == "being recorded"
    pixels = visitor.canvas(label).evaluate(PIXELS)
    deadline = time.monotonic() + 60
    while rows() < first + 50:
        assert time.monotonic() < deadline, (first, rows())
        page.wait_for_timeout(100)
    page.wait_for_function(DRAWN)
    assert visitor.canvas(label).evaluate(PIXELS) != pixels, "the curve goes on"

    # A place, a zoom, a fold and a focus of one's own.
    page.evaluate("() => { point(state.length * 0.3); look(state.length * 0.2, state.length * 0.4); }")
    page.locator("summary", has_text="Where it comes from").click()
    page.keyboard.press("Tab")
    page.evaluate("() => scrollTo(0, 150)")
    mine = "() => [state.from, state.to, state.cursor, scrollY, document.querySelector('main details').open, document.activeElement.ariaLabel]"
    before, seen = page.evaluate(mine), rows()
    assert before[4] and before[5], before
    while rows() < seen + 50:
        assert time.monotonic() < deadline, (seen, rows())
        page.wait_for_timeout(100)
    page.wait_for_function(DRAWN)
    after = page.evaluate(mine)
    near = all(abs(a - b) < 1e-6 for a, b in zip(before[:4], after[:4]))
    assert near and before[4:] == after[4:], (before, after)

    # The list goes on, too: what is chosen and the focus stay.
    visitor.go("/")
    cell = page.locator(".list tbody tr").first.locator("td").nth(5)
    page.locator(".list tbody input").first.check()
    seen = cell.inner_text()
    mine = "() => [document.querySelector('.list tbody input').checked, document.activeElement.value]"
    before = page.evaluate(mine)
    deadline = time.monotonic() + 60
    while cell.inner_text() == seen:
        assert time.monotonic() < deadline, seen
        page.wait_for_timeout(100)
    assert before[0] and before[1] and page.evaluate(mine) == before, (before, page.evaluate(mine))
    visitor.assert_clean()
    print(json.dumps({"done": True}))


def hostile(browser, url, told):
    """Names, tags and texts are shown as they are, and none of them runs."""
    visitor = Visitor(browser, url)
    page = visitor.page
    visitor.log_in(told["token"])
    for path in ["/", *told["paths"]]:
        visitor.go(path)
        assert page.evaluate("() => window.harmed") is None, path
        assert page.locator("img[src='x'], main script, nav script, iframe, object").count() == 0, path
        assert told["name"] in visitor.text(), f"{path}: it is shown as it was written"
    visitor.assert_clean()
    # A script that got in all the same would not run, and nothing would carry what it knows to another host.
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.harmed = true";
        document.body.append(script);
        return fetch("http://127.0.0.1:9/").catch(() => null);
    }""")
    assert page.evaluate("() => window.harmed") is None
    assert len(visitor.errors) >= 2 and all("Content Security Policy" in error or "violates" in error for error in visitor.errors), visitor.errors


def main():
    browser_path, check, url, argument = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path)
        try:
            globals()[check](browser, url, json.loads(argument))
        finally:
            browser.close()


if __name__ == "__main__":
    main()
