"""How each further corpus lays its clips and its table out, traps included."""

from collections.abc import Callable
from dataclasses import dataclass

Rows = list[list[object]]
Tables = dict[str, dict[str, Rows]]  # file -> sheet -> rows


@dataclass(frozen=True)
class Take:
    """One drawn expression in a corpus: whose, which, and its frames' numbers there.

    subject: a number from 1; clip: a number from 0 of the subject's; video: which of the subject's
    videos it is in, where several lie in one; number: the how many-th of that. first to last: the
    frames that there are. emotion: of the demo set's; units: FACS notation.
    """

    subject: int
    clip: int
    video: int
    number: int
    first: int
    onset: int
    apex: int
    offset: int
    last: int
    emotion: str
    units: str


@dataclass(frozen=True)
class Layout:
    """A corpus's pictures: size, first frame number, and where frame `n` of a take lies.

    a_video: how many expressions lie in one video, one behind the other.
    """

    size: tuple[int, int]  # width, height
    path: Callable[[Take, int], str]
    tables: Callable[[list[Take]], Tables]
    first: int = 1
    a_video: int = 1


_SEVEN = {"happiness": "happiness", "surprise": "surprise", "disgust": "disgust",
          "repression": "sadness", "others": "others"}  # fmt: skip
_THREE = {"happiness": "positive", "surprise": "surprise", "disgust": "negative",
          "repression": "negative", "others": "others"}  # fmt: skip


def _smic(camera: str) -> Layout:
    def name(take: Take) -> str:
        return f"s{take.subject}_{_THREE[take.emotion][:2]}_{take.clip + 1:02d}"

    def path(take: Take, n: int) -> str:
        emotion = _THREE[take.emotion]
        return f"SMIC/{camera}/s{take.subject}/micro/{emotion}/{name(take)}/image{n:06d}.bmp"

    def tables(takes: list[Take]) -> Tables:
        rows: Rows = [["Subject", "Filename", None, "OnsetF", "OffsetF", "FirstF", "LastF",
                       "Emotion"]]  # fmt: skip
        rows += [
            [t.subject, name(t), None, t.onset, t.offset, t.first, t.last, _THREE[t.emotion]]
            for t in takes if t.emotion != "others"
        ]  # fmt: skip
        return {f"SMIC/SMIC-{camera}-E_annotation.xlsx": {camera: rows}}

    return Layout((80, 96), path, tables, first=4010)


def _casme_tables(takes: list[Take]) -> Tables:
    rows: Rows = [["Subject", "Filename", None, "OnsetF", "ApexF1", "ApexF2", "OffsetF", None,
                   "AU", "Emotion"]]  # fmt: skip
    words = _SEVEN | {"others": "tense", "repression": "repression"}
    rows += [
        [t.subject, f"EP01_{t.video + 1:02d}", None, t.onset, t.apex, None, t.offset, None,
         t.units.replace("+", "，", 1), words[t.emotion]]
        for t in takes
    ]  # fmt: skip
    return {"CASME/CASME_coding.xlsx": {"Sheet1": rows}}


_VIDEOS = ("disgustingteeth", "happyness1")


def _casme_sq_tables(takes: list[Take]) -> Tables:
    rows: Rows = []
    for i, t in enumerate(takes):
        video = f"{_VIDEOS[t.video]}_{t.number + 1}"
        offset = 0 if i % 4 == 1 else t.offset
        rows.append([t.subject, video, t.onset, t.apex, offset, t.units, _THREE[t.emotion].title(),
                     "micro-expression", "fear"])  # fmt: skip
        if t.number == 0:
            rows.append([t.subject, video, t.offset, t.offset, t.last, "12", "positive",
                         "macro-expression", "joy"])  # fmt: skip
    subjects = sorted({t.subject for t in takes})
    numbers: Rows = [[subject + 14, f"s{subject + 14}", subject] for subject in subjects]
    codes: Rows = [[f"0{i}01", video] for i, video in enumerate(_VIDEOS, 1)]
    sheets = {"CASFEcode_final": rows, "naming rule2": numbers, "naming rule1": codes}
    return {"CASME_sq/CAS(ME)^2code_final.xlsx": sheets}


def _casme3_tables(takes: list[Take]) -> Tables:
    header = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion"]
    words = _SEVEN | {"happiness": "happy", "repression": "sad"}
    classes = {"happiness": "I", "surprise": "II", "disgust": "IV", "repression": "V",
               "others": "VII"}  # fmt: skip
    rows: Rows = [header]  # type: ignore[list-item]
    rows += [
        [f"spNO.{t.subject}", "aJ"[t.video], t.onset, t.apex, t.offset, t.units,
         classes[t.emotion], words[t.emotion].title() if t.emotion == "others" else
         words[t.emotion]]
        for t in takes
    ]  # fmt: skip
    return {"CASME3/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx": {"label": rows}}


