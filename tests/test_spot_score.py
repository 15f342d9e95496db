"""Scores of spotting: hand-counted cases, properties, files of all kinds."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import call
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from data.corpora.predicted import read_predicted
from loso.spot_causes import false_alarms
from loso.spot_counts import Counts, match, overlap, score
from loso.spot_score import print_score, score_files, score_with_trained_threshold

# Two videos at 30 frames a second: what is true, and what was spotted.
TRUTH = [  # video, subject, onset, offset, kind, emotion
    ("15_0101", "s15", 100, 109, "micro", "negative"),
    ("15_0101", "s15", 200, 259, "macro", "positive"),
    ("16_0102", "s16", 50, 64, "micro", "surprise"),
    ("16_0102", "s16", 300, 399, "macro", "negative"),
    ("16_0102", "s16", 500, 559, "macro", "others"),
]
SPOTTED = [  # video, onset, offset, kind, label, score
    ("15_0101", 100, 104, "micro", "negative", 0.9),  # IoU 5 / 10: right
    ("15_0101", 105, 109, "micro", "negative", 0.8),  # IoU 5 / 10, but that one is taken
    ("15_0101", 200, 228, "macro", "positive", 0.9),  # 29 / 60: wrong
    ("16_0102", 50, 64, "macro", "surprise", 0.7),  # another kind
    ("16_0102", 300, 349, "macro", "positive", 0.6),  # 50 / 100: right, wrong class
    ("16_0102", 495, 559, "macro", "positive", 0.5),  # 60 / 65: right, class left out
]


def truth_table():
    columns = ["video", "subject", "onset", "offset", "kind", "emotion"]
    return pd.DataFrame(TRUTH, columns=columns)


def spotted_table():
    table = pd.DataFrame(SPOTTED, columns=["video", "onset", "offset", "kind", "label", "score"])
    return table.assign(subject="s" + table["video"].str[:2])


def test_hand_counted():
    found = score(truth_table(), spotted_table())
    assert found.counts["micro"] == Counts(1, 1, 1)
    assert found.counts["macro"] == Counts(2, 2, 1)
    assert found.counts["overall"] == Counts(3, 3, 2)
    assert found.counts["either"] == Counts(4, 2, 1)  # the micro-expression called macro too
    assert found.counts["overall"].f1 == pytest.approx(6 / 11)
    assert found.videos == 2


def test_strs_is_the_product_with_the_harmonic_mean_of_the_macro_means():
    found = score(truth_table(), spotted_table())
    # True positives with a class: negative as negative, negative as positive.
    known = found.recognition["overall"]
    assert known.clips == 2
    assert known.precision == pytest.approx((1 + 0 + 0) / 3)  # negative, positive, surprise
    assert known.recall == pytest.approx((1 / 2 + 0 + 0) / 3)
    assert known.f1 == pytest.approx(2 * (1 / 3) * (1 / 6) / (1 / 2))
    assert found.strs("overall") == pytest.approx(6 / 11 * known.f1)
    four = score(
        truth_table(), spotted_table(), classes=("negative", "positive", "surprise", "others")
    )
    assert four.recognition["overall"].clips == 3


def test_strs_as_published():
    """SAMM long videos by MEAN: 0.0949 x 0.5263 = 0.0499, where UF1 is 0.5018."""
    spotting = Counts(13, 102, 146)
    assert spotting.f1 == pytest.approx(0.0949, abs=1e-4)
    assert round(spotting.f1 * 0.5263, 4) == 0.0499


def test_mdmd_counts_give_the_published_f1():
    """MEGC 2020's baseline, by the counts of its results file."""
    for counts, f1 in (
        (Counts(21, 5035 - 21, 57 - 21), 0.008248), (Counts(109, 1523 - 109, 300 - 109), 0.119583),
        (Counts(29, 1436 - 29, 159 - 29), 0.036364), (Counts(51, 1792 - 51, 502 - 51), 0.044464),
    ):  # fmt: skip
        assert counts.f1 == pytest.approx(f1, abs=1e-6)


def test_overlap_counts_onset_and_offset_in():
    ends = np.array([[10, 19], [15, 24], [20, 29], [10, 10]])
    found = overlap(ends, ends)
    assert found[0, 1] == pytest.approx(5 / 15)
    assert found[0, 2] == 0
    assert found[0, 3] == pytest.approx(1 / 10)
    assert (np.diag(found) == 1).all()


def test_as_many_pairs_as_can_be():
    """The first true one fits both, the second only the first spotted one."""
    true = np.array([[0, 9], [4, 13]])
    spotted = np.array([[2, 11], [0, 5]])
    assert overlap(true, spotted)[0, 0] > overlap(true, spotted)[0, 1]
    assert sorted(match(true, spotted)) == [(0, 1), (1, 0)]


intervals = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda p: (p[0], p[0] + p[1])),
    max_size=8,
)


