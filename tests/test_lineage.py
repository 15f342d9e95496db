"""Whom a kept network has seen: its fold's subjects, and all that its first weights had."""

import json

import numpy as np
import pandas as pd
import pytest
from experiments import settings_of
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from common.errors import UserError
from loso.checkpoints import one_spelling, read_network
from loso.experiment import run_experiment
from synthetic.motion.domains import HELD_OUT
from synthetic.motion.pairs import make_motion


@pytest.fixture(scope="module")
def worlds(tiny, tmp_path_factory):
    """Indexes of the same clips as other people: A's subjects are 01-04, B's 11-14, C's 21-24."""
    folder = tmp_path_factory.mktemp("people")
    plain = pd.read_csv(tiny / "index/smic_apex.csv", dtype=str)
    maps = make_motion(len(plain), 5, HELD_OUT).maps
    plain["motion_path"] = [str(folder / f"{i}.npy") for i in range(len(plain))]
    for path, one in zip(plain["motion_path"], maps):
        np.save(path, one)
    indexes = {}
    for tens, name in enumerate("ABC"):
        index = plain.copy()
        index["subject"] = [f"{tens}{subject[1]}" for subject in index["subject"]]
        index["data_sub"] = "smic_" + index["subject"]
        indexes[name] = folder / f"{name}_apex.csv"
        index.to_csv(indexes[name], index=False)
    return indexes


MOTION = {"streams": "motion", "motion_net": "lean", "freeze": "none", "weights": "drawn"}


@pytest.fixture
def train(tiny, worlds, tmp_path):
    """Train the first fold of an index; the file of its network."""

    def run_it(who, start=None, **more):
        changes = {"index": worlds[who], "experiment": who, "epochs": 1, "subjects": ("1",)}
        changes |= {"save_weights": True} | more
        if start is not None:
            changes["weights"] = str(start)
        settings = settings_of(tiny, tmp_path, **changes)
        run_experiment(settings)
        (file,) = (settings.folder / "weights").glob("*.safetensors")
        return file

    return run_it


def subjects(*tens):
    return {f"smic_{ten}{one}" for ten in tens for one in "1234"}


@pytest.mark.parametrize("way", [{}, MOTION], ids=["pictures", "motion"])
def test_a_chain_remembers_everyone(train, way):
    a = train("A", **way)
    assert set(read_network(a).trained_on) == subjects(0) - {"smic_01"}
    b = train("B", a, **way)
    assert set(read_network(b).trained_on) == subjects(0, 1) - {"smic_01", "smic_11"}
    c = train("C", b, **way)
    assert set(read_network(c).trained_on) == subjects(0, 1, 2) - {"smic_01", "smic_11", "smic_21"}
    for start, who in ((a, "A"), (b, "A"), (c, "A"), (c, "B"), (b, "B")):
        with pytest.raises(UserError, match=r"was trained on smic_.*would hold out as unseen"):
            train(who, start, **way, overwrite=True)


@pytest.mark.parametrize("adapt", ["none", "head"])
def test_what_is_not_adapted_remembers_too(train, adapt):
    a = train("A", **MOTION)
    b = train("B", a, **MOTION, adapt=adapt)
    own = set() if adapt == "none" else subjects(1) - {"smic_11"}
    assert set(read_network(b).trained_on) == subjects(0) - {"smic_01"} | own
    with pytest.raises(UserError, match="smic_02 and 2 more"):
        train("A", b, **MOTION, overwrite=True)


def test_weights_that_are_given_out_have_seen_nobody(train):
    assert read_network(train("A", **MOTION, adapt="none")).trained_on == ()


def rewrite(path, **changes):
    """A kept network's file with other facts."""
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["dsnca"])
    facts["settings"] |= changes.pop("settings", {})
    state = load_file(path)
    save_file(state, path, metadata={"dsnca": json.dumps(facts | changes)})


def test_subjects_in_another_spelling_are_the_same(train):
    a = train("A", **MOTION)
    rewrite(a, trained_on=["smic_2", "SMIC_s3"])
    with pytest.raises(UserError, match="was trained on smic_02 and 1 more"):
        train("A", a, **MOTION, overwrite=True)
    assert read_network(a).trained_on == ("smic_02", "smic_03")


@pytest.mark.parametrize(
    ("name", "spelled"),
    [("samm_6", "samm_006"), ("samm_006", "samm_006"), ("SMIC_1", "smic_01"),
     ("smic_s01", "smic_01"), ("casme2_1", "casme2_sub01"), ("casme2_sub01", "casme2_sub01"),
     ("samm_6.0", "samm_006"), ("mine_7", "mine_7"), ("somebody", "somebody")],
)  # fmt: skip
def test_one_spelling(name, spelled):
    assert one_spelling(name) == spelled


def test_files_of_the_earlier_format_are_followed_or_refused(train):
    """They name their own fold's subjects alone, and in the settings where they started."""
    a = train("A", **MOTION)
    b = train("B", a, **MOTION)
    own = sorted(subjects(1) - {"smic_11"})
    rewrite(b, format=1, trained_on=own)
    with pytest.raises(UserError, match="was trained on smic_02 and 2 more"):
        train("A", b, **MOTION, overwrite=True)
    c = train("C", b, **MOTION)
    assert set(read_network(c).trained_on) >= subjects(0) - {"smic_01"}
    a.unlink()
    with pytest.raises(UserError, match=r"started from .*A/weights.*, which is gone"):
        train("C", b, **MOTION, overwrite=True)
    rewrite(b, format=1, settings={"weights": str(b)})
    with pytest.raises(UserError, match="which is gone"):
        train("C", b, **MOTION, overwrite=True)
    rewrite(b, format=1, settings={"weights": "drawn"})
    train("C", b, **MOTION, overwrite=True)


def test_the_suffix_of_a_file_hides_nobody(train):
    a = train("A", **MOTION)
    with pytest.raises(UserError, match="smic_02 and 2 more"):
        train("A", a.rename(a.with_suffix(".pth")), **MOTION, overwrite=True)
