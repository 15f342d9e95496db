"""The results page in headless Chromium: sorting, filtering, clips, keyboard, policy, widths."""

import re
import shutil

import pytest
from conftest import EMOTIONS, write_frame
from made_records import (
    CLOSING,
    EVIL,
    FIVE,
    SUBJECTS,
    content_of,
    make_page,
    mark_as_demo,
    write_composite,
    write_run,
)  # fmt: skip

from report.page import render, write_leaderboard


@pytest.fixture(scope="module")
def site(tmp_path_factory, tiny):
    """A result folder with all kinds of experiments, its page made; pictures in `demo_smic`."""
    result = tmp_path_factory.mktemp("site")
    root = tmp_path_factory.mktemp("site_corpus") / "corpus"
    shutil.copytree(tiny, root)
    mark_as_demo(root)
    names = [f"s01_{EMOTIONS[i % 3][:2]}_{i:02d}" for i in range(6)]
    settings = {"dataset": "smic", "classes": 3, "root": str(root), "lr": 0.0001}
    settings["index"] = str(root / "index/smic_apex.csv")
    write_run(result, "demo_smic", ["smic_01"], names=names, settings=settings)
    write_frame(result / "demo_smic/cam/smic_01_s01_ne_00.png")
    folder = write_run(result, "composite", SUBJECTS, clips=9, seed=1)
    heat = "stream,heat_in_cells,cells_of_face\nviews,0.41,0.3\n"
    (folder / "attention.csv").write_text(heat)
    write_run(result, "casme2_5", ["casme2_sub01", "casme2_sub02"], classes=FIVE, clips=10)
    write_run(result, "evil", ["smic_01"], names=[EVIL, CLOSING, "ok"])
    write_run(result, "partial", SUBJECTS, missing=("smic_02",), seed=2)
    write_run(result, "zero_shot", SUBJECTS, epochs=1, trained=False, seed=3)
    return make_page(result)


