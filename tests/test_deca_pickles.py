"""Asset pickles: the real formats are read, and nothing that a file names is run."""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch
from deca_assets import Ch, dump_python2
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from common.errors import UserError
from deca.flame.pickles import read_pickle, read_pickled_npy, to_array

NUMBERS = st.sampled_from(["<f8", "<f4", ">f8", "<i8", "<u4", "<i4", "|u1", "|b1"])


class Payload:
    """Writes a file when it is unpickled by an unpickler that trusts it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


class Eval(Payload):
    def __reduce__(self):
        return (eval, (f"open({str(self.target)!r}, 'w')",))


@settings(max_examples=60, deadline=None)
@given(
    array=NUMBERS.flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(max_side=4))),
    fortran=st.booleans(),
    wrapped=st.booleans(),
)
def test_python2_arrays_come_back_as_they_were(tmp_path_factory, array, fortran, wrapped):
    path = tmp_path_factory.getbasetemp() / "array.pkl"
    array = np.asfortranarray(array) if fortran else array
    dump_python2({"array": Ch(array) if wrapped else array}, path)
    back = to_array(read_pickle(path)["array"])
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("kind", ["csc_matrix", "csr_matrix", "csc_array", "csr_array"])
def test_sparse_matrices_of_any_protocol(tmp_path, protocol, kind):
    dense = np.random.default_rng(0).normal(size=(5, 9)) * (np.arange(9) % 2)
    path = tmp_path / "sparse.pkl"
    path.write_bytes(pickle.dumps({"J": getattr(scipy.sparse, kind)(dense)}, protocol))
    np.testing.assert_array_equal(to_array(read_pickle(path)["J"]), dense)


def test_sparse_matrix_in_python2(tmp_path):
    dense = np.eye(5, 9)
    dump_python2({"J": scipy.sparse.csc_matrix(dense)}, tmp_path / "sparse.pkl")
    np.testing.assert_array_equal(to_array(read_pickle(tmp_path / "sparse.pkl")["J"]), dense)


def test_sparse_indices_out_of_range_are_no_array(tmp_path):
    matrix = scipy.sparse.csc_matrix(np.eye(5))
    matrix.indices[2] = 10**6
    (tmp_path / "sparse.pkl").write_bytes(pickle.dumps({"J": matrix}))
    with pytest.raises(ValueError):
        to_array(read_pickle(tmp_path / "sparse.pkl")["J"])


@pytest.mark.parametrize("kind", [torch.int64, torch.float64, torch.float32])
def test_tensors_inside_an_npy(tmp_path, kind):
    tensor = torch.arange(24).reshape(4, 6).to(kind)
    content = {"whole": tensor, "part": tensor.T[1:5, ::2], "plain": np.arange(3)}
    np.save(tmp_path / "dict.npy", content, allow_pickle=True)
    back = read_pickled_npy(tmp_path / "dict.npy")
    np.testing.assert_array_equal(to_array(back["whole"]), tensor.numpy())
    np.testing.assert_array_equal(to_array(back["part"]), content["part"].numpy())
    np.testing.assert_array_equal(to_array(back["plain"]), np.arange(3))


@pytest.mark.parametrize("payload", [Payload, Eval])
def test_a_pickle_that_runs_code_is_refused_by_name(tmp_path, payload):
    target = tmp_path / "ran"
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps({"v_template": payload(target)}))
    with pytest.raises(UserError, match=r"bad\.pkl: refused, not read: it names \w+\.\w+"):
        read_pickle(tmp_path / "bad.pkl")
    assert not target.exists()
    pickle.loads((tmp_path / "bad.pkl").read_bytes())  # the payload is real
    assert target.exists()


def test_code_hidden_in_an_object_array(tmp_path):
    target = tmp_path / "ran"
    content = OrderedDict(hidden=np.array([1, Eval(target)], object))
    np.save(tmp_path / "bad.npy", content, allow_pickle=True)
    with pytest.raises(UserError, match=r"it names builtins\.eval"):
        read_pickled_npy(tmp_path / "bad.npy")
    assert not target.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_hidden_in_a_tensors_storage(tmp_path):
    """torch.storage._load_from_bytes unpickles in its turn."""
    target = tmp_path / "ran"

    class Storage:
        def __reduce__(self):
            return (torch.storage._load_from_bytes, (pickle.dumps(Eval(target)),))

    (tmp_path / "bad.pkl").write_bytes(pickle.dumps({"faces": Storage()}))
    with pytest.raises(UserError, match="damaged or cut off"):
        read_pickle(tmp_path / "bad.pkl")
    assert not target.exists()


@pytest.mark.filterwarnings("ignore:TypedStorage")
def test_a_tensor_may_not_reach_beyond_its_storage(tmp_path):
    class Tensor:
        def __reduce__(self):
            storage = torch.arange(3.0).storage()
            return (torch._utils._rebuild_tensor_v2, (storage, 0, (999,), (1,), False, {}))

    (tmp_path / "bad.pkl").write_bytes(pickle.dumps({"faces": Tensor()}))
    with pytest.raises(UserError, match="damaged"):
        read_pickle(tmp_path / "bad.pkl")


class Select:
    """What chumpy's class looks like in a pickle."""

    def __init__(self, a: object, idxs: object, shape: tuple | None = None) -> None:
        self.a, self.idxs = a, idxs
        if shape is not None:
            self.preferred_shape = shape


