"""benchmarks.few_subjects and benchmarks.motion_ideas on made-up maps."""

import re

import numpy as np
import pytest
from conftest import call

from synthetic.motion.pairs import make_motion

SUBJECTS = 8


@pytest.fixture(scope="module")
def arrays():
    """Maps of eight subjects, three of each class each, by the names of a leaderboard's .npz."""
    drawn = make_motion(9 * SUBJECTS, 5)
    return {
        "onset_apex": drawn.maps, "apex_offset": -drawn.maps, "label": drawn.labels,
        "data": np.repeat("smic", len(drawn.labels)),
        "data_sub": np.array([f"smic_{i // 9 + 1:02d}" for i in range(len(drawn.labels))]),
    }  # fmt: skip


@pytest.fixture(scope="module")
def maps(arrays, tmp_path_factory):
    """The file of the arrays."""
    path = tmp_path_factory.mktemp("maps") / "maps.npz"
    np.savez(path, **arrays)
    return path


def test_what_few_subjects_gain(maps):
    done = call("benchmarks.few_subjects", "--maps", maps, "--draws", 2)
    assert done.returncode == 0, done.stderr
    reached = dict(re.findall(r"^(.*): UF1 ([\d.]+)", done.stdout, re.MULTILINE))
    sizes = ("1 subjects", "5 subjects", "all but one subject")
    assert list(reached) == ["zero-shot", *(
        f"{size}, {start}" for size in sizes for start in ("from nothing", "synthetic")
    )]  # fmt: skip
    assert float(reached["1 subjects, synthetic"]) > float(reached["1 subjects, from nothing"])


def test_what_each_idea_is_worth(maps):
    done = call("benchmarks.motion_ideas", "--maps", maps)
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if " | " in line]
    assert rows[0] == ["idea", "UF1", "UAR", "ranking"]
    reached = {name: list(map(float, figures)) for name, *figures in rows[1:]}
    assert len(reached) == 16
    assert all(0 <= figure <= 1 for figures in reached.values() for figure in figures)
    assert reached["directions, mirrored"][0] > 0.5  # chance is a third


def test_ideas_need_both_phases(arrays, tmp_path):
    path = tmp_path / "one.npz"
    np.savez(path, **{name: one for name, one in arrays.items() if name != "apex_offset"})
    done = call("benchmarks.motion_ideas", "--maps", path)
    assert done.returncode == 2
    assert "no maps from apex to offset" in done.stderr


@pytest.mark.parametrize("name", ["few_subjects", "motion_ideas"])
def test_maps_that_are_none(name, tmp_path):
    done = call(f"benchmarks.{name}", "--maps", tmp_path / "gone.npz")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no such folder or file" in done.stderr
