"""Scores of faces, on small networks in the files that YuNet and SFace come in.

The small YuNet takes every red square of 32 pixels for the middle of a face; the small SFace projects what lies
around it at random.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL.Image import Image as Picture

from core.images import read_picture
from core.requests import Image, Preparation, Reference, Request, Score
from core.settings import Settings
from core.toolbox import TOOLS, tool_folder
from plugins import measures

onnx = pytest.importorskip("onnx")

PHOTOS = Path(__file__).parents[1] / "data" / "photos"
CELL = 32
POINTS = (-0.5, -0.5, 0.5, -0.5, 0, 0, -0.4, 0.5, 0.4, 0.5)
"""Eyes, nose and corners of the mouth, in cells from the middle."""
HEADS = {"cls": 1, "obj": 1, "bbox": 4, "kps": len(POINTS)}


def save(name: str, settings: Settings, graph: Any) -> None:
    tool = TOOLS[name]
    path = tool_folder(tool, settings) / tool.files[0]
    path.parent.mkdir(parents=True)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)


def told(name: str, shape: list[int | None]) -> Any:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def constant(name: str, values: Any, kind: Any = np.float32) -> Any:
    return onnx.numpy_helper.from_array(np.asarray(values, kind), name)


def write_yunet(settings: Settings) -> None:
    node = onnx.helper.make_node
    nodes, constants = [], [constant("least", 0), constant("most", 1)]
    constants += [constant(f"flat{size}", [1, -1, size], np.int64) for size in set(HEADS.values())]
    for stride in (8, 16, CELL):
        nodes.append(
            node("AveragePool", ["input"], [f"seen{stride}"], kernel_shape=[stride] * 2, strides=[stride] * 2)
        )
        red = [[-0.02, -0.02, 0.02]] if stride == CELL else [[0, 0, 0]]
        for head, size in HEADS.items():
            weights = red if size == 1 else np.zeros((size, 3))
            bias = {"bbox": [0.5, 0.5, 1.2, 1.2], "kps": np.add(POINTS, 0.5)}.get(head, [-4])
            step = f"{head}{stride}"
            constants += [
                constant(f"w{step}", np.reshape(weights, (size, 3, 1, 1))),
                constant(f"b{step}", bias),
            ]
            nodes += [
                node("Conv", [f"seen{stride}", f"w{step}", f"b{step}"], [f"raw{step}"], kernel_shape=[1, 1]),
                node("Clip", [f"raw{step}", "least", "most"], [f"cut{step}"]),
                node(
                    "Transpose", [f"cut{step}" if size == 1 else f"raw{step}"], [f"last{step}"], perm=[0, 2, 3, 1]
                ),
                node("Reshape", [f"last{step}", f"flat{size}"], [f"{head}_{stride}"]),
            ]
    found = [told(f"{head}_{stride}", [1, None, size]) for head, size in HEADS.items() for stride in (8, 16, CELL)]
    save(
        "yunet",
        settings,
        onnx.helper.make_graph(nodes, "yunet", [told("input", [1, 3, 640, 640])], found, constants),
    )


def write_sface(settings: Settings) -> None:
    weights = np.random.default_rng(0).normal(size=(3 * 14 * 14, 128))
    nodes = [
        onnx.helper.make_node("AveragePool", ["data"], ["seen"], kernel_shape=[8, 8], strides=[8, 8]),
        onnx.helper.make_node("Flatten", ["seen"], ["flat"]),
        onnx.helper.make_node("MatMul", ["flat", "weights"], ["fc1"]),
    ]
    graph = onnx.helper.make_graph(
        nodes, "sface", [told("data", [1, 3, 112, 112])], [told("fc1", [1, 128])], [constant("weights", weights)]
    )
    save("sface", settings, graph)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(models=tmp_path_factory.mktemp("models"), device="cpu")
    write_yunet(settings)
    write_sface(settings)
    return settings


def person(name: str) -> Picture:
    """A face of 160 pixels: some photo around a red square."""
    photo = read_picture((PHOTOS / f"{name}.jpg").read_bytes(), name).convert("RGB").resize((160, 160))
    photo.paste("red", (64, 64, 96, 96))
    return photo


def crowd(*people: str) -> Picture:
    """People beside each other in 640 x 320 grey pixels, in columns of 192."""
    picture = Pillow.new("RGB", (640, 320), "grey")
    for number, name in enumerate(people):
        picture.paste(person(name), (192 * number + 32, 64))
    return picture


def found(picture: Picture, settings: Settings, **references: str) -> dict[str, Score]:
    asked = tuple(Reference(name, "identity", "0" * 64) for name in references)
    request = Request("storyboard", "people", asked, *picture.size, seed=0, steps=1, guidance=1.0)
    prepared = [Preparation(person(name)) for name in references.values()]
    return {one.name: one for one in measures.score_image(Image(picture, request), request, prepared, settings)}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_faces_are_counted_without_any_reference(count: int, settings: Settings) -> None:
    faces = found(crowd(*("chelsea", "coffee", "dress")[:count]), settings)["faces"]
    assert faces.value == count
    assert f"{count} faces found in the whole image by YuNet" in faces.compared


def test_everybody_is_found_where_they_stand(settings: Settings) -> None:
    scores = found(crowd("coffee", "chelsea"), settings, anna="chelsea", ben="coffee")
    anna, ben = scores["face:anna"], scores["face:ben"]
    assert anna.value == pytest.approx(1, abs=0.01)
    assert ben.value == pytest.approx(1, abs=0.01)
    assert anna.crop is not None
    assert ben.crop is not None
    assert ben.crop[0] < 0.3 < anna.crop[0]
    assert "the face most like that of anna, of 2, cosine" in anna.compared


def test_somebody_else_is_less_alike(settings: Settings) -> None:
    own = found(crowd("chelsea"), settings, anna="chelsea")["face:anna"].value
    other = found(crowd("mountain"), settings, anna="chelsea")["face:anna"].value
    assert other < own - 0.02


def test_an_image_without_a_face_is_like_nobody(settings: Settings) -> None:
    score = found(crowd(), settings, anna="chelsea")["face:anna"]
    assert (score.value, score.crop) == (0, None)
    assert "no face was found in the image" in score.compared


def test_faces_are_counted_though_nothing_compares_them(tmp_path: Path) -> None:
    alone = Settings(models=tmp_path, device="cpu")
    write_yunet(alone)
    scores = found(crowd("chelsea"), alone, anna="chelsea")
    assert scores["faces"].value == 1
    assert "face:anna" not in scores