@given(intervals, intervals, st.randoms(use_true_random=False))
def test_matching_is_one_to_one_and_blind_to_order(true, spotted, random):
    a, b = (np.array(list(ends), np.int64).reshape(-1, 2) for ends in (true, spotted))
    pairs = match(a, b)
    assert len(pairs) <= min(len(a), len(b))
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(overlap(a, b)[i, j] >= 0.5 for i, j in pairs)
    order = random.sample(range(len(b)), len(b))
    assert len(match(a, b[order])) == len(pairs) == len(match(b, a))
    assert len(pairs) >= _greedy(a, b)
    assert len(match(a, a)) == len(a)


def _greedy(true, spotted):
    taken = set()
    for row in overlap(true, spotted):
        for j in np.flatnonzero(row >= 0.5):
            if j not in taken:
                taken.add(j)
                break
    return len(taken)


@given(intervals, intervals)
def test_one_more_false_one_never_helps(true, spotted):
    def counted(ends):
        rows = pd.DataFrame(ends, columns=["onset", "offset"]).assign(
            video="v", kind="micro", label=""
        )
        return score(truth, rows).counts["overall"]

    truth = pd.DataFrame(true, columns=["onset", "offset"]).assign(
        video="v", kind="micro", emotion=""
    )
    plain, more = counted(spotted), counted([*spotted, (900, 910)])
    assert (more.tp, more.fp, more.fn) == (plain.tp, plain.fp + 1, plain.fn)
    assert more.f1 <= plain.f1
    assert plain.tp + plain.fn == len(true) and plain.tp + plain.fp == len(spotted)


def test_a_trained_threshold_comes_from_the_other_subjects():
    """Of each subject one true one with a high score; s01's false one has a score between."""
    truth = pd.DataFrame(
        [(f"v{i}", f"s0{i}", 10, 20, "micro", "") for i in range(1, 5)],
        columns=["video", "subject", "onset", "offset", "kind", "emotion"],
    )
    spotted = pd.DataFrame(
        [(f"v{i}", f"s0{i}", 10, 20, "micro", "", 0.9) for i in range(1, 5)]
        + [(f"v{i}", f"s0{i}", 50, 60, "micro", "", 0.1) for i in range(1, 5)]
        + [("v1", "s01", 80, 90, "micro", "", 0.95)],
        columns=["video", "subject", "onset", "offset", "kind", "label", "score"],
    )
    found = score_with_trained_threshold(truth, spotted)
    assert found.counts["micro"] == Counts(4, 1, 0)
    assert found.thresholds["s01 micro"] == 0.9
    assert found.thresholds["s01 macro"] == float("inf")  # nothing to train on: nothing kept
    assert found.as_json()["thresholds"]["s01 macro"] is None
    with pytest.raises(UserError, match="score"):
        score_with_trained_threshold(truth, spotted.assign(score=float("nan")))


@pytest.fixture
def drawn(tmp_path):
    """An annotation as the drawn set has it."""
    rows = truth_table().rename(columns={"kind": "event"})
    rows = rows.assign(corpus="casme_sq", fps=30, apex=rows["onset"] + 4)
    blink = rows.iloc[:1].assign(event="blink", video="17_0401", onset=1, offset=9)
    path = tmp_path / "truth_long.csv"
    pd.concat([rows, blink]).to_csv(path, index=False)
    return path


FILES = {
    "ours": (
        "video,onset,apex,offset,onset_s,kind,label,confidence\n",
        "{v},{a},{a},{b},1.5,{k},{l},0.5",
    ),
    "starts": ("Video_Name;Start;End;Type\n", "s15/{v}disgustingteeth.avi;{a};{b};{k}-expression"),
    "subjects": ("subject,video,onset,offset,emotion,type\n", "{s},{c},{a}.0,{b}.0,{l},{k}"),
    "bare": ("", "{v},{a},{b},{k}"),
    "spaces": ("", "{v}  {a} {b}   {k}"),
}


@pytest.mark.parametrize("form", FILES)
def test_files_of_many_kinds_give_one_score(drawn, tmp_path, form):
    head, line = FILES[form]
    lines = [
        line.format(v=v, a=a, b=b, k=k, l=label, s=int(v[:2]), c=v[3:])
        for v, a, b, k, label, _ in SPOTTED
    ]
    path = tmp_path / "spotted.csv"
    path.write_text(head + "\n".join(lines) + "\n")
    found = score_files(path, drawn)
    assert found.counts == score(truth_table(), spotted_table()).counts
    assert found.videos == 3  # one in which there is a blink alone


def test_kinds_are_told_by_length_where_no_column_does(drawn, tmp_path):
    path = tmp_path / "spotted.csv"
    path.write_text("video,onset,offset\n15_0101,100,109\n15_0101,100,115\n")
    found = score_files(path, drawn)
    assert found.counts["micro"] == Counts(1, 0, 1)
    assert found.counts["macro"] == Counts(0, 1, 3)


