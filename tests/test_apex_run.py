"""smic_processing.py from its command line, and what spot_clips promises."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from apex_clips import write_spotted
from conftest import ROOT, alive_in_group, start

import smic_processing
from common.cli import run_script
from data.apex import batch as apex_run
from data.apex.spotting import ApexSettings
from data.corpora.annotation import read_annotation
from data.corpora.known import CORPORA
from data.disk.frames import ClipFolders
from data.index import read_index

CLIPS = [(1, 0, 5), (1, 1, 7), (2, 2, 9), (2, 3, 6), (11, 4, 8), (11, 5, 10)]


@pytest.fixture(scope="module")
def smic(tmp_path_factory) -> Path:
    """A root with six clips; its annotation is SMIC-HS-E_annotation.xlsx."""
    root = tmp_path_factory.mktemp("smic")
    write_spotted(root, CLIPS)
    return root


def arguments(root: Path, out: Path, *more: str) -> list[str]:
    annotation = root / "SMIC-HS-E_annotation.xlsx"
    named = {"--root": root, "--annotation": annotation, "--out": out / "smic_apex.csv"}
    flags = [str(part) for pair in named.items() for part in pair]
    return [*flags, "--plots", str(out / "plots"), *more]


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        run_script(smic_processing.main, arguments)
    return end.value.code


def test_from_annotation_to_index_four_frames_and_plots(smic, tmp_path):
    command = [sys.executable, "smic_processing.py", *arguments(smic, tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "6 of 6 clips have an apex" in done.stdout
    index = read_index(tmp_path / "smic_apex.csv")
    truth = [100 + apex for _, _, apex in CLIPS]
    assert (index["apex_frame"] - truth).abs().mean() <= 1
    assert index["subject"].tolist() == ["01", "01", "02", "02", "11", "11"]
    assert index["data_sub"].iloc[-1] == "smic_11" and set(index["apex_source"]) == {"spotted"}
    apex = index["apex_frame"].iloc[0]
    assert index["apex_frame_path"].iloc[0] == f"HS/s1/s1_ne_00/image{apex}.png"
    four = pd.read_csv(tmp_path / "smic_four_frames.csv")
    assert four["apex_frame"].head(4).tolist() == [apex - 2, apex - 1, apex + 1, apex + 2]
    plots = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert len(plots) == 6 and plots[0] == "smic_01_s1_ne_00.png"
    assert not (tmp_path / ".smic_apex").exists()


def test_the_number_of_workers_does_not_show(smic, tmp_path):
    for workers in "13":
        assert run(arguments(smic, tmp_path / workers, "--workers", workers)) == 0
    for name in ("smic_apex.csv", "smic_four_frames.csv", "plots/smic_11_s11_ne_05.png"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


@pytest.fixture
def many(smic, tmp_path) -> Path:
    """A root with the six clips under 24 names, long enough a run to be stopped midway."""
    root = tmp_path / "many"
    clips = pd.read_excel(smic / "SMIC-HS-E_annotation.xlsx", sheet_name="HS")
    tables = []
    for again in range(4):
        names = clips["Filename"] + f"_{again}"
        for subject, clip, name in zip(clips["Subject"], clips["Filename"], names, strict=True):
            link = root / f"s{subject}" / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(smic / "HS" / f"s{subject}" / clip)
        tables.append(clips.assign(Filename=names))
    table = pd.concat(tables)
    table.to_excel(root / "SMIC-HS-E_annotation.xlsx", sheet_name="HS", index=False)
    return root


def test_an_interrupted_run_goes_on_where_it_stopped(many, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    slow = "--landmarks-every", "1"  # so that the signal comes long before the last clip
    assert run(arguments(many, whole, "--workers", "1", *slow)) == 0
    options = arguments(many, cut, "--workers", "2", *slow)
    command = [sys.executable, "smic_processing.py", *options]
    process = start(command)
    kept = cut / ".smic_apex"
    while not list(kept.glob("smic_*.json")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and "the same command goes on from there" in errors
    assert "Traceback" not in errors
    records = sorted(kept.glob("smic_*.json"))
    assert 1 <= len(records) < 24 and not (cut / "smic_apex.csv").exists()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"going on after {len(records)} clips found before, {24 - len(records)}" in again.stderr
    for name in ("smic_apex.csv", "smic_four_frames.csv"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes()
    assert len(list((cut / "plots").iterdir())) == 24 and not kept.exists()


def spot(smic: Path, keep: Path, settings: ApexSettings) -> pd.DataFrame:
    clips = read_annotation(CORPORA["smic"], smic / "SMIC-HS-E_annotation.xlsx").clips
    return apex_run.spot_clips(clips, ClipFolders(smic), settings, keep=keep).clips


def test_kept_results_are_used_and_those_of_other_settings_are_not(smic, tmp_path, capsys):
    keep = tmp_path / ".smic_apex"
    pattern = ApexSettings("dlib")
    first = spot(smic, keep, pattern)
    record = keep / "smic_01_s1_ne_00.json"
    record.write_text(json.dumps({"onset": 100, "offset": 114, "apex": 103, "begins": 101}))
    assert spot(smic, keep, pattern)["apex_frame"].iloc[0] == 103
    assert "going on after 6 clips found before, 0 to go" in capsys.readouterr().err
    record.write_text(
        json.dumps({"onset": 99, "offset": 114, "apex": 103, "begins": 101})
    )  # another annotation
    assert spot(smic, keep, pattern)["apex_frame"].equals(first["apex_frame"])
    spot(smic, keep, ApexSettings("dlib", method="cells"))
    errors = capsys.readouterr().err
    assert "had method pattern, this one cells: starting anew" in errors
    assert errors.count("going on") == 1


def break_two_clips(root: Path) -> None:
    for image in (root / "HS" / "s2" / "s2_ne_02").iterdir():
        image.unlink()
    path = root / "HS" / "s11" / "s11_ne_05" / "image103.png"
    path.write_bytes(path.read_bytes()[:100])


def test_failed_clips_are_named_and_the_others_go_on(tmp_path, capsys):
    write_spotted(tmp_path, CLIPS)
    break_two_clips(tmp_path)
    assert run(arguments(tmp_path, tmp_path / "out", "--workers", "1")) == 0
    output = capsys.readouterr()
    assert "4 of 6 clips have an apex" in output.out
    middle = output.err[output.err.index("1 clips have their middle frame instead:") :].splitlines()
    assert middle[1].strip().startswith("smic_11 s11_ne_05: ") and "image103.png" in middle[1]
    assert middle[2] == "skipped 1 clips:"
    assert middle[3].strip().startswith("smic_02 s2_ne_02: no folder s")
    index = read_index(tmp_path / "out" / "smic_apex.csv")
    assert index["apex_source"].tolist() == [*["spotted"] * 4, "middle"]
    assert index["apex_frame"].iloc[-1] == 107
    assert run(arguments(tmp_path, tmp_path / "out", "--workers", "2", "--strict")) == 1


def test_no_clip_at_all_writes_nothing(smic, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    flags = arguments(smic, tmp_path / "out")
    flags[1] = str(tmp_path / "empty")
    assert run(flags) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: none of 6 clips has an apex; the first: smic_01 s1_ne_00: no")
    assert not (tmp_path / "out" / "smic_apex.csv").exists()


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--root", "absent", "absent: no such folder"),
        ("--annotation", "absent.xlsx", "absent.xlsx: no such file"),
        ("--out", "smic.csv", "its name has to end in _apex.csv"),
        ("--landmarks-every", "-2", "--landmarks-every -2: a number of frames, or 0"),
    ],
)
def test_wrong_arguments_get_one_line(smic, tmp_path, capsys, flag, value, message):
    flags = arguments(smic, tmp_path, "--landmarks-every", "0")
    flags[flags.index(flag) + 1] = value if flag == "--landmarks-every" else str(tmp_path / value)
    assert run(flags) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[-1].startswith("error: ") and message in errors[-1]


def test_fan_without_weights_is_one_line_with_workers_too(smic, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody answers there
    for workers in "12":
        assert run(arguments(smic, tmp_path, "--landmarks", "fan", "--workers", workers)) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith("error: FAN's weights cannot")


def test_a_worker_that_dies_is_one_line(smic, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(apex_run, "_start_worker", _die)
    assert run(arguments(smic, tmp_path, "--workers", "2")) == 2
    assert "error: a worker process died" in capsys.readouterr().err


def _die(settings: ApexSettings) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_neither_root_nor_clip(capsys):
    assert run([]) == 2
    assert (
        "give --root, and --annotation or SMIC's cropped release; or --clip"
        in capsys.readouterr().err
    )


def test_onset_after_offset_in_the_annotation(smic, tmp_path, capsys):
    annotation = tmp_path / "SMIC-HS-E_annotation.xlsx"
    table = pd.read_excel(smic / annotation.name, sheet_name="HS")
    table.loc[3, "OnsetF"] = 130
    table.to_excel(annotation, sheet_name="HS", index=False)
    flags = arguments(smic, tmp_path)
    flags[3] = str(annotation)
    assert run([*flags, "--strict"]) == 2
    assert "row 5: onset 130 comes after offset 114" in capsys.readouterr().err
    assert run(flags) == 0
    said = capsys.readouterr()
    assert "skipped row 5 (smic_02 s2_ne_03): onset 130 comes after offset 114" in said.err
    assert "5 of 5 clips have an apex" in said.out and "1 of 6 rows of" in said.out


def test_one_clip(smic, tmp_path, capsys):
    folder = smic / "HS" / "s2" / "s2_ne_02"
    assert run(["--clip", str(folder), "--plots", str(tmp_path)]) == 0
    printed = re.search(r"s2_ne_02: apex (\d+), of frames 100 to 114", capsys.readouterr().out)
    assert abs(int(printed[1]) - 109) <= 1
    assert (tmp_path / "s2_ne_02.png").is_file()
    assert run(["--clip", str(tmp_path / "absent")]) == 2


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_workers_end_when_the_run_is_killed(many, tmp_path):
    command = [sys.executable, "smic_processing.py", *arguments(many, tmp_path, "--workers", "2")]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    while not list(tmp_path.glob(".smic_apex/smic_*.json")):
        time.sleep(0.005)
    process.kill()
    process.wait()
    ends = time.monotonic() + 10
    while alive := alive_in_group(process.pid):
        assert time.monotonic() < ends, alive
        time.sleep(0.05)
