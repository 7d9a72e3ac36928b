"""Every sample picture is the published one, or the platform says that it draws others."""

import shutil

import pytest
from safetensors.torch import load_file, save_file

from opticam.sample import sample_set
from opticam.sample.digests import check_pictures, pictures_digest
from opticam.sample.pictures import SPLITS, VARIANTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("drawn")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "many"])
def test_pictures_drawn_here_are_the_published_ones(variant, split, folder):
    sample_set(variant, split, folder)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("split", "per_class"), [("test", None), ("train", 50)])
def test_pictures_of_many_that_runs_read_are_the_published_ones(split, per_class):
    """The networks were trained on all 4000 training pictures; part models on the first 1000."""
    assert len(sample_set("many", split, per_class=per_class)) == (per_class or 40) * 20


def test_other_pictures_are_told(folder):
    data = sample_set("fine", "test", folder)
    changed = data.images.clone()
    changed[3, 1, 4, 1] ^= 1
    with pytest.warns(UserWarning, match="fine/test/20: this platform draws others"):
        check_pictures("fine/test/20", changed, data.labels, None)
    assert pictures_digest(changed, data.labels) != pictures_digest(data.images, data.labels)
    with pytest.warns(UserWarning, match="fine/test"):
        check_pictures("fine/test/20", data.images, data.labels.flip(0), None)


def test_a_file_of_other_pictures_is_refused(folder, tmp_path):
    sample_set("fine", "test", folder)
    (path,) = folder.glob("sample-fine-test-*")
    tensors = load_file(path)
    tensors["images"][0, 0, 0, 0] ^= 1
    save_file(tensors, shutil.copy(path, tmp_path))
    with pytest.raises(ValueError, match=r"not the sample pictures fine/test/20 .* remove the file"):
        sample_set("fine", "test", tmp_path)
