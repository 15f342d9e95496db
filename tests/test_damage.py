"""Frames that cannot be read: beside an apex that costs the frame, of an apex the clip."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import FAST, call, write_frame, write_views
from experiments import settings_of

from common.errors import UserError
from data.clip_set import load_clips
from data.index import read_index
from data.views import claim_views, note_faceless, view_folder
from loso.experiment import run_experiment
from loso.inputs import load_inputs
from loso.records import read_records

DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no picture"),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:400]),
    "missing": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.fixture
def root(tiny, tmp_path):
    """The tiny corpus, to be damaged."""
    shutil.copytree(tiny, tmp_path / "root")
    return tmp_path / "root"


def tables(root):
    index = read_index(root / "index/smic_apex.csv")
    return index, read_index(root / "index/smic_four_frames.csv", companion=True)


def neighbour(root, clip, number):
    """The file of a clip's neighbouring frame, 0 to 3."""
    index, four = tables(root)
    row = four[four["clip"] == index["clip"][clip]].iloc[number]
    return root / row["apex_frame_path"]


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_frame_beside_the_apex_costs_that_frame(root, capsys, kind):
    index, four = tables(root)
    whole = load_clips(index, four, root, (20, 24))
    path = neighbour(root, 7, 1)
    DAMAGE[kind](path)
    left = load_clips(index, four, root, (20, 24))
    errors = capsys.readouterr().err
    assert f"smic_02 {index['clip'][7]}: left out a frame beside the apex: {path}: " in errors
    assert "1 frames beside an apex cannot be read and are left out" in errors
    assert left.index.equals(index)
    assert left.slots[7, 4] == -1  # the others move up: sampling counts on that
    assert (left.slots[7, :4] >= 0).all()
    kept = [whole.frames[whole.slots[7, slot]] for slot in (0, 1, 3, 4)]
    assert all(torch.equal(left.frames[s], one) for s, one in zip(left.slots[7], kept))
    for other in (c for c in range(len(index)) if c != 7):
        for slot in range(5):
            one, two = (p.frames[p.slots[other, slot]] for p in (whole, left))
            assert torch.equal(one, two)


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_apex_costs_its_clip(root, capsys, kind):
    index, four = tables(root)
    whole = load_clips(index, four, root, (20, 24))
    path = root / index["apex_frame_path"][7]
    DAMAGE[kind](path)
    left = load_clips(index, four, root, (20, 24))
    errors = capsys.readouterr().err
    assert f"skipped smic_02 {index['clip'][7]}: apex frame {path}: " in errors
    assert "1 of 24 clips are left out: their apex frame cannot be read" in errors
    assert left.index["clip"].tolist() == index["clip"].drop(7).tolist()
    assert torch.equal(left.labels, whole.labels[[i for i in range(24) if i != 7]])
    for now, before in enumerate(i for i in range(24) if i != 7):
        for slot in range(5):
            one, two = whole.slots[before, slot], left.slots[now, slot]
            assert torch.equal(whole.frames[one], left.frames[two])


def test_strict_makes_both_an_error_that_names_the_file(root):
    index, four = tables(root)
    path = neighbour(root, 3, 0)
    path.write_bytes(b"")
    with pytest.raises(UserError, match=rf"smic_01 .*{re.escape(str(path))}: empty.*\(--strict\)"):
        load_clips(index, four, root, (20, 24), strict=True)
    write_frame(path)
    apex = root / index["apex_frame_path"][3]
    apex.write_bytes(b"")
    with pytest.raises(UserError, match=re.escape(str(apex))):
        load_clips(index, four, root, (20, 24), strict=True)
    write_frame(apex)
    load_clips(index, four, root, (20, 24), strict=True)


def test_all_apexes_gone_is_one_error_and_no_list(root, capsys):
    shutil.rmtree(root / "SMIC")
    index, four = tables(root)
    with pytest.raises(UserError, match=r"none of the 24 clips can be read; the first: smic_01"):
        load_clips(index, four, root, (20, 24))
    assert capsys.readouterr().err == ""


def test_a_companion_with_more_than_four_rows_a_clip(root):
    index, four = tables(root)
    extra = four.groupby("clip").head(1).assign(apex_frame_path="not/there.jpg")
    neighbour(root, 2, 0).write_bytes(b"")
    left = load_clips(index, pd.concat([four, extra]), root, (20, 24))
    assert (left.slots[2] >= 0).sum() == 4


def test_an_index_of_motion_alone_has_no_frames(root):
    index, _ = tables(root)
    with pytest.raises(UserError, match="names no apex frames"):
        load_clips(index.assign(apex_frame_path=""), None, root, (20, 24))


