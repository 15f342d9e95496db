"""CUDA without a card: where tensors lie, what the host waits for, and the same records.

What needs a card: arithmetic in CUDA's kernels (the losses of a real one differ in the last bits),
memory, streams and graphs, PyTorch3D's kernels, Ray's share of a GPU, FAN's and DECA's networks.
`python -m benchmarks.gpu` runs the first of them.
"""

import pytest
import torch
from pretend_card import MisplacedError, PretendCard
from torch.optim import Adam

from benchmarks.gpu.inputs import made_clips
from data import transforms
from loso import batches
from loso.fold_job import load_job
from loso.folds import make_folds
from loso.settings import Settings
from models.registry import NETWORKS, Plan, make_network

CPU = torch.device("cpu")


def plan(**changes):
    """Settings of a tiny experiment."""
    plain = {
        "trunk": "efficientnet_lite0", "image_size": 97, "epochs": 1, "batch_size": 4,
        "precision": "float32", "augment": "full", "balance": "frames",
    }  # fmt: skip
    return Settings(**plain | changes)


def run(settings, device):
    """The first fold's records and network, from its runner on a device."""
    clips = made_clips(settings, subjects=2, clips=3, frames=2)
    (fold, _) = make_folds(clips.index, settings.classes)
    return load_job(settings, clips, device).runner.run(fold, lambda record: None)


@pytest.fixture
def whole_batches(monkeypatch):
    """Batches augmented in one pass on the CPU, too: image by image the last bits differ."""

    def augment(pictures, sample, size, layout, views=None):
        return transforms.augment_at_once(pictures, sample, size, views)

    monkeypatch.setattr(batches, "augment", augment)


@pytest.mark.parametrize(
    "changes",
    [
        {"streams": "2d", "augment": "crop", "task": "au"},
        {"streams": "3d", "views": 14},
        {"streams": "dual", "precision": "bf16"},
        {"streams": "2d+motion", "fusion": "sum", "warm_epochs": 1},
        {"streams": "3d+motion", "views_show": "motion"},
        {"streams": "dual+motion", "fusion": "concat", "stream_loss": 0.5, "task": "au"},
        {"streams": "dual", "freeze": "trunk", "augment": "flip"},  # features are kept
        {"trunk": "resnet18", "image_size": 49, "weights": "none", "freeze": "early"},
        {"network": "baseline", "task": "au"},
        {"streams": "motion", "motion_net": "lean"},
    ],
    ids=str,
)
def test_a_fold_on_a_card_leaves_the_same_record(changes, whole_batches):
    settings = plan(**changes)
    expected, _ = run(settings, CPU)
    with PretendCard() as card:
        records, network = run(settings, card.device)
        placed = [*network.parameters(), *network.buffers()]
        assert {card.has(tensor) for tensor in placed} == {settings.streams != "motion"}
    if settings.precision == "float32":
        assert records == expected
    else:  # the CPU keeps depthwise convolutions in float32
        assert records[0]["train_loss"] == pytest.approx(expected[0]["train_loss"], rel=0.05)


def test_a_stack_of_folds_on_a_card_leaves_the_same_records():
    """The host waits once an epoch for all losses of training, twice for each held-out subject."""
    settings = plan(streams="dual", freeze="trunk", augment="flip", stack=2)
    clips = made_clips(settings, subjects=3, clips=3, frames=2)
    folds = make_folds(clips.index, settings.classes)

    def records(device):
        runner = load_job(settings, clips, device).runner
        before = card.syncs.total()
        done = runner.run_stacked(folds, lambda name, record: None)
        return [found for found, _ in done], card.syncs.total() - before

    with PretendCard() as card:
        expected, _ = records(CPU)
        assert records(card.device) == (expected, 1 + 2 * len(folds))


def test_what_is_left_on_the_cpu_is_found():
    with PretendCard() as card:
        there, here = torch.ones(2, device=card.device), torch.ones(2)
        assert there.device == card.device and there.is_cuda and not here.is_cuda
        with pytest.raises(MisplacedError, match=r"aten.add.Tensor: \(2,\), \(2,\) \(CPU\)"):
            there + here
        with pytest.raises(TypeError, match="cuda:0"):
            there.numpy()
        assert (there + torch.tensor(1)).cpu().tolist() == [2, 2]  # as CUDA has it
        assert card.syncs == {"to the host": 1}


MOTION = [name for name, entry in NETWORKS.items() if entry.streams == ("motion",)]