@pytest.fixture
def visit(browser):
    """Open a page: visit(path, experiment, width=…, dark=…); no error or request may come of it."""
    opened, noise, requests = [], [], []

    def go(path, experiment="", width=1280, dark=False):
        scheme = "dark" if dark else "light"
        tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        opened.append(tab)
        tab.on("console", lambda message: noise.append(message.text))
        tab.on("pageerror", lambda error: noise.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(path.as_uri() + (f"#experiment={experiment}" if experiment else ""))
        tab.locator("svg[role=img]").nth(1).wait_for()  # charts are drawn once their size is known
        return tab

    go.noise, go.requests = noise, requests
    yield go
    for tab in opened:
        tab.wait_for_timeout(50)
        tab.close()
    assert noise == []
    outside = [url for url in requests if not url.startswith(("data:", "file:///"))]
    assert outside == []
    pages = [url for url in requests if url.startswith("file:")]
    assert len(pages) == len(opened)  # the page itself, no file beside it


def column(tab, table, number):
    """The texts of a column of the sortable table with that caption."""
    rows = tab.locator(f"table:has(caption:text('{table}')) tbody tr")
    return [row.locator("th, td").nth(number).inner_text() for row in rows.all()]


@pytest.mark.parametrize(
    "experiment", ["demo_smic", "composite", "casme2_5", "evil", "partial", "zero_shot"]
)
def test_opens_without_an_error_or_a_request(visit, site, experiment):
    tab = visit(site, experiment)
    assert tab.locator("h3.name").inner_text() == experiment
    assert tab.locator("select#experiment").input_value() == experiment
    assert tab.locator(".confusion").count() == 2
    assert tab.locator("svg[role=img]").count() == 2
    assert tab.title() == "DSNCA results"


def test_best_is_marked_and_partial_runs_are_said(visit, site):
    tab = visit(site, "partial")
    assert "optimistic" in tab.locator("header").inner_text()
    assert "optimistic" in tab.locator(".confusion caption").nth(1).inner_text()
    assert "optimistic" in tab.locator("svg[role=img]").nth(1).get_attribute("aria-label")
    heads = tab.locator("#compare thead th").all_inner_texts()
    assert sum("best\u00a0†" in head for head in heads) == 3
    assert "Only 3 of 4 subjects" in tab.locator(".warning").inner_text()
    row = tab.locator("#compare tbody tr", has_text="partial")
    assert "3 of 4" in row.first.inner_text()


def test_accuracy_has_its_interval(visit, site):
    tab = visit(site, "composite")
    row = tab.locator("#compare tbody tr", has_text="composite").first
    assert re.fullmatch(r"0\.\d{3}\s0\.\d\d–\d\.\d\d", row.locator("td").nth(5).inner_text())


def test_where_the_heat_lies_is_said(visit, site):
    facts = visit(site, "composite").locator(".facts").inner_text()
    assert "41% of the heat on the face (views) in the ten cells, 30% of it" in facts


def test_wearers_of_glasses_stand_beside_the_rest(visit, site, tmp_path):
    tab = visit(site, "composite")
    mine = tab.locator("#groups tbody tr", has_text="composite")
    assert sorted(row.split()[1] for row in mine.all_inner_texts()) == ["with", "without"]
    tab.locator("#groups select").select_option("with glasses")
    assert set(column(tab, "By glasses of the held-out subject", 1)) == {"with glasses"}
    write_run(tmp_path, "wearers", ["smic_01", "smic_04"])
    assert visit(make_page(tmp_path)).locator("#groups table").count() == 0


def test_tables_sort_by_mouse_and_keyboard(visit, site):
    tab = visit(site, "composite")
    assert "1 of" not in column(tab, "Scores of every experiment", 0)
    head = tab.locator("#compare thead th", has_text="UF1 last")
    assert head.get_attribute("aria-sort") == "descending"
    shown = [float(text.split()[0]) for text in column(tab, "Scores of every experiment", 4)]
    assert shown == sorted(shown, reverse=True)
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    shown = [float(text.split()[0]) for text in column(tab, "Scores of every experiment", 4)]
    assert shown == sorted(shown)
    subject = tab.locator("#subjects thead th", has_text="subject").locator("button")
    subject.focus()
    tab.keyboard.press("Enter")
    assert column(tab, "Every held-out subject", 0) == sorted(SUBJECTS)
    tab.keyboard.press("Space")
    assert column(tab, "Every held-out subject", 0) == sorted(SUBJECTS, reverse=True)
    assert tab.locator("#subjects th[aria-sort]").count() == 1


def test_wrong_clips_come_first(visit, site):
    tab = visit(site, "composite")
    marks = [text[0] for text in column(tab, "Every held-out clip. ", 3)]
    assert "✗" in marks
    tab.locator("#clips button.more").click()
    marks = [text[0] for text in column(tab, "Every held-out clip. ", 3)]
    assert len(marks) == 36
    assert marks == ["✗"] * marks.count("✗") + ["✓"] * marks.count("✓")
    margins = [float(t.replace("−", "-")) for t in column(tab, "Every held-out clip. ", 4)]
    assert margins == sorted(margins)


def test_tables_filter(visit, site):
    tab = visit(site, "composite")
    clips = tab.locator("#clips")
    clips.get_by_label("Search clips").fill("samm clip03")
    assert column(tab, "Every held-out clip. ", 0) == ["clip03"]
    assert clips.locator("[role=status]").inner_text() == "1 of 36 clips"
    clips.get_by_label("Search clips").fill("")
    clips.get_by_label("Show").select_option("changed by best †")
    last, best = (column(tab, "Every held-out clip. ", i) for i in (3, 5))
    assert last
    assert all(a[2:] != b[2:] for a, b in zip(last, best))
    clips.get_by_label("True class").select_option("positive")
    assert set(column(tab, "Every held-out clip. ", 2)) <= {"positive"}
    tab.locator("#subjects").get_by_label("Data").select_option("smic")
    assert sorted(column(tab, "Every held-out subject", 0)) == ["smic_01", "smic_02"]
    tab.locator("#compare").get_by_label("Data").select_option("casme2")
    found = set(column(tab, "Scores of every experiment", 0))
    assert found == {"composite", "partial", "zero_shot", "casme2_5"}


def test_confusion_matrices_by_dataset(visit, site):
    tab = visit(site, "composite")
    counts = tab.locator(".confusion tbody td")
    whole = sum(int(text.split()[0]) for text in counts.all_inner_texts())
    tab.locator("#confusion").get_by_label("Data").select_option("samm")
    part = sum(int(text.split()[0]) for text in counts.all_inner_texts())
    assert (whole, part) == (2 * 36, 2 * 9)


def test_a_clip_opens_steps_and_closes_by_keyboard(visit, site):
    tab = visit(site, "demo_smic")
    button = tab.get_by_role("button", name="s01_ne_00")
    button.focus()
    tab.keyboard.press("Enter")
    dialog = tab.locator("dialog[open]")
    assert dialog.locator("h2").inner_text() == "s01_ne_00"
    dialog.locator("svg[role=img]").wait_for()
    images = dialog.locator("img")
    assert images.count() == 3
    assert "heat map" in images.nth(2).get_attribute("alt")
    for image in images.all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 40
    order = column(tab, "Every held-out clip. ", 0)
    step = "Next clip" if order[-1] != "s01_ne_00" else "Previous clip"
    other = order[order.index("s01_ne_00") + (1 if step == "Next clip" else -1)]
    dialog.get_by_role("button", name=step).press("Enter")
    assert dialog.locator("h2").inner_text() == other
    tab.keyboard.press("Escape")
    assert tab.locator("dialog[open]").count() == 0
    assert button.evaluate("node => node === document.activeElement")


def test_everything_is_reached_by_tab(visit, site):
    tab = visit(site, "demo_smic")
    reached = set()
    for _ in range(80):
        tab.keyboard.press("Tab")
        node = tab.evaluate(
            "(() => { const a = document.activeElement; return "
            "[a.tagName, a.textContent.trim(), getComputedStyle(a).outlineStyle !== 'none'] })()"
        )
        if node[0] != "BODY":
            assert node[2], f"{node} has the focus and does not show it"
        reached.add((node[0], node[1]))
    tags = {tag for tag, _ in reached}
    assert {"A", "BUTTON", "SELECT", "INPUT", "SUMMARY", "DIV"} <= tags
    assert ("BUTTON", "s01_ne_00") in reached


def test_names_stay_text(visit, site):
    tab = visit(site, "evil")
    names = column(tab, "Every held-out clip. ", 0)
    assert sorted(names) == sorted([EVIL, CLOSING, "ok"])
    for name in (EVIL, CLOSING):
        tab.get_by_role("button", name=name).click()
        assert tab.locator("dialog h2").inner_text() == name
        tab.keyboard.press("Escape")
    tab.wait_for_timeout(100)
    assert tab.title() == "DSNCA results"
    assert tab.locator("img").count() == 0


def test_the_browser_holds_the_page_to_its_policy(visit, site):
    tab = visit(site)
    blocked = tab.evaluate(
        """async () => {
          const blocked = [];
          document.addEventListener("securitypolicyviolation", (e) => blocked.push(e.effectiveDirective));
          const image = new Image(); image.src = "http://127.0.0.1:9/x.png"; document.body.append(image);
          const script = document.createElement("script"); script.textContent = "document.title = 'hacked'";
          document.body.append(script);
          await fetch("http://127.0.0.1:9/").catch(() => null);
          await new Promise((done) => setTimeout(done, 100));
          return blocked;
        }"""  # noqa: E501
    )
    assert sorted(blocked) == ["connect-src", "img-src", "script-src-elem"]
    assert tab.title() == "DSNCA results"
    assert len(visit.noise) >= 3  # the browser says what it blocked
    visit.noise.clear()
    visit.requests.remove("http://127.0.0.1:9/x.png")  # asked for by the test, and blocked


@pytest.mark.parametrize("width", [320, 375, 768, 1280])
@pytest.mark.parametrize("experiment", ["composite", "casme2_5", "evil"])
def test_no_width_scrolls_sideways(visit, site, width, experiment):
    tab = visit(site, experiment, width=width)
    excess = "document.documentElement.scrollWidth - window.innerWidth"
    assert tab.evaluate(excess) <= 0
    tab.locator("#clips button.open").first.click()
    assert tab.evaluate(excess) <= 0
    dialog = tab.locator("dialog")
    assert dialog.evaluate("node => node.scrollWidth - node.clientWidth") <= 0
    box = dialog.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


def test_dark_mode_has_colours_of_its_own(visit, site):
    def brightness(tab, what):
        colour = tab.evaluate(f"getComputedStyle(document.body).{what}")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    light, dark = (visit(site, dark=dark) for dark in (False, True))
    assert brightness(light, "backgroundColor") > brightness(light, "color")
    assert brightness(dark, "backgroundColor") < brightness(dark, "color")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_axe_finds_no_fault(visit, site, width, dark):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="no axe: pip install it"
    )
    for experiment in ("demo_smic", "casme2_5", "partial"):
        tab = visit(site, experiment, width=width, dark=dark)
        for details in tab.locator("summary").all():
            details.click()
        found = axe.Axe().run(tab)
        assert found.violations_count == 0, found.generate_report()
        tab.locator("#clips button.open").first.click()
        found = axe.Axe().run(tab)
        assert found.violations_count == 0, found.generate_report()


