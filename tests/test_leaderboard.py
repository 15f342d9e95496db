"""python -m benchmarks.leaderboard on made-up maps: from a published folder to the table."""

import json
import re

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import call, run
from made_records import content_of
from sklearn.metrics import f1_score

from benchmarks.leaderboard.maps import FOLDER, INDEX, keep_maps, read_board
from benchmarks.leaderboard.rows import Recipe, plan_rows
from benchmarks.leaderboard.table import as_markdown
from common.errors import UserError
from data.motion.published import TABLE, WHOLE, picture_name
from loso.metrics import later_best, uf1_by_epoch
from loso.records import read_records
from loso.results import collect
from loso.selection.chance import chance_uf1, fold_facts
from loso.settings import Settings
from models.registry import network_names
from report.page import write_leaderboard

PEOPLE = (("smic", "s01"), ("smic", "s02"), ("casme2", "sub01"), ("samm", "006"))
CLIPS = 6
NETWORKS = ("ststnet", "kernel_ridge", "svm")
ROWS = ["kernel_ridge", "svm", "ststnet", "chosen", "ensemble"]


def made_map(label, rng):
    """A map as published, (28, 28, 3) of u, v, strain: a blob whose place is the class."""
    y, x = np.mgrid[:28, :28]
    blob = np.exp(-((x - 6 - 8 * label) ** 2 + (y - 10 - 4 * label) ** 2) / 20)
    channels = [blob * (-1) ** label, blob, np.abs(blob)]
    noisy = np.stack(channels, -1) + rng.normal(0, 0.25, (28, 28, 3))
    return ((noisy - noisy.min()) / np.ptp(noisy) * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in the layout of CausalNet's repository, and the same maps as arrays."""
    root = tmp_path_factory.mktemp("published")
    (root / WHOLE).mkdir(parents=True)
    rng = np.random.default_rng(1)
    lines = ["dataset,sub,filename_o,label"]
    arrays = {"onset_apex": [], "apex_offset": [], "label": [], "data": [], "data_sub": []}
    for data, subject in PEOPLE:
        for number in range(CLIPS):
            label = number % 3
            clip = f"{subject}_c_{number:02d}"
            lines.append(f"{data},{subject},{clip},{label}")
            for ending, name in (("", "onset_apex"), ("_1", "apex_offset"), ("_2", None)):
                image = made_map(label, rng)
                path = root / WHOLE / picture_name(f"{subject}_{clip}{ending}")
                assert cv2.imwrite(str(path), image[..., ::-1])
                if name:
                    arrays[name].append(np.moveaxis(image, -1, 0))
            for name, value in (
                ("label", label),
                ("data", data),
                ("data_sub", f"{data}_{subject}"),
            ):
                arrays[name].append(value)
    (root / TABLE).write_text("\n".join(lines) + "\n")
    return root, {name: np.array(values) for name, values in arrays.items()}


def command(maps, out, *more, networks=NETWORKS, epochs=2):
    return call(
        "benchmarks.leaderboard", "--maps", maps, "--out", out, "--map-frame", "own",
        "--workers", 1, "--inner", 2, "--epochs", epochs, "--networks", *networks, *more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def board(folder, tmp_path_factory):
    """What the command writes, and what it says."""
    out = tmp_path_factory.mktemp("board") / "out"
    return out, command(folder[0], out)


@pytest.fixture
def copied(board, tmp_path):
    """A folder of finished rows that a test may change."""
    for path in board[0].rglob("*"):
        if path.is_file():
            there = tmp_path / "out" / path.relative_to(board[0])
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(path.read_bytes())
    return tmp_path / "out"


def by_row(out):
    table = pd.read_csv(out / "leaderboard.csv")
    return dict(zip(table["row"], table.to_dict("records")))


def test_every_network_is_a_row_with_its_facts(board):
    out, done = board
    assert done.returncode == 0, done.stderr
    rows = by_row(out)
    assert list(rows) == ROWS
    ststnet, ridge, chosen = rows["ststnet"], rows["kernel_ridge"], rows["chosen"]
    assert (ststnet["source"], ststnet["parameters"]) == ("Liong et al. 2019", 1683)
    assert (ststnet["epochs"], ststnet["published_epochs"], ststnet["inner"]) == (2, 500, 2)
    assert (ridge["epochs"], ridge["weights"]) == (1, "none")
    assert np.isnan(ridge["parameters"]) and np.isnan(chosen["epochs"])
    assert chosen["network"] == "kernel_ridge+svm"
    assert {(row["clips"], row["subjects"]) for row in rows.values()} == {(24, 4)}
    assert all(row["seconds"] >= 0 for row in rows.values())


def test_scores_are_those_of_the_records(board):
    out, _ = board
    rows, (log, _) = by_row(out), collect(out)
    for name in ("ststnet", "svm"):
        records = read_records(out / name)
        for protocol in ("last", "best"):
            labels, told = [], []
            for record in records:
                own = np.array([clip["label"] for clip in record["clips"]])
                every = np.array([epoch["scores"] for epoch in record["epochs"]]).argmax(-1)
                at = later_best(uf1_by_epoch(own, every, 3)) if protocol == "best" else -1
                labels, told = [*labels, *own], [*told, *every[at]]
            uf1 = f1_score(labels, told, average="macro")
            assert rows[name][f"{protocol}_uf1"] == pytest.approx(uf1, abs=1e-4)
        assert rows[name]["last_uf1_low"] <= rows[name]["last_uf1"] <= rows[name]["last_uf1_high"]
    for name in ("ststnet", "chosen"):  # a corpus of two subjects, under the row's own protocol
        protocol = "last" if name == "ststnet" else "nested"
        own = log[(log["experiment"] == name) & (log["protocol"] == protocol)]
        own = own[own["data"] == "smic"]
        uf1 = f1_score(own["label"], own["prediction"], average="macro")
        assert rows[name]["uf1_smic"] == pytest.approx(uf1, abs=1e-4)


def test_chance_has_as_many_draws_as_the_row_has_epochs(board):
    out, _ = board
    rows, facts = by_row(out), fold_facts(read_records(board[0] / "ststnet"))
    assert {fold.epochs for fold in facts} == {2}
    assert rows["ststnet"]["chance_best"] == pytest.approx(chance_uf1(facts, True), abs=1e-4)
    assert rows["ststnet"]["chance_best"] > rows["ststnet"]["chance_last"] + 0.02
    assert rows["svm"]["chance_best"] == rows["svm"]["chance_last"]


def test_a_choice_is_of_nested_alone_and_without_one_nested_is_last(board):
    rows = by_row(board[0])
    for name in ("chosen", "ensemble"):
        assert np.isnan([rows[name][f"{p}_uf1"] for p in ("last", "best")]).all()
        assert 0 < rows[name]["nested_uf1"] <= 1
        nested = [record["nested"] for record in read_records(board[0] / name)]
        assert all(len(one["candidates"]) == 2 for one in nested)
    for score in ("uf1", "uar_low", "accuracy"):
        assert rows["svm"][f"nested_{score}"] == rows["svm"][f"last_{score}"]
    assert all("nested" not in record for record in read_records(board[0] / "svm"))


def test_what_a_reader_is_told(board, folder):
    out, done = board
    text = (out / "leaderboard.md").read_text()
    assert text in done.stdout
    for words in (
        "24 clips of 4 subjects (SMIC 12 of 2, CASME II 6 of 1, SAMM 6 of 1)",
        f"maps: {folder[0]}; the face in them: this project's own, left as they were",
        "not means over folds",
        "best: each fold's epoch is chosen on its test subject",
        "chance: UF1 of labels drawn at random",
        "the epoch on 2 groups of them",
        "one draw reaches 0.",
    ):
        assert words in text
    assert "| 2 (500) |" in text and "| 1,683 |" in text
    assert re.search(r"row 3/5, ststnet: about \d+:\d\d minutes left for all rows", done.stdout)
    content = content_of(out / "leaderboard.html")
    assert [row[0] for row in content["rows"]] == ROWS
    assert content["heads"][9:11] == ["UF1 best †", "chance †"]
    page = (out / "leaderboard.html").read_text()
    assert "$" not in re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert "default-src 'none'" in page and not re.search(r"""(src|href)=["']?http""", page)


def test_text_on_the_page_is_never_html(tmp_path):
    write_leaderboard(tmp_path / "x.html", ["row"], [["</script><b>"]], ["<img src=x>"])
    page = (tmp_path / "x.html").read_text()
    assert "<b>" not in page.split("<body>")[1].replace('<b class="best">', "")
    assert "<img" not in page and content_of(tmp_path / "x.html")["notes"] == ["<img src=x>"]


def test_markdown_has_a_cell_for_each_head():
    text = as_markdown(["row", "UF1"], [["a", "0.5"]], ["one"])
    assert text == "- one\n\n| row | UF1 |\n| --- | --- |\n| a | 0.5 |\n"


def test_finished_folds_are_not_trained_again(copied, folder, board):
    (copied / "ststnet/fold_samm_006.json").unlink()
    (copied / FOLDER / "000.npy").write_bytes(b"cut off")
    done = command(folder[0], copied)
    assert done.returncode == 0, done.stderr
    assert "row 5/5, ensemble: about 0:00 minutes left for all rows" in done.stdout
    assert done.stdout.count("4 folds chosen, 4 of them done before") == 4
    assert done.stdout.count("4 folds chosen, 3 of them done before") == 1
    whole = board[0] / FOLDER / "000.npy"
    assert (copied / FOLDER / "000.npy").read_bytes() == whole.read_bytes()

    after = by_row(copied)
    for name, row in by_row(board[0]).items():
        row["seconds"] = after[name]["seconds"]
        assert json.dumps(row) == json.dumps(after[name])


def test_fewer_rows_are_a_smaller_table_of_the_same_folder(copied, folder):
    done = command(folder[0], copied, networks=("svm",))
    assert done.returncode == 0, done.stderr
    assert list(by_row(copied)) == ["svm"]
    assert (copied / "ststnet/config.json").is_file()


def test_rows_of_other_settings_or_maps_are_not_mixed(copied, folder, tmp_path):
    before = {path: path.read_bytes() for path in copied.rglob("*.*")}
    done = command(folder[0], copied, epochs=3)
    assert done.returncode == 2
    assert "(--epochs was 2, now 3); --out goes elsewhere" in done.stderr.splitlines()[-1]
    arrays = dict(folder[1])
    arrays["label"] = (arrays["label"] + 1) % 3
    np.savez(tmp_path / "other.npz", **arrays)
    done = command(tmp_path / "other.npz", copied)
    assert done.returncode == 2
    assert "is of other maps, labels or --map-frame; --out goes" in done.stderr.splitlines()[-1]
    assert {path: path.read_bytes() for path in copied.rglob("*.*")} == before


def test_a_damaged_record_is_one_line(copied, folder):
    (copied / "svm/fold_smic_01.json").write_text('{"format": 1, "da')
    done = command(folder[0], copied)
    assert done.returncode == 2
    assert "fold_smic_01.json: cut off or not JSON; delete it" in done.stderr.splitlines()[-1]


def test_a_folder_an_index_and_an_npz_are_the_same_maps(folder, tmp_path):
    root, arrays = folder
    np.savez(tmp_path / "maps.npz", **arrays)
    boards = [read_board(root, None, "own"), read_board(tmp_path / "maps.npz", None, "own")]
    kept = [keep_maps(board.clips, tmp_path / str(i)) for i, board in enumerate(boards)]
    boards.append(read_board(kept[0], None, "auto"))  # what is kept is read as it is
    kept.append(keep_maps(boards[2].clips, tmp_path / "2"))
    tables = [pd.read_csv(path, dtype=str) for path in kept]
    assert len(tables[0]) == 24 and tables[0]["motion_offset_path"].notna().all()
    assert kept[0].read_bytes() == kept[2].read_bytes()
    for name in ("data", "subject", "label", "motion_path", "sha256"):
        assert tables[0][name].tolist() == tables[1][name].tolist()
    assert boards[0].clips.motion.shape == (24, 3, 28, 28)
    assert tmp_path / "0" / FOLDER / INDEX == kept[0]


def test_maps_in_a_given_frame_are_sampled_and_said(folder):
    board = read_board(folder[0], None, "0.27,0.73,0.37,0.78")
    assert board.frame.startswith("eyes at 0.27 and 0.73 of the width, 0.37 down")
    assert not np.array_equal(board.clips.motion, read_board(folder[0], None, "own").clips.motion)


def test_a_clip_without_a_map_is_named_and_left_out(folder, tmp_path):
    arrays = dict(folder[1])
    arrays["onset_apex"] = arrays["onset_apex"].copy()
    arrays["onset_apex"][3] = 7
    np.savez(tmp_path / "maps.npz", **arrays)
    done = command(tmp_path / "maps.npz", tmp_path / "out", networks=("svm",))
    assert done.returncode == 0
    assert "skipped smic_01 clip003" in done.stderr and "a constant map" in done.stderr
    assert "23 clips of 4 subjects" in done.stdout
    assert "; 1 more have no map and are left out" in done.stdout


def without(name):
    return lambda arrays: arrays.pop(name)


def changed(name, value):
    return lambda arrays: arrays.update({name: value(arrays[name])})


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (without("data_sub"), "no 'data_sub' in it; there have to be onset_apex, label"),
        (changed("label", lambda a: a[1:]), "and there are (23,) labels"),
        (changed("label", lambda a: a + 1), "clip 2: label 3 is none of 0 negative"),
        (changed("label", lambda a: a * 0.5), "label holds float64, not whole numbers"),
        (changed("label", lambda a: np.int64(3)), "and there are () labels"),
        (changed("data", lambda a: np.full(24, "nobody")), "clip 0: data 'nobody' is not one of"),
        (changed("data", lambda a: a[::-1]), "data_sub 'smic_s01' is not a subject of samm"),
        (changed("onset_apex", lambda a: a[:, :2]), "onset_apex is (24, 2, 28, 28), not (N, 3, S"),
        (changed("apex_offset", lambda a: a[:5]), "apex_offset is (5, 3, 28, 28), and there are"),
        (changed("data", lambda a: a.astype(object)), "cut off, or no .npz of arrays"),
        (lambda arrays: arrays.update({k: v[:0] for k, v in arrays.items()}), "no clip in it"),
    ],
)  # fmt: skip
def test_a_faulty_npz_is_one_line(folder, tmp_path, change, fault):
    arrays = dict(folder[1])
    change(arrays)
    np.savez(tmp_path / "maps.npz", **arrays)
    with pytest.raises(UserError, match=re.escape(fault)) as caught:
        read_board(tmp_path / "maps.npz", None, "own")
    assert "\n" not in str(caught.value)


