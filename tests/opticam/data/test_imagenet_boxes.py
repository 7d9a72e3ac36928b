import os
from pathlib import Path

import pytest
import torch

from opticam.data.imagenet_boxes import read_boxes

NAME = "ILSVRC2012_val_00000001"
DATA = Path(os.environ.get("OPTICAM_DATA", ""))

XML = """<annotation><folder>val</folder><filename>{name}</filename>
<size><width>500</width><height>375</height><depth>3</depth></size>
<object><name>n01751748</name><bndbox><xmin>111</xmin><ymin>108</ymin><xmax>441</xmax><ymax>193</ymax></bndbox></object>
<object><name>n01751748</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>
</annotation>"""


def write(path, kind):
    """The same two boxes of one picture in each published format."""
    if kind == "xml":
        (path / "val").mkdir()
        (path / "val" / f"{NAME}.xml").write_text(XML.format(name=NAME))
    elif kind == "wsol":
        (path / "localization.txt").write_text(
            f"val/{NAME}.JPEG,111,108,441,193\nval/{NAME}.JPEG,1,2,30,40\n"
        )
        (path / "image_sizes.txt").write_text(f"val/{NAME}.JPEG,500,375\n")
    elif kind == "kaggle":
        path = path / "LOC_val_solution.csv"
        words = "n01751748 111 108 441 193 n01751748 1 2 30 40 "
        path.write_text(f"ImageId,PredictionString\n{NAME},{words}\n")
    else:
        path = path / "boxes.csv"
        path.write_text(f"file,x1,y1,x2,y2\n{NAME}.JPEG,111,108,441,193\n{NAME}.JPEG,1,2,30,40\n")
    return path


@pytest.mark.parametrize(
    ("kind", "size"), [("xml", (500, 375)), ("wsol", (500, 375)), ("kaggle", None), ("csv", None)]
)
def test_every_format_gives_the_same_boxes(tmp_path, kind, size):
    record = read_boxes(write(tmp_path, kind))[NAME]
    assert record.boxes.tolist() == [[111, 108, 441, 193], [1, 2, 30, 40]]
    assert record.boxes.dtype == torch.float32
    assert record.size == size


def test_wsol_without_sizes(tmp_path):
    write(tmp_path, "wsol")
    (tmp_path / "image_sizes.txt").unlink()
    assert read_boxes(tmp_path)[NAME].size is None


@pytest.mark.parametrize("kind", ["xml", "csv"])
def test_a_size_of_zero_is_not_known(tmp_path, kind):
    path = write(tmp_path, kind)
    if kind == "csv":
        path.write_text(f"file,x1,y1,x2,y2,orig_w,orig_h\n{NAME}.JPEG,111,108,441,193,0,0\n")
    else:
        file = path / "val" / f"{NAME}.xml"
        file.write_text(file.read_text().replace("<width>500<", "<width>0<"))
    assert read_boxes(path)[NAME].size is None


def test_bad_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="neither XML files nor localization"):
        read_boxes(tmp_path)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"other\.csv.*ImageId"):
        read_boxes(tmp_path / "other.csv")
    (tmp_path / "LOC.csv").write_text("ImageId,PredictionString\nx,n01 1 2 3\n")
    with pytest.raises(ValueError, match="five words a box, got 4"):
        read_boxes(tmp_path / "LOC.csv")
    (tmp_path / "broken.xml").write_text("<annotation><object></annotation>")
    with pytest.raises(ValueError, match=r"broken\.xml.*not an ImageNet annotation"):
        read_boxes(tmp_path)


@pytest.mark.skipif(not (DATA / "imagenet_boxes").is_dir(), reason="OPTICAM_DATA has no imagenet_boxes")
def test_all_validation_boxes():
    records = read_boxes(DATA / "imagenet_boxes")
    assert len(records) == 50_000
    assert sum(len(record.boxes) for record in records.values()) == 80_477
    first = records[NAME]
    assert first.size == (500, 375) and first.boxes.tolist() == [[111, 108, 441, 193]]
