"""Pictures that cannot be read are left out, with their reasons; of the others no trace is left."""

import pytest
import torch
from PIL import Image

import dpnet.data.pictures
from dpnet.data.pictures import PictureData, load_pictures
from dpnet.data.readable import readable
from opticam.data.photo import read_photo
from opticam.sample import sample_set


@pytest.fixture
def folder(tmp_path):
    """Six training and four test pictures in two classes."""
    generator = torch.Generator().manual_seed(0)
    for split, count in (("train", 3), ("test", 2)):
        for name in ("cat", "dog"):
            for index in range(count):
                path = tmp_path / "data" / split / name / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = torch.randint(0, 256, (20, 30, 3), dtype=torch.uint8, generator=generator)
                Image.fromarray(pixels.numpy()).save(path)
    return tmp_path / "data"


def damage(path):
    path.write_bytes(path.read_bytes()[:-500])


@pytest.fixture
def opened(monkeypatch):
    """The files that are opened, in order."""
    files = []

    def opening(path, *given):
        files.append(path)
        return read_photo(path, *given)

    monkeypatch.setattr(dpnet.data.pictures, "read_photo", opening)
    return files


def test_what_is_left_is_the_data_set_without_the_files(folder, tmp_path):
    bad = [folder / "train/cat/1.png", folder / "test/dog/0.png"]
    for path in bad:
        damage(path)
    found, reasons = readable(load_pictures(folder, size=8), tmp_path / "cache")
    assert list(reasons) == bad and all(str(path) in reason for path, reason in reasons.items())
    assert all("is not a readable picture" in reason for reason in reasons.values())
    for path in bad:
        path.unlink()
    expected = load_pictures(folder, size=8)
    for one, other in ((found.train, expected.train), (found.test, expected.test)):
        assert one.paths == other.paths and one.labels.tolist() == other.labels.tolist()
        assert one.hashes == other.hashes
        assert all(torch.equal(image, whole) for (image, _), (whole, _) in zip(one, other))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_processes_that_open_them_change_nothing(folder, tmp_path, workers):
    damage(folder / "train/dog/2.png")
    _, reasons = readable(load_pictures(folder), tmp_path, workers=workers)
    assert [path.name for path in reasons] == ["2.png"]


def test_later_calls_try_those_alone_that_could_not_be_read(folder, tmp_path, opened):
    bad = folder / "train/cat/1.png"
    damage(bad)
    data = load_pictures(folder)
    first = readable(data, tmp_path / "cache")
    assert len(opened) == 10
    opened.clear()
    again = readable(load_pictures(folder), tmp_path / "cache")
    assert opened == [bad] and again[1] == first[1] and again[0].train.paths == first[0].train.paths
    damage(folder / "train/cat/0.png")  # another data set
    opened.clear()
    assert len(readable(load_pictures(folder), tmp_path / "cache")[1]) == 2 and len(opened) == 6


def test_a_picture_that_can_be_read_after_all_is_there_again(folder, tmp_path, monkeypatch):
    """As with a newer Pillow, or a higher limit on its pixels."""
    data, cache = load_pictures(folder), tmp_path / "cache"
    with monkeypatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        with pytest.raises(
            ValueError, match=r"no picture of the train split can be read: .* has more than 100"
        ):
            readable(data, cache)
    found, reasons = readable(data, cache)
    assert not reasons and len(found.train) == 6
    assert readable(data, cache)[0].train.paths == data.train.paths


def test_what_cannot_be_read_depends_on_how_it_is_read(folder, tmp_path):
    """A picture of one row has too many pixels where its short side is scaled, and is one like any other squashed."""
    thin = folder / "train/cat/1.png"
    Image.new("RGB", (9000, 1)).save(thin)
    for resize, expected in (("squash", []), ("crop", [thin])):
        data, reasons = readable(load_pictures(folder, resize=resize), tmp_path / "cache")
        assert list(reasons) == expected and len(data.train) == 6 - len(expected)


def test_a_class_of_which_nothing_is_left_is_named(folder, tmp_path):
    for path in (folder / "train/dog").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="the class 'dog' of data has no training picture"):
        readable(load_pictures(folder), tmp_path / "cache")


def test_a_damaged_record_is_named_and_drawn_pictures_have_none(folder, tmp_path):
    cache = tmp_path / "cache"
    readable(load_pictures(folder), cache)
    for record, content in zip(sorted(cache.iterdir()), (b"[]", b"\xff{")):
        record.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{record.name} cannot be read: .*; remove it"):
            readable(load_pictures(folder), cache)
        record.unlink()
    drawn = PictureData(
        "sample-fine", *(sample_set("fine", split, per_class=1) for split in ("train", "test"))
    )
    before = sorted(cache.iterdir())
    assert readable(drawn, cache) == (drawn, {}) and sorted(cache.iterdir()) == before
