"""get_result_log.py --html: what is on the page, whose faces, and how it behaves in a browser."""

import base64
import hashlib
import json
import re
import shutil
import time

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import EMOTIONS, run, write_frame
from made_records import FIVE, write_run
from test_curves import BLINDNESS, seen

from data.views import view_folder, view_names
from loso.results import collect, summarise
from report.page import render, write_page

SUBJECTS = ["smic_01", "smic_02", "samm_006", "casme2_sub01"]
EVIL = "<img src=x onerror=document.title='hacked'>"
CLOSING = "</script><script>document.title='hacked'</script>"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def make_page(result, thumbnails=False):
    log, classes, expected = collect(result)
    return write_page(result, log, summarise(log, classes), expected, thumbnails)


def content_of(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


# What is on it


def test_the_page_says_what_the_tables_say(tmp_path):
    write_run(tmp_path, "composite", SUBJECTS)
    write_run(tmp_path, "casme2_5", ["casme2_sub01", "casme2_sub02"], classes=FIVE, seed=1)
    done = run("get_result_log.py", "--result", tmp_path, "--html")
    assert done.returncode == 0, done.stderr
    assert "index.html" in done.stdout
    content = content_of(tmp_path / "index.html")
    summary = pd.read_csv(tmp_path / "summary.csv")
    pd.testing.assert_frame_equal(pd.DataFrame(content["summary"]), summary)
    log = pd.read_csv(tmp_path / "result_log.csv", dtype={"subject": str})
    rows = []
    for experiment in content["experiments"]:
        clips = pd.DataFrame(experiment["clips"])
        for protocol in ("last", "best"):
            table = clips[["data", "subject", "clip", "label"]].assign(
                experiment=experiment["name"], protocol=protocol, prediction=clips[protocol]
            )
            rows.append(table[list(log)])
    told = pd.concat(rows).sort_values(list(log)[:5], ignore_index=True)
    pd.testing.assert_frame_equal(told, log)
    for experiment in content["experiments"]:
        mine = log[log["experiment"] == experiment["name"]]
        for data, protocols in experiment["confusion"].items():
            for protocol, counts in protocols.items():
                clips = mine[mine["protocol"] == protocol]
                clips = clips if data == "full" else clips[clips["data"] == data]
                every = range(len(experiment["classes"]))
                table = pd.crosstab(clips["label"], clips["prediction"])
                table = table.reindex(index=every, columns=every, fill_value=0)
                assert counts == table.to_numpy().tolist()
        assert experiment["curves"]["uf1"][-1] == pytest.approx(
            summary.query("experiment == @experiment['name'] and data == 'full'")["uf1"].iloc[0]
        )


def test_scores_by_epoch_are_the_records(tmp_path):
    folder = write_run(tmp_path, "e", ["smic_01"])
    record = json.loads((folder / "fold_smic_01.json").read_text())
    (experiment,) = content_of(make_page(tmp_path))["experiments"]
    for i, scores in enumerate(experiment["clips"]["scores"]):
        expected = [epoch["scores"][i] for epoch in record["epochs"]]
        assert np.allclose(np.array(scores) / 1000, expected, atol=5.1e-4)


def test_missing_folds_and_settings_are_on_it(tmp_path):
    settings = {"lr": 0.0001, "root": "/home/someone/SMIC", "root3d": "/home/someone/views"}
    write_run(tmp_path, "e", SUBJECTS, missing=("smic_02",), settings=settings)
    page = make_page(tmp_path)
    (experiment,) = content_of(page)["experiments"]
    assert experiment["missing"] == ["smic_02"]
    assert experiment["expected"] == 4
    assert experiment["settings"] == {"lr": 0.0001}
    assert "/home/someone" not in page.read_text()


def test_nothing_trained_is_null(tmp_path):
    write_run(tmp_path, "zero_shot", SUBJECTS, epochs=1, trained=False)
    (experiment,) = content_of(make_page(tmp_path))["experiments"]
    assert experiment["curves"]["train_loss"] == [None]
    assert experiment["folds"][0]["train_loss"] == [None]
    assert experiment["curves"]["test_loss"][0] > 0


def test_the_policy_lets_its_own_script_and_style_run_and_nothing_load(tmp_path):
    write_run(tmp_path, "e", ["smic_01"], names=[CLOSING, EVIL, "ok"])
    text = make_page(tmp_path).read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert (len(scripts), len(styles)) == (1, 1)  # the clip's name opened none
    for part in (*scripts, *styles):
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "<img" not in text


def test_same_records_same_page(tmp_path):
    write_run(tmp_path, "e", SUBJECTS)
    assert make_page(tmp_path).read_bytes() == make_page(tmp_path).read_bytes()


def composite(result, name, seed=0):
    """A whole composite: 442 clips of 68 subjects, 30 epochs."""
    subjects = [f"smic_{i:02d}" for i in range(1, 17)]
    subjects += [f"casme2_sub{i:02d}" for i in range(1, 25)]
    subjects += [f"samm_{i:03d}" for i in range(6, 34)]
    folder = write_run(result, name, subjects[:34], clips=6, epochs=30, seed=seed)
    rest = write_run(result, f".{name}", subjects[34:], clips=7, epochs=30, seed=seed + 100)
    configs = [json.loads((part / "config.json").read_text()) for part in (folder, rest)]
    configs[0]["subjects"] |= configs[1]["subjects"]
    (folder / "config.json").write_text(json.dumps(configs[0]))
    for path in rest.glob("fold_*"):
        path.rename(folder / path.name)
    shutil.rmtree(rest)


def test_a_whole_composite_stays_small(tmp_path):
    composite(tmp_path, "composite")
    page = make_page(tmp_path)
    assert len(content_of(page)["experiments"][0]["clips"]["clip"]) == 442
    assert page.stat().st_size < 400_000


# Whose faces are on it


@pytest.fixture
def corpus(tiny, tmp_path):
    """A corpus of its own, and a run on its subject smic_01: (root, result)."""
    root = tmp_path / "corpus"
    shutil.copytree(tiny, root)
    names = [f"s01_{EMOTIONS[i % 3][:2]}_{i:02d}" for i in range(6)]
    settings = {"dataset": "smic", "classes": 3, "streams": "2d", "root": str(root)}
    settings["index"] = str(root / "index/smic_apex.csv")
    write_run(tmp_path / "result", "smic", ["smic_01"], names=names, settings=settings)
    return root, tmp_path / "result"


def pictures_of(page):
    content = content_of(page)
    (experiment,) = content["experiments"]
    assert all(p["src"].startswith("data:image/webp;base64,") for p in content["pictures"])
    return [
        [content["pictures"][k]["title"] for k in numbers]
        for numbers in experiment["clips"]["pictures"]
    ]


def mark_as_demo(root):
    (root / "demo.json").write_text(json.dumps({"demo set": 1, "seed": 0}))


def test_faces_of_a_corpus_are_shown_on_demand_alone(corpus):
    _, result = corpus
    write_frame(result / "smic/cam/smic_01_s01_ne_00.png")
    assert pictures_of(make_page(result)) == [[]] * 6
    shown = pictures_of(make_page(result, thumbnails=True))
    assert shown[0] == ["onset, frame 107", "apex, frame 109", "heat map"]
    assert all(len(titles) == 2 for titles in shown[1:])


def test_faces_of_the_demo_set_are_shown(corpus):
    root, result = corpus
    mark_as_demo(root)
    page = make_page(result)
    assert all(len(titles) == 2 for titles in pictures_of(page))
    (first, *_) = content_of(page)["pictures"]
    coded = base64.b64decode(first["src"].partition(",")[2])
    image = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (first["height"], first["width"], 3) == (40, 40, 3)


def test_a_demo_root_covers_no_faces_from_elsewhere(corpus, tmp_path):
    root, result = corpus
    index = root / "index/smic_apex.csv"
    table = pd.read_csv(index, dtype=str)
    for column in ("onset_frame_path", "apex_frame_path"):
        table[column] = [str(root / path) for path in table[column]]  # absolute, past the root
    table.to_csv(index, index=False)
    demo = tmp_path / "demo"
    demo.mkdir()
    mark_as_demo(demo)
    config = json.loads((result / "smic/config.json").read_text())
    config["settings"]["root"] = str(demo)
    (result / "smic/config.json").write_text(json.dumps(config))
    write_frame(result / "smic/cam/smic_01_s01_ne_00.png")
    assert pictures_of(make_page(result)) == [[]] * 6


def test_another_demo_json_is_no_demo_set(corpus):
    root, result = corpus
    (root / "demo.json").write_text('{"what": "my own notes"}')
    assert pictures_of(make_page(result)) == [[]] * 6


def test_views_are_shown_where_they_were_read(corpus, tmp_path):
    root, result = corpus
    mark_as_demo(root)
    row = pd.read_csv(root / "index/smic_apex.csv", dtype=str).iloc[0].to_dict()
    folder = view_folder(tmp_path / "views", row)
    for name in view_names():
        write_frame(folder / name)
    config = json.loads((result / "smic/config.json").read_text())
    config["settings"] |= {"streams": "dual", "root3d": str(tmp_path / "views")}
    (result / "smic/config.json").write_text(json.dumps(config))
    shown = pictures_of(make_page(result))
    assert shown[0][2].startswith("views of the reconstruction")
    assert all(len(titles) == 2 for titles in shown[1:])


def test_what_cannot_be_read_is_named(corpus, capsys):
    root, result = corpus
    mark_as_demo(root)
    (root / "SMIC/HS/s01/s01_ne_00/image000109.jpg").write_bytes(b"")
    assert len(pictures_of(make_page(result))[0]) == 1
    assert "smic: 1 pictures are not on the page" in capsys.readouterr().err
    (root / "index/smic_apex.csv").unlink()
    assert pictures_of(make_page(result)) == [[]] * 6
    assert "no pictures of its clips on the page" in capsys.readouterr().err


def test_thumbnails_go_with_the_page(tmp_path):
    done = run("get_result_log.py", "--result", tmp_path, "--thumbnails")
    assert done.returncode == 2
    assert "--thumbnails goes with --html" in done.stderr


@pytest.mark.parametrize("kind", BLINDNESS)
@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_classes_differ_for_the_colour_blind(kind, scheme):
    """By colour, or by brightness: dashes tell them apart besides."""
    text = render({"experiments": []})
    colours = [re.findall(rf"--class{k}: (#\w+)", text)[scheme] for k in range(len(FIVE))]
    labs = [seen(colour, kind) for colour in colours]
    assert min(np.linalg.norm(a - b) for i, a in enumerate(labs) for b in labs[:i]) > 11


# In a browser


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install it")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no chromium: apt-get install chromium (.ci/run does)")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


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
    write_run(result, "composite", SUBJECTS, clips=9, seed=1)
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
    assert sum("best †" in head for head in heads) == 3
    assert "Only 3 of 4 subjects" in tab.locator(".warning").inner_text()
    row = tab.locator("#compare tbody tr", has_text="partial")
    assert "3 of 4" in row.first.inner_text()


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
    assert dialog.locator("svg[role=img]").count() == 1
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
    assert tab.locator("h3.name").inner_text() == "zero_shot"
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


def test_twenty_composites_open_quickly(visit, tmp_path):
    composite(tmp_path, "run00")
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
    started = time.monotonic()
    tab = visit(page, "run19")
    assert tab.locator("h3.name").inner_text() == "run19"
    assert time.monotonic() - started < 5  # about 1 s on a quiet machine
    tab.locator("#clips button.more").click()
    assert tab.locator("#clips tbody tr").count() == 442
