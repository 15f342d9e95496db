"""Action units as coders write them: every spelling that public tables have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.corpora.units import CD6ME, Unit, parse_units, shown_units, spell_units


@pytest.mark.parametrize(
    ("written", "units"),
    [
        ("4+7", "4+7"), ("L12", "L12"), ("R12A", "R12A"), ("T23", "T23"), ("T28+14", "T28+14"),
        ("12 or 14", "12?+14?"), ("4D+7B", "4D+7B"), ("ref(10)", "10?"), ("?", ""), ("（，)", ""),
        ("AU4+AU7", "4+7"), ("AU1, AU2", "1+2"), ("4，7", "4+7"), ("4(k)+7", "4?+7"),
        ("1 2 4", "1+2+4"), (12.0, "12"), (4, "4"), ("left 12", "L12"), ("4+5or7", "4+5?+7?"),
        ("14(L)+7", "L14+7"), ("R12 or R15", "R12?+R15?"), ("4+7+", "4+7"), (None, ""), ("NaN", ""),
        ("5 or L7+4", "5?+L7?+4"), ("4; 7", "4+7"), ("U10", "T10"), ("4B, 7C", "4B+7C"),
        ("4+4", "4"), ("AU12?", "12?"), ("0", ""), ("12/14", "12?+14?"),
    ],
)  # fmt: skip
def test_every_spelling_is_read(written, units):
    assert spell_units(parse_units(written)) == units


@pytest.mark.parametrize("text", ["smile", "4+x", "brows 4"])
def test_what_is_no_notation_is_refused(text):
    with pytest.raises(ValueError, match="no list of action units"):
        parse_units(text)


def test_doubtful_units_are_not_counted():
    assert dict(zip(CD6ME, shown_units("4+L7A+12?+ref(9)")))[4] == 1
    assert sum(shown_units("4+L7A+12?")) == 2
    assert shown_units("") == [0] * len(CD6ME) == [0] * 12


units = st.builds(
    Unit,
    st.integers(1, 64),
    st.sampled_from(["", "L", "R", "T", "B"]),
    st.sampled_from(["", *"ABCDE"]),
    st.booleans(),
)


@given(st.lists(units, unique=True, max_size=6))
def test_the_one_spelling_is_read_as_it_was_written(several):
    assert list(parse_units(spell_units(several))) == several
