"""Opens a report in a headless Chromium and looks at it as a person would: at pixels, not only at elements.

usage: report.py CHROMIUM CHECK PAGE [ARGUMENT]    (the checks are the functions of that name below)
"""

import json
import pathlib
import sys

from playwright.sync_api import sync_playwright

# How many pixels of a canvas are of a colour, within what smoothing of edges changes; the cursor and the axes aside.
COUNT = """(canvas, color) => {
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(color).trim();
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  // Of a copy: the browser complains where a canvas is read again and again.
  const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const reader = copy.getContext("2d", { willReadFrequently: true });
  reader.drawImage(canvas, 0, 0);
  const { data } = reader.getImageData(0, 0, canvas.width, canvas.height);
  let pixels = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] > 200 && Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 24) pixels += 1;
  }
  return pixels;
}"""
PIXELS = "(canvas) => canvas.toDataURL()"


class Page:
    """A page, with everything that went wrong in it and everything that it asked others for."""

    def __init__(self, browser, path, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page = context.new_page()
        self.errors, self.requests = [], []
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.url = pathlib.Path(path).resolve().as_uri()
        self.page.goto(self.url)
        self.settle()

    def settle(self):
        """Waits until all that is seen is drawn as it is to be."""
        self.page.wait_for_function("() => frame === 0 && views.every((view) => !view.isSeen || !view.isStale)")

    def show(self, plot):
        """Scrolls to a plot and waits until it is drawn."""
        plot.scroll_into_view_if_needed()
        self.page.wait_for_function("(plot) => plot.view.isSeen && !plot.view.isStale", arg=plot.element_handle())
        return plot

    def canvas(self, label):
        return self.show(self.page.get_by_role("img", name=label, exact=True))

    def count(self, label, color):
        return self.canvas(label).evaluate(COUNT, color)

    def assert_clean(self):
        assert not self.errors, self.errors
        asked = [url for url in self.requests if url != self.url and not url.startswith("data:")]
        assert not asked, asked

    def assert_drawn(self, expected):
        """`expected` is JSON: a list of [label of a view, colour, least number of pixels]."""
        for label, color, least in json.loads(expected):
            found = self.count(label, color)
            assert found >= least, f"{label}: {found} pixels of {color}"

    def overflow(self):
        return self.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")


def plots(browser, path, expected):
    """Every view has pixels of what it shows, in the light and in the dark."""
    for scheme in ("light", "dark"):
        page = Page(browser, path, color_scheme=scheme)
        page.assert_drawn(expected)
        pictures = page.page.evaluate("() => [...document.images].map((image) => image.naturalWidth)")
        assert pictures and all(pictures), pictures
        page.assert_clean()


def drawn(browser, path, expected):
    """The views that are named have pixels of what they show."""
    page = Page(browser, path)
    page.assert_drawn(expected)
    page.assert_clean()


def beside(browser, path, expected):
    """Two experiments share an axis that begins at 0, and stand beside each other where there is room."""
    page = Page(browser, path)
    page.assert_drawn(expected)
    assert page.page.locator("#now").text_content() == "0:00.000"
    plots = page.page.get_by_role("img", name="x of odom over time", exact=True)
    page.show(plots.first)
    boxes = [plots.nth(i).bounding_box() for i in range(plots.count())]
    assert len(boxes) == 2 and boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] < boxes[1]["x"], boxes
    page.page.set_viewport_size({"width": 500, "height": 900})
    assert page.overflow() <= 0
    page.assert_clean()


def slider(browser, path, expected):
    """The slider moves the cursor in every view, and values follow it."""
    page = Page(browser, path)
    labels, values = json.loads(expected)
    seen = []
    for part in (0, 500, 1000):
        page.page.locator("#slider").evaluate("(slider, part) => { slider.value = part; slider.dispatchEvent(new Event('input')); }", part)
        page.settle()
        drawn = [page.canvas(label).evaluate(PIXELS) for label in labels]
        texts = [page.page.locator(value).first.text_content() for value in values]
        picture = page.page.locator("figure img").first.get_attribute("src")
        seen.append([page.page.locator("#now").text_content(), picture, *drawn, *texts])
    for what in zip(*seen):
        assert len(set(what)) == 3, [str(one)[:80] for one in what]
    page.assert_clean()


def keys(browser, path, label):
    """All that the mouse does can be done from the keyboard."""
    page = Page(browser, path)
    plot = page.canvas(label)
    plot.focus()
    whole = plot.evaluate(PIXELS)

    def press(key):
        page.page.keyboard.press(key)
        page.settle()
        return plot.evaluate(PIXELS), page.page.locator("#now").text_content()

    moved, moved_to = press("ArrowRight")
    assert moved != whole
    zoomed, zoomed_at = press("+")
    assert zoomed != moved and zoomed_at == moved_to, "zooming leaves the cursor where it is"
    panned, _ = press("Shift+ArrowRight")
    assert panned != zoomed
    press("0")
    back, back_at = press("ArrowLeft")
    assert back == whole and back_at != moved_to
    # Everything that can be used is reached by Tab, and says what it is.
    names = page.page.evaluate("""() => [...document.querySelectorAll("button, input, summary, canvas[tabindex='0']")]
        .map((one) => one.ariaLabel || one.textContent.trim() || one.getAttribute("aria-label"))""")
    assert names and all(names), names
    page.assert_clean()


