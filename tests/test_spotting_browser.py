"""report.html of a spotted video in headless Chromium: timeline, intervals, keys, phone, axe."""

import json

import pytest
from made_records import CLOSING, EVIL
from made_spotting import write_spotting, write_video

from report.spotting.page import write_report


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages by kind: a usual one, one with faces, one without an interval, one of evil names."""
    root = tmp_path_factory.mktemp("spotted")
    write_video(root / "v.avi", 300, 30)
    made = {
        "usual": write_spotting(root / "usual", root / "v.avi", 300, count=5),
        "faces": write_spotting(root / "faces", root / "v.avi", 300, count=2),
        "empty": write_spotting(root / "empty", "gone", 300, count=0),
        "untimed": write_spotting(root / "untimed", "gone", 300, fps=None, first=1000, count=3),
        "evil": write_spotting(root / "evil", "gone", 90, count=1, name=EVIL),
    }
    record = json.loads((made["evil"] / "spotting.json").read_text())
    record["intervals"][0] |= {"label": CLOSING, "kind": EVIL, "units": []}
    (made["evil"] / "spotting.json").write_text(json.dumps(record))
    return {name: write_report(folder, name == "faces") for name, folder in made.items()}


@pytest.fixture
def visit(browser):
    """Open a page: visit(path, width=…, dark=…); no error or request may come of it."""
    opened, noise, requests = [], [], []

    def go(path, width=1280, dark=False, place=""):
        scheme = "dark" if dark else "light"
        tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        opened.append(tab)
        tab.on("console", lambda message: noise.append(message.text))
        tab.on("pageerror", lambda error: noise.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(path.as_uri() + place)
        tab.wait_for_function("document.querySelector('canvas.main').width > 300")
        tab.wait_for_timeout(60)  # it draws with the next frame
        return tab

    yield go
    for tab in opened:
        tab.close()
    assert noise == []
    pages = [url for url in requests if url.startswith("file:")]
    assert len(pages) == len(opened)  # the page itself, no file beside it
    assert [url for url in requests if not url.startswith(("data:", "file:///"))] == []


def title(tab):
    return tab.locator("#interval-title").inner_text()


def inks(tab, canvas="main"):
    """How many pixels of a canvas have a colour, as their hues: orange, blue."""
    return tab.evaluate(
        """name => {
          const canvas = document.querySelector(`canvas.${name}`);
          const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
          copy.drawImage(canvas, 0, 0);
          const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
          let [orange, blue] = [0, 0];
          for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] > 40 && data[i] - data[i + 2] > 60) orange++;
            if (data[i + 3] > 40 && data[i + 2] - data[i] > 60) blue++;
          }
          return [orange, blue];
        }""",
        canvas,
    )


def test_arrow_keys_step_through_intervals(visit, pages):
    tab = visit(pages["usual"])
    assert tab.title() == "v.avi: DSNCA spotting"
    assert title(tab).startswith("Interval 1: micro")
    orange, blue = inks(tab)
    assert orange > 50 and blue > 50
    tab.keyboard.press("ArrowRight")
    assert title(tab).startswith("Interval 2: macro")
    assert tab.locator("#steps [role=status]").inner_text() == "2 of 5"
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("ArrowLeft")  # there is none before the first
    assert title(tab).startswith("Interval 1: micro")
    assert tab.get_by_role("button", name="← Previous").is_disabled()
    tab.get_by_label("Search intervals").fill("macro")
    tab.keyboard.press("ArrowRight")  # moves in the text
    assert title(tab).startswith("Interval 1")
    assert tab.locator("#list tbody tr").count() == 2
    tab.locator("#list button.open").nth(1).press("Enter")
    assert title(tab).startswith("Interval 4: macro")
    assert tab.evaluate("document.activeElement.id") == "interval-title"
    assert tab.url.endswith("#interval=4")


def test_an_interval_is_clicked_on(visit, pages):
    tab = visit(pages["usual"])
    box = tab.locator("canvas.main").bounding_box()
    # The third of five is in the middle of the curve, between its edges of 44 and 10 pixels.
    tab.mouse.click(box["x"] + 44 + (box["width"] - 54) * 150 / 299, box["y"] + 80)
    assert title(tab).startswith("Interval 3: micro")
    tab.mouse.move(box["x"] + 44 + (box["width"] - 54) * 150 / 299, box["y"] + 80)
    assert (
        tab.locator(".timeline .readout").inner_text().startswith("frame 150, 5.00 s, score 0.01")
    )
    tab.mouse.click(box["x"] + 44 + (box["width"] - 54) * 180 / 299, box["y"] + 80)
    assert title(tab).startswith("Interval 3")  # beside all of them


def test_zoom_by_keys_buttons_and_wheel(visit, pages):
    tab = visit(pages["usual"])
    everything = inks(tab)
    for _ in range(3):
        tab.keyboard.press("+")
    tab.wait_for_timeout(60)
    near = inks(tab)
    assert near != everything
    tab.keyboard.press("0")
    tab.wait_for_timeout(60)
    assert inks(tab) == everything
    tab.get_by_role("button", name="Zoom in").click()
    tab.wait_for_timeout(60)
    zoomed = inks(tab)
    assert zoomed != everything
    tab.get_by_role("button", name="Whole video").click()
    box = tab.locator("canvas.main").bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    tab.keyboard.down("Control")
    tab.mouse.wheel(0, -400)
    tab.keyboard.up("Control")
    tab.wait_for_timeout(60)
    assert inks(tab) != everything
    before = inks(tab)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] / 2 + 200, box["y"] + 60, steps=4)
    tab.mouse.up()
    tab.wait_for_timeout(60)
    assert inks(tab) != before  # dragged
    assert title(tab).startswith("Interval 1")  # and not clicked
    for _ in range(4):
        tab.keyboard.press("ArrowRight")
    tab.wait_for_timeout(60)
    assert min(inks(tab)[0], 1) == 1  # the chosen one came into view


def test_the_pieces_of_an_interval(visit, pages):
    tab = visit(pages["usual"], place="#interval=1")
    cards = tab.locator(".strip figcaption")
    heads = [text.split("\n")[0] for text in cards.all_inner_texts()]
    assert heads == ["onset", "onset to apex", "apex", "the head at the apex", "offset"]
    assert tab.locator(".strip .arrows").get_attribute("d").count("L") > 15
    assert tab.locator(".strip img").count() == 1  # the head; no face
    image = tab.locator(".strip img")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 400
    assert "motion, up to 2.0% of the face's width" in cards.nth(1).inner_text()
    assert "drawn 2.5 times as strong" in cards.nth(3).inner_text()
    bars = tab.locator(".bars").nth(1)
    assert "AU 12 lip corner puller" in bars.inner_text()
    widths = [node.bounding_box()["width"] for node in bars.locator(".track span").all()]
    assert widths[0] == pytest.approx(2 * widths[1], abs=2)  # 0.4 and 0.2
    assert tab.locator("#interval dl.told").inner_text().split("\n")[:2] == ["frames", "26, 30, 36"]


def test_faces_are_shown_where_they_are_there(visit, pages):
    tab = visit(pages["faces"])
    images = tab.locator(".strip img")
    assert images.count() == 4
    for image in images.all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 40
    assert "--thumbnails" not in tab.locator(".strip").inner_text()


def test_without_intervals_and_without_times(visit, pages):
    tab = visit(pages["empty"])
    assert "no expression spotted" in tab.locator("#facts").inner_text()
    assert not tab.locator("#chosen").is_visible()
    tab.keyboard.press("ArrowRight")
    tab = visit(pages["untimed"])
    assert tab.locator("#interval dl.told").inner_text().startswith("frames\n1046, 1050, 1056")
    assert "lasts" not in tab.locator("#interval dl.told").inner_text()
    assert tab.locator("#list tbody tr").count() == 3


def test_names_stay_text(visit, pages):
    tab = visit(pages["evil"])
    assert tab.locator("h1").inner_text() == EVIL
    assert CLOSING in title(tab)
    assert "hacked" not in tab.title().replace(EVIL, "")
    assert tab.locator("img[src=x]").count() == 0


@pytest.mark.parametrize(
    ("name", "width", "dark"),
    [("usual", 375, True), ("faces", 1280, False), ("empty", 1280, True)],
)
def test_nothing_is_wider_than_the_window_and_axe_finds_no_fault(visit, pages, name, width, dark):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="no axe: pip install it"
    )
    tab = visit(pages[name], width=width, dark=dark)
    for details in tab.locator("summary").all():
        details.click()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.Axe().run(tab)
    assert found.violations_count == 0, found.generate_report()


def test_it_is_dark_where_the_system_is(visit, pages):
    grounds = [
        visit(pages["usual"], dark=dark).evaluate("getComputedStyle(document.body).backgroundColor")
        for dark in (False, True)
    ]
    light, dark = (sum(map(int, ground[4:-1].split(","))) for ground in grounds)
    assert light > 600 and dark < 150


def test_a_finger_taps_and_two_zoom(browser, pages):
    context = browser.new_context(
        viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True
    )
    tab = context.new_page()
    tab.goto(pages["usual"].as_uri())
    tab.wait_for_function("document.querySelector('canvas.main').width > 300")
    tab.wait_for_timeout(60)
    box = tab.locator("canvas.main").bounding_box()
    tab.touchscreen.tap(box["x"] + 44 + (box["width"] - 54) * 210 / 299, box["y"] + 80)
    assert title(tab).startswith("Interval 4: macro")
    before = inks(tab)
    touch = context.new_cdp_session(tab)

    def fingers(kind, *across):
        points = [{"x": box["x"] + at, "y": box["y"] + 80, "id": i} for i, at in enumerate(across)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", 150, 200)
    for reach in range(0, 60, 10):
        fingers("touchMove", 150 - reach, 200 + reach)
    fingers("touchEnd")
    tab.wait_for_timeout(80)
    assert inks(tab) != before
    context.close()
