"""Looks at images: of every kind that decodes, and of files that would harm whoever opens them."""

from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from PIL import Image

from client.records.preview import SIDE_MAX, preview
from l1.ground.faults import LocalError

FILES = Path(pydicom.__file__).parent / "data" / "test_files"


async def shown(name: str, frame: int = 0) -> Image.Image:
    image = Image.open(BytesIO(await preview((FILES / name).read_bytes(), frame)))
    image.load()
    return image


@pytest.mark.parametrize(
    ("name", "mode"),
    [("CT_small.dcm", "L"), ("examples_rgb_color.dcm", "RGB"), ("examples_palette.dcm", "RGB"), ("JPEG2000.dcm", "L")],
)
async def test_images_of_most_kinds(name: str, mode: str) -> None:
    image = await shown(name)
    assert image.mode == mode
    assert max(image.size) <= SIDE_MAX
    assert len(set(image.convert("L").tobytes())) > 8, "there is something to be seen"


async def test_a_frame_is_chosen_and_must_be_there() -> None:
    first, last = await shown("examples_ybr_color.dcm", 0), await shown("examples_ybr_color.dcm", 29)
    assert first.tobytes() != last.tobytes()
    with pytest.raises(LocalError, match="there are 30 frames"):
        await shown("examples_ybr_color.dcm", 30)


@pytest.mark.parametrize("content", [b"", b"no image at all", bytes(128) + b"DICM" + b"\xff" * 1000])
async def test_what_is_no_image_is_said_in_a_line(content: bytes) -> None:
    with pytest.raises(LocalError, match="cannot be shown") as told:
        await preview(content)
    assert "\n" not in told.value.cause
    with pytest.raises(LocalError, match="holds no image"):
        await preview((FILES / "test-SR.dcm").read_bytes())


async def test_a_size_that_lies_is_refused_before_it_is_believed() -> None:
    lying = pydicom.dcmread(FILES / "CT_small.dcm")
    lying.Rows = lying.Columns = 65_535
    out = BytesIO()
    lying.save_as(out)
    with pytest.raises(LocalError, match="over 268,435,456 bytes"):
        await preview(out.getvalue())


async def test_a_decoder_that_takes_all_memory_takes_only_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "client.records.preview._START",
        "import sys; at = sys.argv.index('--'); sys.path[:] = sys.argv[1:at]; "
        "import client.records.preview as p; p._png = lambda c, f: bytes(8 * 2**30); p.main(0)",
    )
    with pytest.raises(LocalError, match="MemoryError"):
        await preview(b"x")
