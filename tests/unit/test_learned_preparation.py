"""Learned preparation on small networks of the real formats: rembg's, YuNet's, SegFormer's.

The networks are made here: they tell things by their colours, which drawings have as they like.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from core.cards import load_card
from core.conditions import ConditionType
from core.errors import BadInput, Infrastructure, WeightsMissing
from core.generation.fetching import fetch_tool
from core.images import read_file
from core.preparation import garments, heads, networks, parsing
from core.preparation.alignment import TEMPLATE, align_face, fit_similarity
from core.preparation.faces import face_methods, find_faces
from core.preparing import prepare_reference
from core.requests import Method, Preparation, Reference
from core.settings import Settings
from core.toolbox import REFUSED, TOOLS, Tool, find_tool, tool_files, tool_hashes
from plugins import identity, subject, tryon

PHOTOS = Path(__file__).parents[1] / "data" / "photos"

needs_rembg = pytest.mark.skipif(
    find_spec("rembg") is None or find_spec("onnxruntime") is None, reason="needs dreamline[matting]"
)


def varint(value: int) -> bytes:
    out = b""
    value &= (1 << 64) - 1
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def told(number: int, value: int | str | bytes) -> bytes:
    """One field of a protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, values: np.ndarray) -> bytes:
    dims = b"".join(told(1, size) for size in values.shape)
    return dims + told(2, 1) + told(8, name) + told(9, values.astype("<f4").tobytes())


