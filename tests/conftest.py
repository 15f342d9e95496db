"""A tiny corpus that no licence covers: blobs on grey, one place of the blob a class."""

import contextlib
import io
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

# One thread a process: pytest runs one process a core, and OpenMP's threads wait by spinning.
os.environ["OMP_NUM_THREADS"] = "1"
# What one test finds in a picture is not to serve the next run's.
os.environ["DSNCA_CACHE"] = tempfile.mkdtemp(prefix="dsnca-tests-")

import cv2
import numpy as np
import openpyxl
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, settings

from common import errors
from data.faces import FaceFinder, load_face_finder
from data.index import read_index
from data.views import claim_views, view_folder, view_names

# A machine that is busy is no fault of what is tested.
settings.register_profile(
    "tests",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine is no fault
)
settings.load_profile("tests")

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"
EMOTIONS = ("negative", "positive", "surprise")
PLACES = ((12, 20), (28, 20), (20, 30))  # x, y of the blob, one a class


@pytest.fixture(autouse=True)
def each_test_is_warned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning is printed once a process; every test is to see its own."""
    monkeypatch.setattr(errors, "_warned", set())


_init = torch.nn.Module.__init__
_built: list[str] = []


def pytest_sessionstart() -> None:
    """Note the networks that are built from here on; collection is to build none."""

    def noted(self: torch.nn.Module, *args: object, **kwargs: object) -> None:
        _built.append(type(self).__name__)
        _init(self, *args, **kwargs)

    torch.nn.Module.__init__ = noted


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tests build networks when they run, seeded, and each worker only those of its tests."""
    torch.nn.Module.__init__ = _init
    if _built:
        raise pytest.UsageError(f"networks built while tests are collected: {set(_built)}")


def run(script: str, *arguments: object, **kwargs: object) -> subprocess.CompletedProcess:
    """Run a script of the project, or a module (tools.x), as its user would."""
    start = [str(ROOT / script)] if script.endswith(".py") else ["-m", script]
    return subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        cwd=kwargs.pop("cwd", ROOT),
        capture_output=True,
        text=True,
        **kwargs,
    )


def call(script: str, *arguments: object) -> subprocess.CompletedProcess:
    """Run a script or module in this process: as `run`, without the seconds of its imports."""
    is_file = script.endswith(".py")
    command = [str(ROOT / script) if is_file else script, *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(ROOT),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", command),
        pytest.raises(SystemExit) as end,
    ):
        (runpy.run_path if is_file else runpy.run_module)(command[0], run_name="__main__")
    return subprocess.CompletedProcess(command, end.value.code, out.getvalue(), err.getvalue())


def start(command: list[str]) -> subprocess.Popen:
    """Start a script that is to be stopped with Ctrl-C.

    A shell's background jobs ignore SIGINT and hand that down: without the reset, a test suite
    that runs in one could never interrupt its scripts.
    """
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def alive_in_group(group: int) -> list[int]:
    """The processes of a group that still run; Linux alone can tell."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rsplit(")", 1)[1].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            alive.append(int(stat.parent.name))
    return alive


def write_sheet(path: Path, rows: list[list], sheet: str) -> Path:
    """An .xlsx file with one sheet."""
    book = openpyxl.Workbook()
    book.active.title = sheet
    for row in rows:
        book.active.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    return path


def write_frame(path: Path, label: int = 0, strength: float = 1.0, seed: int = 0) -> None:
    """A 40 x 40 picture with a blob whose place is the class."""
    rng = np.random.default_rng(seed)
    image = rng.normal(100, 8, (40, 40, 3))
    x, y = PLACES[label]
    rows, columns = np.mgrid[:40, :40]
    blob = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18)
    image[..., label] += 120 * strength * blob
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image.clip(0, 255).astype(np.uint8)[..., ::-1])


SMIC_HEADER = ["Subject", "Filename", None, "OnsetF", "OffsetF", "FirstF", "LastF", "Emotion"]


def make_smic(root: Path, subjects: int = 4, clips: int = 6) -> Path:
    """A corpus in SMIC's layout below root/SMIC; the path of its annotation."""
    rows = [SMIC_HEADER]
    for subject in range(1, subjects + 1):
        for number in range(clips):
            label = number % 3
            clip = f"s{subject:02d}_{EMOTIONS[label][:2]}_{number:02d}"
            first = 100 * subject + 7
            for step in range(5):
                strength = (0.1, 0.7, 1.0, 0.7, 0.1)[step]
                path = root / f"SMIC/HS/s{subject:02d}/{clip}/image{first + step:06d}.jpg"
                write_frame(path, label, strength, seed=1000 * subject + 10 * number + step)
            rows.append([subject, clip, None, first, first + 4, first, first + 4, EMOTIONS[label]])
    return write_sheet(root / "SMIC/SMIC-HS-E_annotation.xlsx", rows, "HS")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny corpus and, in index/, its index; read only."""
    root = tmp_path_factory.mktemp("tiny")
    annotation = make_smic(root)
    done = run(
        "prepare_data.py", "smic", "--root", root, "--annotation", annotation,
        "--out", root / "index",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return root


FAST = ("--preset", "demo", "--image-size", "97", "--epochs", "2", "--device", "cpu")


def write_views(folder: Path, label: int, names=None, side: int = 224) -> None:
    """Views that tell class and yaw: a bar as bright as the class, as far right as the yaw."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names or view_names()):
        image = np.full((side, side), 20, np.uint8)
        left = 20 + i * (side - 60) // 13
        image[60 + 30 * label : 100 + 30 * label, left : left + 30] = 240
        cv2.imwrite(str(folder / name), image)