def test_a_log_of_megc_against_its_own_truth(tmp_path, capsys):
    log = tmp_path / "log.txt"
    log.write_text(
        "1\n"
        "025_5   -         -       162     240     FP\n"
        "025_5   840       979     -       -       FN\n"
        "025_5   840       937     841     920     TP\n"
        "035_1   523       730     580     705     TP\n"
        "2\n"
        "s15_0101   -      -       82      95      FP\n"
        "s15_0101   557    608     -       -       FN\n"
    )
    found = score_files(log, log)
    assert capsys.readouterr().err == ""  # the log counts as many itself
    assert found.counts["micro"] == Counts(1, 2, 0)
    assert found.counts["macro"] == Counts(1, 0, 2)
    assert found.recognition == {}
    print_score(found)
    assert "overall" in capsys.readouterr().out
    assert found.as_json()["rows"]["micro"]["tp"] == 1
    log.write_text("015_1 10 19 15 24 TP\n")
    assert score_files(log, log).counts["either"].tp == 0
    assert "counts 1 true positives itself" in capsys.readouterr().err


def test_a_folder_of_files_named_after_videos(tmp_path):
    (tmp_path / "s15_0101.txt").write_text("82 85 1.0\n92 111 1.0\n")
    (tmp_path / "s16_0102.txt").write_text("5 9 0.5\n")
    rows = read_predicted(tmp_path)
    assert rows["video"].tolist() == ["s15_0101", "s15_0101", "s16_0102"]
    assert rows["onset"].tolist() == [82, 92, 5] and rows["score"].tolist() == [1, 1, 0.5]


def test_columns_without_a_header_are_told(tmp_path, capsys):
    path = tmp_path / "x.csv"
    path.write_text("006_1,10,14,20,micro,0.75\n006_2,30,30,31,macro,0.5\n")
    rows = read_predicted(path)
    assert rows[["onset", "offset"]].to_numpy().tolist() == [[10, 20], [30, 31]]
    assert rows["kind"].tolist() == ["micro", "macro"] and rows["score"].tolist() == [0.75, 0.5]
    assert "video 1, onset 2, offset 4" in capsys.readouterr().err


def test_nothing_spotted_is_a_score_of_0(drawn, tmp_path):
    path = tmp_path / "none.csv"
    path.write_text("video,onset,offset\n")
    assert score_files(path, drawn).counts["overall"] == Counts(0, 0, 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "no column"),
        ("video,onset,offset\n15_0101,20,10\n", "row 2 holds no interval"),
        ("video,onset,offset\n15_0101,x,10\n", "row 2 holds no interval"),
        ("video,onset,offset\n99_9999,5,10\n", "none of its videos"),
        ("onset,offset\n5,10\n", "no column of each interval's video"),
    ],
)
def test_bad_files_are_one_line(drawn, tmp_path, text, said):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        score_files(path, drawn)


def test_a_table_is_no_truth_of_its_own(drawn):
    with pytest.raises(UserError, match="no log"):
        score_files(drawn, drawn)


def test_videos_that_the_annotation_lacks_count_as_false(drawn, tmp_path, capsys):
    path = tmp_path / "spotted.csv"
    path.write_text("video,onset,offset\n15_0101,100,109\n99_0101,5,10\n")
    assert score_files(path, drawn).counts["micro"] == Counts(1, 1, 1)
    assert "99_0101" in capsys.readouterr().err


def test_false_alarms_are_told_by_what_happens_then(drawn, tmp_path):
    """One minute; a true one, a blink, two in a row at an expression, one at nothing."""
    events = pd.read_csv(drawn).assign(frames=600)
    events.to_csv(drawn, index=False)
    path = tmp_path / "spotted.csv"
    path.write_text(
        "video,onset,offset\n15_0101,100,109\n15_0101,104,106\n17_0401,5,12\n17_0401,90,99\n"
    )
    found = false_alarms(path, drawn)
    assert {cause: rate for cause, rate in found.items() if rate} == {
        "expression": 1, "blink": 1, "nothing": 1,
    }  # fmt: skip
    with pytest.raises(UserError, match="truth_long"):
        false_alarms(path, path)


def test_the_command_line_scores_and_writes_json(drawn, tmp_path):
    path, out = tmp_path / "intervals.csv", tmp_path / "scores.json"
    rows = [f"{v},{a},{b},{k},{label},{s}" for v, a, b, k, label, s in SPOTTED]
    path.write_text("\n".join(["video,onset,offset,kind,label,confidence", *rows]) + "\n")
    command = ["spot.py", "score", "--predicted", path, "--annotation", drawn]
    done = call(*command, "--json", out)
    assert done.returncode == 0, done.stderr
    assert "0.5455" in done.stdout  # F1 of 3 right ones, 3 false ones, 2 missed
    assert json.loads(out.read_text())["rows"]["overall"]["tp"] == 3
    trained = call(*command, "--train-threshold", "--classes", 4)
    assert trained.returncode == 0, trained.stderr
    wrong = call(*command, "--classes", 5)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1