def port(name: str, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(told(1, told(1, size) if isinstance(size, int) else told(2, size)) for size in shape)
    return told(1, name) + told(2, told(1, told(1, 1) + told(2, dims)))


def node(kind: str, inputs: Sequence[str], output: str, **attributes: Sequence[int]) -> bytes:
    said = b"".join(
        told(5, told(1, name) + b"".join(told(8, one) for one in ints) + told(20, 7))
        for name, ints in attributes.items()
    )
    return b"".join(told(1, one) for one in inputs) + told(2, output) + told(3, output) + told(4, kind) + said


def model(nodes: Sequence[bytes], weights: Sequence[bytes], inputs: bytes, outputs: Sequence[bytes]) -> bytes:
    """An ONNX file (onnx.proto3 of the ONNX project), of opset 13."""
    graph = b"".join(told(1, one) for one in nodes) + told(2, "small") + b"".join(told(5, one) for one in weights)
    graph += told(11, inputs) + b"".join(told(12, one) for one in outputs)
    return told(1, 8) + told(7, graph) + told(8, told(1, "") + told(2, 13))


def red_finder() -> bytes:
    """What U2-Net's file takes and gives: 320 x 320 pixels to one map, here of how red they are."""
    weights = tensor("w", np.array([4.0, -2.0, -2.0]).reshape(1, 3, 1, 1))
    nodes = [node("Conv", ["input.1", "w"], "c", kernel_shape=[1, 1]), node("Sigmoid", ["c"], "1959")]
    return model(nodes, [weights], port("input.1", [1, 3, 320, 320]), [port("1959", [1, 1, 320, 320])])


LANDMARKS = ((-24, -16), (20, -24), (2, 4), (-14, 24), (22, 18))
"""Pixels from the middle of the marked cell: eye, eye, nose, mouth, mouth, of a face that is tilted a little."""


def marker_finder() -> bytes:
    """What YuNet's file takes and gives: a face wherever a cell of 8 x 8 pixels is magenta."""
    nodes, weights, outputs = [], [], []
    for stride in (8, 16, 32):
        for kind, count in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            name = f"{kind}_{stride}"
            bias = np.zeros(count)
            kernel = np.zeros((count, 3, stride, stride))
            if kind in ("cls", "obj"):
                bias[0] = -20.0
                if stride == 8:
                    kernel[0] = np.array([1.0, -1.0, 1.0]).reshape(3, 1, 1) / 64 * 0.1
            elif kind == "bbox":
                bias[:] = (0.5, 0.5, np.log(10.0), np.log(12.0))
            else:
                bias[:] = [0.5 + way / stride for point in LANDMARKS for way in point]
            weights += [tensor(f"{name}.w", kernel), tensor(f"{name}.b", bias)]
            size = [stride, stride]
            nodes.append(
                node("Conv", ["input", f"{name}.w", f"{name}.b"], f"{name}.c", kernel_shape=size, strides=size)
            )
            before = f"{name}.c"
            if kind in ("cls", "obj"):
                nodes.append(node("Sigmoid", [before], f"{name}.s"))
                before = f"{name}.s"
            nodes.append(node("Transpose", [before], name, perm=[0, 2, 3, 1]))
            outputs.append(port(name, [1, "h", "w", count]))
    return model(nodes, weights, port("input", [1, 3, "H", "W"]), outputs)


def put(settings: Settings, name: str, data: bytes) -> None:
    tool = TOOLS[name]
    path = settings.models_folder / tool.repository / tool.files[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture
def place(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def prepared(
    condition: ConditionType[Any], picture: Image.Image, settings: Settings, method: Method, **options: Any
) -> Preparation:
    import io

    stream = io.BytesIO()
    picture.save(stream, "PNG")
    data = stream.getvalue()
    sha256 = hashlib.sha256(data).hexdigest()
    reference = Reference("thing", condition.name, sha256, "thing.png", options, method=method)
    card = replace(load_card("dreamo-mini", settings), reference_area=256 * 256)
    return prepare_reference(data, reference, condition, card, settings)


def busy(size: tuple[int, int]) -> Image.Image:
    """Stripes and noise from edge to edge, without red."""
    noise = np.random.default_rng(1).integers(0, 90, (size[1], size[0], 1), np.uint8)
    stripes = (np.arange(size[0]) // 9 % 2 * 110).astype(np.uint8)[None, :, None]
    return Image.fromarray(np.concatenate([noise // 2, noise + stripes, noise + 60], axis=2).astype(np.uint8))


def overlap(one: Image.Image, other: Image.Image) -> float:
    first, second = (np.asarray(mask) >= 128 for mask in (one, other))
    return float((first & second).sum() / (first | second).sum())


@needs_rembg
def test_a_network_cuts_out_of_a_busy_ground_what_grabcut_refuses(place: Settings) -> None:
    put(place, "u2netp", red_finder())
    picture, truth = busy((400, 300)), Image.new("L", (400, 300))
    ImageDraw.Draw(truth).ellipse([120, 60, 290, 250], fill=255)
    picture.paste((215, 30, 30), mask=truth)
    best, *others = networks.network_methods(place), *subject.methods(place)
    assert [method.name for method in best] == ["rembg-u2netp"]
    assert [method.name for method in others][:2] == ["alpha-or-rembg-u2netp", "alpha-or-grabcut"]
    assert best[0].weights == {"u2netp/u2netp.onnx": hashlib.sha256(red_finder()).hexdigest()}
    cut = networks.cut_by_network(picture, "rembg-u2netp", place.models_folder, "x")
    assert overlap(cut.mask, truth) >= 0.95
    (kind,) = subject.condition_types()
    with pytest.raises(BadInput, match="busy background"):
        prepared(kind, picture, place, Method("grabcut"))
    first, again = (prepared(kind, picture, place, others[0]) for _ in range(2))
    assert first.facts["cut_by"] == "rembg-u2netp"
    assert first.picture.tobytes() == again.picture.tobytes()


@needs_rembg
def test_a_file_s_own_transparency_comes_before_any_network(place: Settings) -> None:
    put(place, "u2netp", red_finder())
    (kind,) = subject.condition_types()
    picture = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    ImageDraw.Draw(picture).ellipse([40, 60, 260, 240], fill=(30, 60, 200, 255))
    assert prepared(kind, picture, place, subject.methods(place)[0]).facts["cut_by"] == "alpha"


@needs_rembg
@pytest.mark.parametrize(
    ("colour", "said"), [((90, 90, 90), "nothing that can be told"), ((220, 20, 20), "cuts off")]
)
def test_a_network_that_sees_nothing_or_no_end_is_no_cut_out(
    place: Settings, colour: tuple[int, int, int], said: str
) -> None:
    put(place, "u2netp", red_finder())
    picture = Image.new("RGB", (300, 300), colour)
    if said == "cuts off":
        ImageDraw.Draw(picture).rectangle([100, 100, 130, 130], fill="blue")
    with pytest.raises(BadInput, match=said) as caught:
        networks.cut_by_network(picture, "rembg-u2netp", place.models_folder, "mugs/7.jpg")
    assert caught.value.problems[0].where == "mugs/7.jpg"


def test_without_its_file_a_network_is_not_offered_and_never_fetched(place: Settings) -> None:
    assert networks.network_methods(place) == ()
    with pytest.raises(WeightsMissing, match="dreamline models fetch u2net"):
        networks.cut_by_network(Image.new("RGB", (64, 64)), "rembg-u2net", place.models_folder, "x")
    assert not list(place.home.rglob("*"))


def faced(places: Sequence[tuple[int, int]], size: tuple[int, int] = (640, 480)) -> Image.Image:
    """A scene with a marker for each face, and a dot of its own colour at each landmark."""
    picture = Image.new("RGB", size, (60, 120, 60))
    draw = ImageDraw.Draw(picture)
    for x, y in places:
        draw.rectangle([x - 4, y - 4, x + 3, y + 3], fill=(255, 0, 255))
        for (right, down), colour in zip(LANDMARKS, ("red", "yellow", "white", "blue", "cyan"), strict=True):
            draw.ellipse([x + right - 2, y + down - 2, x + right + 2, y + down + 2], fill=colour)
    return picture


def test_yunet_s_landmarks_are_brought_to_the_template(place: Settings) -> None:
    put(place, "yunet", marker_finder())
    picture = faced([(308, 204)])
    (face,) = find_faces(picture, "yunet", place.models_folder)
    assert face.box == (268, 156, 348, 252)
    for (x, y), (right, down) in zip(face.landmarks, LANDMARKS, strict=True):
        assert (x, y) == pytest.approx((308 + right, 204 + down), abs=0.1)
    matrix = fit_similarity(face.landmarks, TEMPLATE)
    expected = np.column_stack([face.landmarks, np.ones(5)]) @ matrix.T
    aligned = np.asarray(align_face(picture, face, 512), int)
    for (x, y), colour in zip(expected, ((255, 0, 0), (255, 255, 0), (255,) * 3, (0, 0, 255)), strict=False):
        assert np.abs(aligned[round(y), round(x)] - colour).max() < 30
    assert np.hypot(*(expected - TEMPLATE).T).max() < 40


def test_the_similarity_is_the_one_that_points_were_moved_by() -> None:
    points = np.array([(193.0, 240), (319, 240), (257, 314), (201, 371), (313, 371)])
    turn = np.radians(23)
    true = np.array([[1.7 * np.cos(turn), -1.7 * np.sin(turn), 40], [1.7 * np.sin(turn), 1.7 * np.cos(turn), -7]])
    moved = np.column_stack([points, np.ones(5)]) @ true.T
    assert np.allclose(fit_similarity(points, moved), true)


def test_identity_takes_the_face_of_the_number_that_is_asked_for(place: Settings) -> None:
    put(place, "yunet", marker_finder())
    (kind,) = identity.condition_types()
    best = face_methods(place)[0]
    assert best == Method("yunet", "1", tool_hashes("yunet", place))
    picture = faced([(116, 204), (308, 300), (500, 108)])
    for number, x in ((1, 116), (2, 308), (3, 500)):
        made = prepared(kind, picture, place, best, face=number)
        assert made.facts["faces"] == 3
        assert made.facts["eyes"][0][0] == pytest.approx(x - 24, abs=0.2)
    with pytest.raises(BadInput, match="there is no face 4: 3 faces were found") as caught:
        prepared(kind, picture, place, best, face=4)
    assert "1 to 3" in caught.value.problems[0].mend


def test_a_detector_that_is_pinned_and_gone_is_named(place: Settings) -> None:
    with pytest.raises(WeightsMissing, match="dreamline models fetch yunet"):
        find_faces(Image.new("RGB", (64, 64)), "yunet", place.models_folder)


COLOURS = {
    "background": (190, 200, 210),
    "hair": (70, 45, 20),
    "face": (235, 185, 150),
    "dress": (200, 30, 60),
    "left-leg": (250, 215, 60),
    "left-shoe": (20, 30, 120),
}


def person(size: int = 256, shift: int = 0) -> tuple[Image.Image, np.ndarray]:
    """Somebody in a dress, drawn, and the number of the part that each pixel shows."""
    picture, parts = Image.new("RGB", (size, size), COLOURS["background"]), Image.new("L", (size, size))
    shapes = {
        "left-leg": ("rectangle", (0.45, 0.75, 0.55, 0.9)),
        "left-shoe": ("rectangle", (0.4, 0.88, 0.6, 0.95)),
        "dress": ("rectangle", (0.3, 0.36, 0.7, 0.8)),
        "hair": ("ellipse", (0.36, 0.04, 0.64, 0.34)),
        "face": ("ellipse", (0.41, 0.1, 0.59, 0.36)),
    }
    for part, (shape, box) in shapes.items():
        corners = [side * size + (shift if k % 2 == 0 else 0) for k, side in enumerate(box)]
        getattr(ImageDraw.Draw(picture), shape)(corners, fill=COLOURS[part])
        getattr(ImageDraw.Draw(parts), shape)(corners, fill=parsing.PARTS.index(part))
    return picture, np.asarray(parts)


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home where a small SegFormer lies that has learned the drawings' colours."""
    import torch
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    settings = Settings(home=tmp_path_factory.mktemp("parser"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = SegformerConfig(
        num_labels=18,
        hidden_sizes=[16, 16, 16, 16],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 1, 1],
        decoder_hidden_size=32,
        classifier_dropout_prob=0.0,
        drop_path_rate=0.0,
    )
    network = SegformerForSemanticSegmentation(config).train()
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    drawn = [person(128, shift) for shift in (-12, 12)]
    seen = torch.stack([torch.from_numpy(np.asarray(one, np.float32) / 127.5 - 1) for one, _ in drawn])
    labels = torch.stack([torch.from_numpy(parts.astype(np.int64)) for _, parts in drawn])
    for _ in range(60):
        loss = network(seen.permute(0, 3, 1, 2), labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    torch.set_num_threads(threads)
    folder = settings.models_folder / TOOLS["clothes"].repository
    network.eval().save_pretrained(folder)
    half = [0.5, 0.5, 0.5]
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"size": {"height": 128, "width": 128}, "image_mean": half, "image_std": half})
    )
    return settings


def test_the_parser_takes_a_worn_dress_off(parser: Settings) -> None:
    picture, parts = person()
    (kind,) = tryon.condition_types()
    best = tryon.methods(parser)[0]
    assert best.name.startswith("worn-or-alpha-or-")
    assert best.weights.items() >= tool_hashes("clothes", parser).items()
    truth = Image.fromarray((parts == parsing.PARTS.index("dress")).astype(np.uint8) * 255)
    shares = parsing.parse(picture, parser.models_folder)
    assert garments.wearing(shares)
    cut = garments.cut_worn(picture, shares, "a summer dress", "x")
    assert overlap(cut.mask, truth) >= 0.9
    made, again = (prepared(kind, picture, parser, best, garment="dress") for _ in range(2))
    assert made.facts["parts"] == ["dress"]
    assert made.picture.tobytes() == again.picture.tobytes()
    assert made.picture.getpixel((made.picture.width // 2, made.picture.height // 2)) == COLOURS["dress"]


def test_what_is_not_worn_or_can_t_be_told_is_refused_with_what_is_there(parser: Settings) -> None:
    picture, _ = person()
    shares = parsing.parse(picture, parser.models_folder)
    with pytest.raises(BadInput, match=r"nobody who wears scarf \(found: .*dress"):
        garments.cut_worn(picture, shares, "scarf", "x")
    with pytest.raises(BadInput, match="a worn tie can't be told"):
        garments.cut_worn(picture, shares, "tie", "x")
    assert "the dress is taken" in garments.cut_worn(picture, shares, None, "x").warnings[0]


def test_a_flat_photo_is_cut_out_as_ever_where_the_parser_is(parser: Settings) -> None:
    (kind,) = tryon.condition_types()
    flat = Image.new("RGB", (256, 256), COLOURS["background"])
    ImageDraw.Draw(flat).rectangle([70, 40, 180, 210], fill=COLOURS["dress"])
    assert prepared(kind, flat, parser, tryon.methods(parser)[0]).facts["cut_by"] == "grabcut"


def test_the_parser_frees_a_head_and_leaves_the_one_beside_it(parser: Settings) -> None:
    square = Image.new("RGB", (512, 512), COLOURS["background"])
    draw = ImageDraw.Draw(square)
    draw.ellipse([110, 30, 400, 470], fill=COLOURS["hair"])
    draw.ellipse([160, 120, 350, 480], fill=COLOURS["face"])
    draw.ellipse([440, 60, 511, 200], fill=COLOURS["hair"])
    shares = parsing.parse(square, parser.models_folder)
    head = heads.middle_piece(parsing.part_mask(shares, parsing.HEAD, square.size))
    assert head is not None
    kept, mask = heads.keep_head(square, head)
    assert mask.getpixel((256, 300)) == mask.getpixel((256, 60)) == 255
    assert kept.getpixel((480, 130)) == kept.getpixel((20, 20)) == (255, 255, 255)


def test_a_head_that_the_parser_does_not_see_is_freed_by_its_colours_with_a_warning(parser: Settings) -> None:
    (kind,) = identity.condition_types()
    best = face_methods(parser)[0]
    assert [method.name for method in face_methods(parser)] == ["cascades+clothes", "cascades"]
    made = prepared(kind, read_file(PHOTOS / "astronaut.jpg"), parser, best)
    floor = prepared(kind, read_file(PHOTOS / "astronaut.jpg"), parser, Method("cascades"))
    assert ("parser saw no head" in " ".join(made.warnings)) == (made.picture.tobytes() == floor.picture.tobytes())
    assert made.picture.getpixel((2, 2)) == (255, 255, 255)


def test_another_file_is_another_method(parser: Settings, place: Settings) -> None:
    put(place, "yunet", marker_finder())
    before = face_methods(place)[0]
    put(place, "yunet", marker_finder() + told(6, "another"))
    assert face_methods(place)[0] != before


def test_a_tool_that_may_not_be_used_commercially_is_refused_by_name() -> None:
    for name, reason in REFUSED.items():
        assert name not in TOOLS
        with pytest.raises(BadInput, match=name) as caught:
            find_tool(name)
        assert reason in str(caught.value)
    assert all(tool.licence in ("MIT", "Apache-2.0") for tool in TOOLS.values())


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "published"
    folder.mkdir()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", folder
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_a_tool_is_fetched_once_and_only_as_published(server: tuple[str, Path], place: Settings) -> None:
    address, folder = server
    data = red_finder()
    (folder / "u2netp.onnx").write_bytes(data)
    good = replace(
        TOOLS["u2netp"],
        urls={"u2netp.onnx": f"{address}/u2netp.onnx"},
        md5={"u2netp.onnx": hashlib.md5(data).hexdigest()},
    )
    said: list[str] = []
    bad: Tool = replace(good, md5={"u2netp.onnx": "0" * 32})
    with pytest.raises(Infrastructure, match="other bytes than published"):
        list(fetch_tool(bad, place, said.append))
    assert tool_files("u2netp", place) is None
    assert not [path for path in place.models_folder.rglob("*") if path.is_file()]
    (where,) = fetch_tool(good, place, said.append)
    files = tool_files("u2netp", place)
    assert files is not None
    assert files["u2netp.onnx"].read_bytes() == data
    assert files["u2netp.onnx"].parent == where
    (folder / "u2netp.onnx").unlink()
    list(fetch_tool(good, place, said.append))
    assert "nothing to fetch" in said[-1]
    missing = replace(good, urls={"u2netp.onnx": f"{address}/gone.onnx"})
    files["u2netp.onnx"].unlink()
    with pytest.raises(Infrastructure, match="can't be fetched"):
        list(fetch_tool(missing, place, said.append))


def test_the_files_made_here_are_what_onnx_says() -> None:
    import cv2

    network = cv2.dnn.readNetFromONNX(np.frombuffer(red_finder(), np.uint8))
    red = np.zeros((1, 3, 320, 320), np.float32)
    red[:, 0] = 1
    network.setInput(red)
    assert float(network.forward().mean()) == pytest.approx(1 / (1 + np.exp(-4.0)), abs=1e-5)


def ask(settings: Settings, *words: str) -> tuple[int, str]:
    from click.testing import CliRunner

    from orchestrator.cli.models import command

    done = CliRunner().invoke(command, list(words), obj=settings)
    return done.exit_code, done.output + str(done.exception or "")


def test_tools_are_listed_shown_and_refused_by_name(place: Settings) -> None:
    put(place, "yunet", marker_finder())
    code, out = ask(place, "list", "--json")
    states = {one["name"]: one["state"] for one in json.loads(out) if one.get("tool")}
    assert (code, states["yunet"], states["clothes"]) == (0, "here", "missing")
    assert set(states) == set(TOOLS)
    code, out = ask(place, "list")
    assert code == 0
    assert "(MIT)" in out
    told = json.loads(ask(place, "show", "yunet", "--json")[1])
    assert (told["licence"], told["files"][0]["here"]) == ("MIT", True)
    assert "missing" in ask(place, "show", "clothes")[1]
    assert "nothing to fetch" in ask(place, "fetch", "yunet")[1]
    code, out = ask(place, "fetch", "bria-rmbg")
    assert (code, "non-commercial" in out) == (1, True)