def zoom(browser, path, label):
    """Dragging over one plot zooms all of them; a double click shows all again."""
    page = Page(browser, path)
    plot = page.canvas(label)
    others = page.page.locator("canvas.time")
    before = [page.show(others.nth(i)).evaluate(PIXELS) for i in range(others.count())]
    page.show(plot)
    box = plot.bounding_box()
    y = box["y"] + box["height"] / 2
    page.page.mouse.move(box["x"] + box["width"] * 0.4, y)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + box["width"] * 0.6, y, steps=4)
    page.page.mouse.up()
    page.settle()
    for i in range(others.count()):
        assert page.show(others.nth(i)).evaluate(PIXELS) != before[i], page.page.evaluate("(i) => views[i].element.ariaLabel", i)
    page.assert_clean()


def hostile(browser, path, name):
    """Names and texts are shown as they are, and none of them runs."""
    page = Page(browser, path)
    assert page.page.evaluate("() => window.harmed") is None
    assert page.page.locator("main img[src='x'], main script, iframe, object").count() == 0
    assert name in page.page.locator("main").inner_text(), "it is shown as it was written"
    # A script that got in all the same would not run.
    page.page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.harmed = true";
        document.body.append(script);
    }""")
    assert page.page.evaluate("() => window.harmed") is None
    assert len(page.errors) == 1 and "Content Security Policy" in page.errors[0], page.errors
    assert [url for url in page.requests if url != page.url and not url.startswith("data:")] == []


def marks(browser, path, expected):
    """What cuts a recording's time is drawn in its timeline, said where the pointer is, and explained below."""
    page = Page(browser, path)
    label, pixels, titles, words = json.loads(expected)
    page.assert_drawn(json.dumps([[label, color, least] for color, least in pixels]))
    plot = page.canvas(label)
    for secs, title in titles:
        x = plot.evaluate("(plot, secs) => toX(plot.clientWidth)(secs)", secs)
        plot.hover(position={"x": min(max(x, 1), plot.bounding_box()["width"] - 2), "y": 20})
        assert plot.get_attribute("title") == title, (secs, plot.get_attribute("title"))
    legend = page.page.locator(".aside.keys").inner_text()
    assert "clock set back" in legend and "split" in legend, legend
    for text, now in words:
        page.page.get_by_role("button", name=text, exact=True).click()
        page.settle()
        assert page.page.locator("#now").text_content() == now, (text, page.page.locator("#now").text_content())
    page.assert_clean()


def phone(browser, path, label):
    """Nothing is wider than a phone, and a finger that drags over a plot moves the cursor."""
    page = Page(browser, path, viewport={"width": 360, "height": 740}, device_scale_factor=3, is_mobile=True, has_touch=True)
    assert page.overflow() <= 0, f"{page.overflow()} px too wide"
    plot = page.canvas(label)
    box = plot.bounding_box()
    before = page.page.locator("#now").text_content()
    page.page.touchscreen.tap(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
    page.settle()
    assert page.page.locator("#now").text_content() != before
    small = page.page.evaluate("""() => [...document.querySelectorAll("#bar button")].filter((one) => one.clientHeight < 30).length""")
    assert small == 0
    page.assert_clean()


def clocks(browser, path, expected):
    """Times read as people expect: a minute has 60 seconds, several days have dates, and what is no date is no error."""
    page = Page(browser, path)
    for base, length, time, digits, text in json.loads(expected):
        said = page.page.evaluate("""([base, length, time, digits]) => {
            Object.assign(state, { base, length });
            return clock(time, digits);
        }""", [base, length, time, digits])
        assert said == text, (said, text)


def plain(browser, path, text):
    """Where scripts do not run, what can be said in words is there."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pathlib.Path(path).resolve().as_uri())
    assert text in page.locator("main").inner_text()
    assert page.locator("noscript").is_visible() and not page.locator("#bar").is_visible()


def opens(browser, path, within_ms):
    """Not a test, since it depends on the machine: how soon all that is seen of a page is drawn (docs/measured.md)."""
    page = Page(browser, path)
    took = page.page.evaluate("() => performance.now()")
    page.assert_clean()
    print(json.dumps({"opened_ms": round(took)}))
    assert took < float(within_ms), took


def shoot(browser, path, out):
    """Not a check: pictures of the page for people."""
    out = pathlib.Path(out)
    for name, options in {
        "light": {"color_scheme": "light"},
        "dark": {"color_scheme": "dark"},
        "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True},
    }.items():
        page = Page(browser, path, **options)
        page.page.locator("#slider").evaluate("(slider) => { slider.value = 420; slider.dispatchEvent(new Event('input')); }")
        # All of it is seen once, so that all of it is drawn.
        for plot in page.page.locator("canvas").all():
            if plot.is_visible():
                page.show(plot)
        page.page.evaluate("() => scrollTo(0, 0)")
        page.settle()
        page.page.screenshot(path=out / f"{name}.png", full_page=True)
        page.assert_clean()


def main():
    browser_path, check, path, *argument = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path)
        try:
            globals()[check](browser, path, *argument)
        finally:
            browser.close()


if __name__ == "__main__":
    main()