def test_experiments_are_chosen_by_link_and_list(visit, site):
    tab = visit(site)
    tab.locator("#compare").get_by_role("link", name="zero_shot").click()
    tab.locator("h3.name", has_text="zero_shot").wait_for()
    assert "nothing was trained" in tab.locator("figure.plot").first.inner_text()
    tab.locator("select#experiment").select_option("casme2_5")
    assert tab.locator("h3.name").inner_text() == "casme2_5"
    assert tab.url.endswith("#experiment=casme2_5")
    tab.get_by_label("Show").first.select_option("casme2_sub02")
    assert "casme2_sub02" in tab.locator("svg[role=img]").nth(1).get_attribute("aria-label")


def test_a_malformed_address_shows_the_first(visit, site):
    assert visit(site, "%E0%A4%A").locator("h3.name").inner_text() == "casme2_5"


def test_curves_say_what_is_under_the_pointer(visit, site):
    tab = visit(site, "composite")
    content = content_of(site)
    curves = next(e for e in content["experiments"] if e["name"] == "composite")["curves"]
    chart = tab.locator("svg[role=img]").nth(1)
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    tab.mouse.move(box["x"] + box["width"] - 12, box["y"] + 50)
    said = tab.locator(".readout").nth(1).inner_text()
    assert said == f"epoch 5: UF1 {curves['uf1'][-1]:.3f}"