def test_wrong_commands_write_nothing(folder, tmp_path):
    root, arrays = folder
    np.savez(tmp_path / "few.npz", **{name: array[:CLIPS] for name, array in arrays.items()})
    whole = tmp_path / "whole.npz"
    np.savez(whole, **arrays)
    (tmp_path / "cut.npz").write_bytes(whole.read_bytes()[:3000])
    (tmp_path / "frames.csv").write_text("data,subject,clip,label,apex_frame_path\nsmic,1,a,0,b\n")
    (tmp_path / "maps.txt").write_text("")
    for maps, more, fault in (
        (tmp_path / "gone", (), "no such folder or file"),
        (tmp_path / "maps.txt", (), "a published folder, an index (.csv) or an .npz"),
        (tmp_path, (), "no published maps"),
        (tmp_path / "frames.csv", (), "no column 'motion_path': make maps with"),
        (tmp_path / "cut.npz", (), "cut off, or no .npz"),
        (tmp_path / "few.npz", (), "only one subject (smic_01)"),
        (root, ("--root", root), "goes with an index"),
        (root, ("--map-frame", "1,2"), "--map-frame"),
        (
            root,
            ("--networks", "resnet18"),
            "resnet18: no such network; there are directed",
        ),
        (root, ("--epochs", 0), "--epochs 0: at least 1"),
        (root, ("--inner", 1), "--inner 1: at least 2 groups"),
        (root, ("--inner", 9), "has 3 training subjects"),
        (root, ("--workers", 0), "--workers 0"),
        (root, ("--full",), "--epochs does not go with --full"),
    ):
        done = command(maps, tmp_path / "out", *more)
        assert done.returncode == 2, fault
        assert fault in done.stderr.splitlines()[-1]
        assert not (tmp_path / "out").exists()


