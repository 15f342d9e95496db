"""visualize.py glasses: wearers' reconstructions beside the truth, where it is known."""

import cv2
import numpy as np
import pandas as pd
import pytest
from apex_clips import face
from conftest import call


@pytest.fixture(scope="module")
def wearers(tmp_path_factory):
    """Subject 01, who wears glasses (with truth), 04 (without), and 02, who wears none."""
    root = tmp_path_factory.mktemp("glasses")
    image, points = face()
    glasses = image.copy()
    for eye in (points[36:42], points[42:48]):
        centre = tuple(int(n) for n in eye.mean(0))
        cv2.circle(glasses, centre, 20, (10, 10, 10), 2)
    rows = []
    for subject in ("01", "02", "04"):
        folder = root / f"SMIC/HS/s{subject}/s{subject}_po_01"
        folder.mkdir(parents=True)
        path = folder / "image000007.png"
        cv2.imwrite(str(path), glasses[..., ::-1])
        rows.append({
            "data": "smic", "subject": subject, "clip": f"s{subject}_po_01", "label": 1,
            "apex_frame_path": str(path.relative_to(root)), "apex_frame": 7,
        })  # fmt: skip
    truth = root / "truth/without_glasses"
    truth.mkdir(parents=True)
    cv2.imwrite(str(truth / "smic_01_s01_po_01_7.jpg"), image[..., ::-1])
    pd.DataFrame(rows).to_csv(root / "smic_apex.csv", index=False)
    return root


def test_wearers_beside_the_truth(wearers, tmp_path):
    done = call(
        "visualize.py", "glasses", "--index", wearers / "smic_apex.csv", "--root", wearers,
        "--backend", "anny", "--result", tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "(1 subjects)" in done.stdout
    table = pd.read_csv(tmp_path / "glasses.csv").set_index("clip")
    assert list(table.index) == ["smic_01 s01_po_01", "smic_04 s04_po_01"]
    known, unknown = table.iloc[0], table.iloc[1]
    assert 0 < known["frames_differ"] < 0.1
    assert 0 < known["views_differ"] < 0.05
    assert np.isnan(unknown["views_differ"])
    assert cv2.imread(str(tmp_path / "glasses.png")).std() > 10


def test_nobody_wears_glasses(wearers, tmp_path):
    index = pd.read_csv(wearers / "smic_apex.csv", dtype=str)
    index[index["subject"] == "02"].to_csv(tmp_path / "smic_apex.csv", index=False)
    done = call(
        "visualize.py", "glasses", "--index", tmp_path / "smic_apex.csv", "--root", wearers,
        "--backend", "anny", "--result", tmp_path / "r",
    )  # fmt: skip
    assert done.returncode == 2
    assert "no subject of this index wears glasses" in done.stderr
    assert not (tmp_path / "r").exists()