def test_of_twenty_composites_one_is_drawn(visit, tmp_path):
    write_composite(tmp_path, "run00")
    page = make_page(tmp_path)
    content = content_of(page)
    one = content["summary"]
    content["summary"] = {name: values * 20 for name, values in one.items()}
    rows = len(one["experiment"])
    content["summary"]["experiment"] = [f"run{k // rows:02d}" for k in range(20 * rows)]
    content["experiments"] = [
        content["experiments"][0] | {"name": f"run{k:02d}"} for k in range(20)
    ]
    page.write_text(render(content))
    assert page.stat().st_size < 6_000_000
    tab = visit(page, "run19")
    assert tab.locator("h3.name").all_inner_texts() == ["run19"]
    drawn = tab.locator("#clips tbody tr").count()
    assert drawn == 25  # the rest when it is asked for
    tab.locator("#clips button.more").click()
    assert tab.locator("#clips tbody tr").count() == 442


def test_a_leaderboard_sorts_by_its_numbers(browser, tmp_path):
    heads = ["row", "parameters", "UF1 last", "UF1 best †"]
    cells = [
        ["small", "1,683", "0.512 (0.40–0.60)", "0.700"],
        ["large", "2,664,475", "0.483 (0.40–0.60)", "0.650"],
        ["chosen", "", "", ""],
    ]
    write_leaderboard(tmp_path / "leaderboard.html", heads, cells, [EVIL])
    tab, noise = browser.new_page(), []
    tab.on("console", lambda message: noise.append(message.text))
    tab.on("pageerror", lambda error: noise.append(str(error)))
    tab.goto((tmp_path / "leaderboard.html").as_uri())
    assert column(tab, "UF1, UAR", 0) == ["small", "large", "chosen"]
    tab.get_by_role("button", name="parameters").click()  # what is missing comes last
    assert column(tab, "UF1, UAR", 0) == ["large", "small", "chosen"]
    tab.get_by_role("button", name="UF1 last").click()
    assert column(tab, "UF1, UAR", 0) == ["small", "large", "chosen"]
    assert tab.locator("td.best").all_inner_texts() == ["0.700", "0.650", "–"]
    assert tab.locator("#notes li").all_inner_texts() == [f"{EVIL}."]
    assert (tab.title(), noise) == ("DSNCA leaderboard", [])
    tab.close()