@pytest.fixture(scope="session")
def root3d(tiny, tmp_path_factory):
    """Views of every frame of the tiny corpus."""
    root = tmp_path_factory.mktemp("views")
    claim_views(root, "anny")
    for name in ("smic_apex", "smic_four_frames"):
        for clip in read_index(tiny / f"index/{name}.csv", companion=True).to_dict("records"):
            write_views(view_folder(root, clip), clip["label"])
    return root


@pytest.fixture(scope="session")
def finder() -> FaceFinder:
    """Faces by dlib, which needs no download."""
    return load_face_finder("dlib")


BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; skips where it, or playwright, is not here."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install it")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no chromium: apt-get install chromium (.ci/run does)")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


CHANGED = "smic_02"  # the subject that `worlds` differ in


@pytest.fixture(scope="session")
def worlds(tmp_path_factory) -> tuple[Path, Path]:
    """A corpus of three subjects with views and motion maps; the same with CHANGED changed."""
    from synthetic.motion.domains import HELD_OUT
    from synthetic.motion.pairs import make_motion

    ours = tmp_path_factory.mktemp("world") / "ours"
    annotation = make_smic(ours, subjects=3, clips=3)
    done = call("prepare_data.py", "smic", "--root", ours, "--annotation", annotation,
                "--out", ours / "index")  # fmt: skip
    assert done.returncode == 0, done.stderr
    claim_views(ours / "views", "anny")
    for clip in read_index(ours / "index/smic_four_frames.csv", companion=True).to_dict("records"):
        write_views(view_folder(ours / "views", clip), clip["label"])
    index = pd.read_csv(ours / "index/smic_apex.csv", dtype=str)
    for number, clip in enumerate(read_index(ours / "index/smic_apex.csv").to_dict("records")):
        write_views(view_folder(ours / "views", clip), clip["label"])
        index.loc[number, "motion_path"] = f"maps/{number}.npy"
    (ours / "maps").mkdir()
    for number, one in enumerate(make_motion(len(index), 5, HELD_OUT).maps):
        np.save(ours / f"maps/{number}.npy", one)
    index.to_csv(ours / "index/smic_apex.csv", index=False)
    theirs = ours.with_name("theirs")
    shutil.copytree(ours, theirs)
    _change_subject(theirs)
    return ours, theirs


def _change_subject(root: Path) -> None:
    """Other pixels, views, maps and labels of CHANGED's clips."""
    index = pd.read_csv(root / "index/smic_apex.csv", dtype=str)
    for map_path in index["motion_path"][index["data_sub"] == CHANGED]:
        np.save(root / map_path, np.load(root / map_path)[:, ::-1, ::-1] * 3 + 1)
    subject = CHANGED.removeprefix("smic_")
    pictures = [
        *root.glob(f"SMIC/HS/s{subject}/*/*"),
        *root.glob(f"views/smic/*{subject}/**/*.jpg"),
    ]
    assert len(pictures) == 3 * 5 + 3 * 5 * 13
    for path in pictures:
        assert cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
    for name in ("smic_apex", "smic_four_frames"):
        table = pd.read_csv(root / f"index/{name}.csv", dtype=str)
        changed = table["data_sub"] == CHANGED
        other = (table["label"].astype(int) + 1) % 3
        table["label"] = table["label"].where(~changed, other.astype(str))
        table.to_csv(root / f"index/{name}.csv", index=False)


def classify(classifier, clip, views=None):
    """A clip's prediction, as predict.py makes it; `views` makes its views in anny's place."""
    from deca.clip_views import make_views
    from loso.predict import clip_batch, predict, read_clip

    cpu = torch.device("cpu")
    views = views or make_views(classifier.views_by, None, "cpu")
    readings = read_clip(classifier, clip, views, "clip")
    return predict(classifier, clip_batch(clip, readings, classifier.settings, cpu), cpu)
