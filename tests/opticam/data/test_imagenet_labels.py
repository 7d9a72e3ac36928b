import pytest

from opticam.data.imagenet_labels import read_labels


@pytest.mark.parametrize(
    "text",
    [
        "file,label\nb.JPEG,7\na.JPEG,65\n",
        "val/b.JPEG,7\nval/a.JPEG,65\n",
        "b,7\n\na,65",
        "file,label,x1\nb.JPEG,7,30\na.JPEG,65,1\na.JPEG,65,2\n",
    ],
    ids=["header", "folders", "bare", "boxes"],
)
def test_formats(tmp_path, text):
    (tmp_path / "labels.csv").write_text(text)
    assert list(read_labels(tmp_path / "labels.csv").items()) == [("b", 7), ("a", 65)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.JPEG,1\na.JPEG,2\n", "gives two classes to a"),
        ("a.JPEG,1\nb.JPEG,cat\n", "got 'b.JPEG,cat'"),
        ("a.JPEG,1\nb.JPEG,-1\n", "got 'b.JPEG,-1'"),
        ("a.JPEG,-1\nb.JPEG,1\n", "got 'a.JPEG,-1'"),
        ("a.JPEG,12.0\nb.JPEG,1\n", "got 'a.JPEG,12.0'"),
        ("val/a.JPEG 3\nb.JPEG,1\n", "got 'val/a.JPEG 3'"),
        ("file,label\n", "holds no line"),
    ],
)
def test_bad_lines_are_named(tmp_path, text, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path / "labels.csv")