def test_it_starts_as_its_user_starts_it(tmp_path):
    done = run("benchmarks.leaderboard", "--maps", "x", "--out", tmp_path / "out", "--inner", 1)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["error: --inner 1: at least 2 groups"]


BASE = Settings(dataset="composite", streams="motion", weights="none", device="cpu")


def test_rows_are_the_registrys_and_nothing_is_chosen_where_there_is_one_epoch():
    rows = plan_rows(BASE, (), Recipe())
    names = [row.name for row in rows]
    networks = list(dict.fromkeys(row.networks[0] for row in rows if not row.is_choice))
    assert networks == network_names("motion_net")
    assert names[:3] == ["directed", "directed_zero_shot", "directed_tuned"]
    assert names[-2:] == ["chosen", "ensemble"] and len(set(names)) == len(names)
    for row in rows:
        assert (row.settings.inner > 0) == (row.settings.passes > 1 or row.is_choice)
        assert row.settings.name == row.name
    zero_shot = [row.settings for row in rows if row.name.endswith("zero_shot")]
    assert {(one.adapt, one.first_weights) for one in zero_shot} == {("none", "synthetic")}


def test_full_is_the_papers_recipe():
    rows = {row.name: row for row in plan_rows(BASE, ("htnet", "sssnet"), Recipe(full=True))}
    learning = rows["htnet"].settings.learning
    assert (learning.epochs, learning.lr, learning.batch_size) == (800, 5e-5, 256)
    assert rows["sssnet"].settings.learning.epochs == rows["sssnet"].published["epochs"] == 200
    assert list(rows) == ["sssnet", "htnet"]  # the registry's order, whatever was asked for first


def test_folds_that_are_done_take_no_time():
    row = plan_rows(BASE, ("htnet",), Recipe())[0]
    assert row.seconds(34) > row.seconds(5) > row.seconds(0) == 0