def _casme3_c_tables(takes: list[Take]) -> Tables:
    rows: Rows = [["sub", "count", "onset", "offset", "au", "emotion"]]
    rows += [
        [t.subject, t.clip + 1, t.onset, t.offset, t.units.replace("+", "，"), _THREE[t.emotion]]
        for t in takes
    ]
    return {"CASME3/CAS(ME)3_part_C_ME.xlsx": {"Sheet1": rows}}


def _mmew_name(take: Take) -> str:
    return f"S{take.subject:02d}-{take.clip + 1:03d}"


def _mmew_tables(takes: list[Take]) -> Tables:
    rows: Rows = [["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units",
                   "Estimated Emotion", "remarks"]]  # fmt: skip
    rows += [
        [f"S{t.subject:02d}", _mmew_name(t), t.onset, t.apex, t.offset, t.units,
         _SEVEN[t.emotion], None]
        for t in takes
    ]  # fmt: skip
    return {"MMEW/MMEW_Micro_Exp.xlsx": {"Sheet1": rows}}


def _fourdme_tables(takes: list[Take]) -> Tables:
    marks = ("Positive", "Negative", "Surprise", "Repression", "Others")
    rows: Rows = [["sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs", *marks]]
    for t in takes:
        shown = "repression" if t.emotion == "repression" else _THREE[t.emotion]
        ones: list[object] = [int(mark.lower() == shown) for mark in marks]
        if t.clip == 3:
            ones[0] = 1  # two at once
        rows.append([f"sub{t.subject:02d}", f"m{t.clip + 1}", shown, t.onset, t.apex, t.offset,
                     f"{t.units}(k)", *ones])  # fmt: skip
    return {"4DME/4DME_Labelling_Micro_release v1.xlsx": {"Sheet1": rows}}


def _dfme_name(take: Take) -> str:
    return f"{take.subject}_{'eik'[take.clip % 3]}_{take.clip}"


def _dfme_tables(takes: list[Take]) -> Tables:
    header = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion",
              "EmotionId", "Fps", "AU"]  # fmt: skip
    words = _SEVEN | {"others": "contempt"}
    others = words | {"disgust": "fear", "repression": "anger"}  # of every other subject
    ids = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
    last = max(t.subject for t in takes)
    tables: Tables = {}
    for name, chosen in (
        ("training_full_with_AU", [t for t in takes if t.subject != last]),
        ("testA_full_with_AU", [t for t in takes if t.subject == last]),
    ):
        rows: Rows = [header]  # type: ignore[list-item]
        for t in chosen:
            word = (words, others)[t.subject % 2][t.emotion]
            rows.append([t.subject, _dfme_name(t), t.onset, t.apex, t.offset, word,
                         ids.index(word), (500, 300, 200)[t.clip % 3], t.units])  # fmt: skip
        tables[f"DFME/{name}.xlsx"] = {"Sheet1": rows}
    return tables


LAYOUTS = {
    "smic_vis": _smic("VIS"),
    "smic_nir": _smic("NIR"),
    "casme": Layout(
        (80, 80), lambda t, n: f"CASME/CASME_raw_selected/sub{t.subject:02d}/EP01_{t.video + 1:02d}"
        f"/EP01_{t.video + 1:02d}-{n}.jpg", _casme_tables, a_video=2,
    ),
    "casme_sq": Layout(
        (160, 120), lambda t, n: f"CASME_sq/rawpic/s{t.subject + 14}/{t.subject + 14}_0"
        f"{t.video + 1}01{_VIDEOS[t.video]}/img{n}.jpg", _casme_sq_tables, a_video=2,
    ),
    "casme3": Layout(
        (160, 90), lambda t, n: f"CASME3/part_A/spNO.{t.subject}/{'aj'[t.video]}/color/{n}.jpg",
        _casme3_tables, a_video=2,
    ),
    "casme3_c": Layout(
        (160, 90), lambda t, n: f"CASME3/part_C/spNO.{t.subject}/{t.clip + 1}/color/{n}.jpg",
        _casme3_c_tables,
    ),
    "mmew": Layout(
        (192, 108), lambda t, n: f"MMEW/Micro_Expression/{_SEVEN[t.emotion]}/{_mmew_name(t)}/"
        f"{n}.jpg", _mmew_tables,
    ),
    "fourdme": Layout(
        (96, 128), lambda t, n: f"4DME/4DMicro/gray_micro/sub{t.subject:02d}/m{t.clip + 1}/"
        f"{n:04d}.jpg", _fourdme_tables,
    ),
    "dfme": Layout(
        (102, 76), lambda t, n: f"DFME/USTC_MEv4_partA_sub0001_sub0015/{_dfme_name(t)}/{n:05d}.png",
        _dfme_tables, first=0,
    ),
}  # fmt: skip