Select.__module__ = "chumpy.reordering"


def test_a_selection_of_chumpys(tmp_path):
    array = np.arange(12.0).reshape(3, 4)
    content = {
        "shaped": Select(Ch(array), np.array([0, 5, 11, 2]), (2, 2)),
        "flat": Select(Select(Ch(array), np.array([3, 4])), Ch(np.array([1, 0]))),
        "beyond": Select(Ch(array), np.array([12])),
        "no index": Select(Ch(array), np.array([0.5])),
        "nothing": Select(Ch(array), None),
        "unread": 1,
    }
    dump_python2(content, tmp_path / "a.pkl")
    read = read_pickle(tmp_path / "a.pkl")
    np.testing.assert_array_equal(to_array(read["shaped"]), [[0, 5], [11, 2]])
    np.testing.assert_array_equal(to_array(read["flat"]), [4, 3])
    read["endless"] = read["flat"]
    read["endless"].a = read["endless"]
    for name in ("beyond", "no index", "nothing", "endless"):
        with pytest.raises(ValueError):
            to_array(read[name])


SCALARS = {
    "float": np.float64(0.5), "half": np.float16(2), "int": np.int32(3), "bool": np.bool_(True),
    "text": np.str_("neutral"), "nothing": np.str_(""), "bytes": np.bytes_(b"x"),
    "complex": np.complex128(1j), "plain": 1j, "no array": np.empty(0), "frozen": frozenset((1, 2)),
}  # fmt: skip


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", SCALARS)
def test_a_scalar_in_a_key_that_nobody_reads(tmp_path, kind, protocol):
    content = {"v_template": np.arange(6.0).reshape(2, 3), "version": SCALARS[kind]}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol))
    np.testing.assert_array_equal(
        to_array(read_pickle(tmp_path / "a.pkl")["v_template"]), content["v_template"]
    )
    np.save(tmp_path / "a.npy", content, allow_pickle=True)
    assert read_pickled_npy(tmp_path / "a.npy").keys() == content.keys()


def test_a_scalar_of_python2(tmp_path):
    dump_python2({"a": np.arange(3.0), "n": np.float64(7.5)}, tmp_path / "a.pkl")
    assert read_pickle(tmp_path / "a.pkl")["n"] == 7.5


def test_a_scalar_that_hides_an_object_is_refused(tmp_path):
    class Scalar:
        def __reduce__(self):
            return (np._core.multiarray.scalar, (np.dtype("O"), Eval(tmp_path / "ran")))

    (tmp_path / "bad.pkl").write_bytes(pickle.dumps({"a": Scalar()}))
    with pytest.raises(UserError, match=r"refused, not read|damaged"):
        read_pickle(tmp_path / "bad.pkl")
    assert not (tmp_path / "ran").exists()


def zip_of(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("generic_model.pkl", b"inside")


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda path: path.write_bytes(b""), "it is empty"),
        (lambda path: path.write_text("<html><body>Sign in"), "it is a web page"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"), "git-lfs"),
        (zip_of, "it is a zip archive and no pickle; unpack it"),
        (lambda path: torch.save({"a": torch.zeros(2)}, path), "it is a zip archive and no pickle"),
        (lambda path: path.write_bytes(b"(dp0\nVa\n" + b"Ppersistent\n."), "damaged"),
    ],
)
def test_another_file_of_that_name_is_one_line(tmp_path, make, fault):
    make(tmp_path / "generic_model.pkl")
    with pytest.raises(UserError, match=fault) as caught:
        read_pickle(tmp_path / "generic_model.pkl")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_cut_off_files(tmp_path, share):
    dump_python2({"a": np.arange(1000.0)}, tmp_path / "a.pkl")
    np.save(tmp_path / "a.npy", {"a": np.arange(1000.0)}, allow_pickle=True)
    for path, read in ((tmp_path / "a.pkl", read_pickle), (tmp_path / "a.npy", read_pickled_npy)):
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(UserError, match="damaged") as caught:
            read(path)
        assert "\n" not in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_noise_is_an_error_and_nothing_else(tmp_path_factory, noise):
    path = tmp_path_factory.getbasetemp() / "noise"
    for head, read in ((b"", read_pickle), (b"\x93NUMPY\x01\x00", read_pickled_npy)):
        path.write_bytes(head + noise)
        with pytest.raises(UserError):
            read(path)


def test_not_a_dict(tmp_path):
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    np.save(tmp_path / "array.npy", np.arange(3))
    with pytest.raises(UserError, match="no dict"):
        read_pickle(tmp_path / "list.pkl")
    with pytest.raises(UserError, match="not a dict"):
        read_pickled_npy(tmp_path / "array.npy")
    with pytest.raises(UserError, match="No such file"):
        read_pickle(tmp_path / "nothing.pkl")