@pytest.mark.parametrize("name", [*MOTION, "vgg11"])
@pytest.mark.parametrize("several", [False, True])
def test_a_step_of_every_further_network_on_a_card(name, several):
    """Folds of motion are trained on the CPU; prediction and heat maps may put them elsewhere."""
    torch.manual_seed(0)
    plan = Plan("motion", classes=12) if name in MOTION else Plan(trunk=name, image_size=56)
    network = make_network("capsule" if name == "vgg11" else name, plan)
    with PretendCard() as card:
        network.to(card.device)
        inputs = torch.rand(2, 3, *(28, 28) if name in MOTION else (56, 56)).to(card.device)
        labels = torch.tensor([0, 2])
        if several:
            labels = torch.eye(plan.classes)[labels]
        loss = network.loss(output := network(inputs), labels.to(card.device))
        scores = network.scores(output)
        trained = [p for p in network.parameters() if loss.requires_grad]
        if trained:
            loss.backward()
            Adam(trained, fused=True).step()
        placed = [loss, scores, *(p.grad for p in trained if p.grad is not None)]
        assert all(map(card.has, placed))
        assert scores.shape == (2, plan.classes) and scores.dtype == torch.float32
        assert not card.syncs


def test_float16_and_its_scaled_gradients_on_a_card(monkeypatch):
    """The way of cards without bf16."""
    with PretendCard() as card:
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
        settings = plan(precision="auto", streams="2d", augment="flip")
        (record,), _ = run(settings, card.device)
        assert "aten._amp_foreach_non_finite_check_and_unscale_.default" in card.used
    exact, _ = run(plan(augment="flip"), CPU)
    assert record["train_loss"] == pytest.approx(exact[0]["train_loss"], rel=0.05)


@pytest.mark.parametrize("changes", [{}, {"freeze": "trunk", "augment": "flip"}], ids=str)
def test_the_host_waits_for_a_card_three_times_an_epoch(changes):
    """For the loss of training, and the loss and scores of the held-out subject."""
    seen = []
    for epochs in (1, 2):
        with PretendCard() as card:
            run(plan(streams="2d+motion", epochs=epochs, **changes), card.device)
        seen.append((card.syncs.total(), len(card.copies)))
    (syncs, copies), (more_syncs, more_copies) = seen
    assert (more_syncs - syncs, more_copies - copies) == (3, 0)


def test_the_rasteriser_s_interface_on_a_card(monkeypatch):
    """PyTorch3D's kernel is the CPU's here; what lies around it keeps to the card."""
    from pytorch3d.renderer import mesh

    from benchmarks.gpu.folds import sphere
    from deca.flame.model import rotation_matrices
    from deca.rasterizer import rasterize

    vertices, faces = sphere(8)
    turns = rotation_matrices(torch.tensor([[0.0, 0.3, 0.0], [0.0, -0.3, 0.0]]))
    shift = torch.tensor([0.1, 0.0, 0.2])
    expected = rasterize(vertices, faces, 24, turns, shift)  # Embree
    with PretendCard() as card:
        kernel = mesh.rasterize_meshes

        def on_cpu(*what, **how):
            return card.put(kernel(*what, **how, bin_size=0))  # the CPU's, which has no bins

        monkeypatch.setattr(mesh, "rasterize_meshes", on_cpu)
        there = [tensor.to(card.device) for tensor in (vertices, faces, turns, shift)]
        seen = rasterize(there[0], there[1], 24, *there[2:])
        for ours, theirs in zip(seen, expected, strict=True):
            depth = ours.image(ours.interpolate(there[0], there[1])[:, 2:])
            for tensor in (ours.pixel, ours.face, ours.barycentric, ours.depth, depth):
                assert card.has(tensor)
            both = set(ours.pixel.tolist()) ^ set(theirs.pixel.tolist())
            assert len(both) <= 0.02 * len(theirs.pixel)  # whose centres lie on an edge


def test_a_clip_is_predicted_on_a_card():
    from loso.predict import Classifier, Readings, clip_batch, predict

    settings = plan(streams="motion", motion_net="lean")
    maps = torch.randn(3, 28, 28, generator=torch.Generator().manual_seed(0)).numpy()
    network = make_network("lean", settings.plan).eval()
    classifier = Classifier([network], settings)
    read = Readings(None, maps)
    on_cpu = predict(classifier, clip_batch(None, read, settings, CPU), CPU)
    with PretendCard() as card:
        batch = clip_batch(None, read, settings, card.device)
        assert predict(classifier, batch, card.device) == on_cpu


@pytest.mark.parametrize("kind", ["full", "crop"])
@pytest.mark.parametrize(("channels", "shown"), [(3, None), (13, "shape"), (39, "motion")])
def test_a_batch_augmented_at_once_is_what_it_is_image_by_image(kind, channels, shown):
    stored = torch.randint(0, 256, (4, 50, 50, channels), dtype=torch.uint8).movedim(-1, 1)
    sample = transforms.sample_augmentation(4, kind, torch.Generator().manual_seed(3))
    assert sample.flip.any() and not sample.flip.all()
    alone = transforms.augment(stored, sample, 40, views=shown)
    at_once = transforms.augment_at_once(stored, sample, 40, shown)
    assert torch.allclose(at_once, alone, atol=3e-5)
