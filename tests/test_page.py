"""get_result_log.py --html: what is on the page, and whose faces."""

import base64
import hashlib
import json
import re
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from colour_blindness import BLINDNESS, seen
from conftest import EMOTIONS, call, write_frame
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
)

from data.views import view_folder, view_names
from report.page import render

# What is on it


def test_the_page_says_what_the_tables_say(tmp_path):
    write_run(tmp_path, "composite", SUBJECTS)
    write_run(tmp_path, "casme2_5", ["casme2_sub01", "casme2_sub02"], classes=FIVE, seed=1)
    done = call("get_result_log.py", "--result", tmp_path, "--html")
    assert done.returncode == 0, done.stderr
    assert "index.html" in done.stdout
    content = content_of(tmp_path / "index.html")
    summary = pd.read_csv(tmp_path / "summary.csv")
    shown = pd.DataFrame(content["summary"]).astype(summary.dtypes)  # null becomes NaN
    pd.testing.assert_frame_equal(shown, summary)
    groups = pd.read_csv(tmp_path / "groups.csv")
    shown = pd.DataFrame(content["groups"]).astype(groups.dtypes)
    pd.testing.assert_frame_equal(shown, groups)
    log = pd.read_csv(tmp_path / "result_log.csv", dtype={"subject": str})
    rows = []
    for experiment in content["experiments"]:
        clips = pd.DataFrame(experiment["clips"])
        for protocol in ("last", "best"):
            table = clips[["data", "subject", "clip", "label"]].assign(
                experiment=experiment["name"],
                protocol=protocol,
                prediction=clips[protocol],
                seed=experiment["seeds"][0],
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


def test_where_the_heat_lies_is_on_it(tmp_path):
    folder = write_run(tmp_path, "e", ["smic_01"])
    rows = [("frame", 0.4, 0.3), ("frame", 0.6, 0.3), ("motion", np.nan, np.nan)]
    table = pd.DataFrame(rows, columns=["stream", "heat_in_cells", "cells_of_face"])
    table.to_csv(folder / "attention.csv", index=False)
    (experiment,) = content_of(make_page(tmp_path))["experiments"]
    expected = {"stream": "frame", "heat_in_cells": 0.5, "cells_of_face": 0.3}
    assert experiment["attention"] == [expected]


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


def test_a_whole_composite_stays_small(tmp_path):
    write_composite(tmp_path, "composite")
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
    done = call("get_result_log.py", "--result", tmp_path, "--thumbnails")
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


def test_a_long_name_cuts_no_number_of_the_printed_table(tmp_path):
    name = "composite_dual_3d_with_a_name_that_goes_on_and_on"
    write_run(tmp_path, name, SUBJECTS)
    done = call("get_result_log.py", "--result", tmp_path)
    assert name in done.stdout
    assert "…" not in done.stdout