def test_a_run_goes_on_without_them_and_counts(root, tmp_path, capsys):
    index, _ = tables(root)
    neighbour(root, 0, 2).unlink()
    (root / index["apex_frame_path"][9]).write_bytes(b"")
    run_experiment(settings_of(root, tmp_path, epochs=1))
    assert "smic: 23 clips, 4 subjects" in capsys.readouterr().out
    records = read_records(tmp_path / "smic")
    assert [len(record["clips"]) for record in records] == [6, 5, 6, 6]
    name = index["clip"][9]
    assert name not in {clip["clip"] for record in records for clip in record["clips"]}
    config = json.loads((tmp_path / "smic/config.json").read_text())
    assert config["subjects"]["smic_02"] == 5
    assert config["left_out"] == [f"smic_02 {name}"]
    with pytest.raises(UserError, match="--strict"):
        run_experiment(settings_of(root, tmp_path, epochs=1, strict=True))


def test_strict_through_the_script_takes_no_name(root, tmp_path):
    neighbour(root, 0, 2).unlink()
    done = call("train_me_loso.py", "--index", root / "index/smic_apex.csv", "--root", root,
                "--result", tmp_path / "r", *FAST, "--strict")  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: smic_01 ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("streams", ["3d", "dual", "dual+motion"])
def test_views_and_maps_stay_with_their_clips(root, tmp_path, streams):
    """What reconstruct_3d.py could not read has no views; what has no map is left out too."""
    index, four = tables(root)
    lost, beside = root / index["apex_frame_path"][9], neighbour(root, 4, 1)
    paths = []
    for number in range(len(index)):
        maps = np.random.default_rng(number).normal(size=(3, 28, 28)).astype(np.float32)
        paths.append(tmp_path / f"{number}.npy")
        np.save(paths[-1], maps)
    index.assign(motion_path=[str(p) for p in paths], motion_frame="own").to_csv(
        root / "index/smic_apex.csv", index=False
    )
    views = tmp_path / "views"
    claim_views(views, "anny")
    rows = [*index.to_dict("records"), *four.to_dict("records")]
    for row in rows:
        if row["clip"] != index["clip"][9] and root / row["apex_frame_path"] != beside:
            write_views(view_folder(views, row), row["label"])
    settings = settings_of(
        root, tmp_path, streams=streams, root3d=views, epochs=1, subjects=("2",), batch_size=8
    )
    gone = [9, 15] if "motion" in streams else [9]
    whole = index["clip"].drop(gone).tolist()
    lost.write_bytes(b"")
    beside.unlink()
    if "motion" in streams:
        paths[15].unlink()
    read = load_inputs(settings)
    assert len(read.index) == len(read.slots) == len(read.views.slots) == len(whole)
    assert len(read.views.pictures) == len(read.views.folders)
    assert read.index["clip"].tolist() == whole
    assert ((read.slots >= 0) == (read.views.slots >= 0)).all()
    for clip, row in read.index.iterrows():
        assert read.views.folders[read.views.slots[clip, 0]] == view_folder(views, row)
        if read.motion is not None:
            number = index["clip"].tolist().index(row["clip"])
            one, other = read.motion[clip][0], np.load(paths[number])[0]
            assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.5
    run_experiment(settings)
    assert len(read_records(settings.folder)) == 2


@pytest.mark.parametrize("freeze", ["trunk", "early"])
def test_a_frame_beside_the_apex_without_a_face_has_no_views_and_the_others_move_up(
    root, tmp_path, freeze
):
    """As reconstruct_3d.py leaves it: sampling takes a clip's first frames, so no gap may stay."""
    index, four = tables(root)
    views = tmp_path / "views"
    claim_views(views, "anny")
    faceless = [view_folder(views, row) for row in four.groupby("clip").nth(1).to_dict("records")]
    for row in (*index.to_dict("records"), *four.to_dict("records")):
        if view_folder(views, row) not in faceless:
            write_views(view_folder(views, row), row["label"])
    note_faceless(views, faceless, faceless)
    settings = settings_of(
        root, tmp_path, streams="dual", root3d=views, epochs=1, subjects=("2",), batch_size=8,
        freeze=freeze,
    )  # fmt: skip
    whole = load_clips(index, four, root, (97, 97))
    left = load_inputs(settings)
    assert ((left.slots >= 0) == (left.views.slots >= 0)).all()
    assert (left.slots[:, 4] == -1).all() and (left.slots[:, :4] >= 0).all()
    assert torch.equal(left.slots[:, :4], whole.slots[:, [0, 1, 3, 4]])
    run_experiment(settings)
    assert len(read_records(settings.folder)) == 2


def test_heat_maps_of_a_run_that_left_a_clip_out(root, tmp_path):
    index, _ = tables(root)
    (root / index["apex_frame_path"][9]).write_bytes(b"")
    run_experiment(settings_of(root, tmp_path, epochs=1, subjects=("2",), save_weights=True))
    done = call("visualize.py", "cam", "--experiment", "smic", "--result", tmp_path, "--limit", 4)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "smic/cam").glob("*.png"))) == 8
