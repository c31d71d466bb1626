"""A DICOM image as PNG, made in a process of its own: whatever a file does to its decoder, it does there.

`preview` starts that process and bounds it in time; the process bounds itself in memory and processor time before it
reads a byte. Needs the extra `preview` (numpy, pillow). Sources: DICOM PS3.3 C.7.6.3 (pixels), C.11.2 (windowing).
"""

import os
import resource
import sys
from io import BytesIO
from typing import Any

import trio

from l1.ground.faults import LocalError

__all__ = ["preview"]

SIDE_MAX = 1024  # pixels of the longer side: a look, not a diagnosis
FRAME_BYTES_MAX = 256 * 1024**2  # of one decoded frame
MEMORY_BYTES_MAX = 4 * 1024**3  # of address space; libraries map far more than they use
CPU_S = 30
WALL_S = 60.0
MISSING, NO_IMAGE = 3, 4  # exit statuses


async def preview(content: bytes, frame: int = 0) -> bytes:
    """The PNG of one frame, counted from 0. Raises `LocalError` where there is no image, or none that can be shown."""
    done = None
    with trio.move_on_after(WALL_S):
        done = await trio.run_process(
            [sys.executable, "-I", "-c", _START, *sys.path, "--", str(frame)],
            stdin=content,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env={"PATH": os.environ.get("PATH", "")},
        )
    if done is None:
        raise LocalError(f"the image could not be shown within {WALL_S:g} s", "Save it and open it with a viewer.")
    if done.returncode == MISSING:
        raise LocalError("numpy or pillow is missing", "Install them: pip install 'interward[preview]'.")
    if done.returncode or not done.stdout.startswith(b"\x89PNG"):
        said = (done.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        why = said[-1][:200] if said else f"its decoder ended with status {done.returncode}"
        raise LocalError(f"the image cannot be shown ({why})", "Save it and open it with a viewer.")
    return done.stdout


_START = "import sys; at = sys.argv.index('--'); sys.path[:] = sys.argv[1:at]; " + (
    "from client.records.preview import main; main(int(sys.argv[at + 1]))"
)


def main(frame: int) -> None:
    """In the process of its own: DICOM on standard input, PNG on standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each thread would map memory of its own
    try:
        import numpy  # noqa: F401
        import PIL  # noqa: F401
    except ImportError:
        sys.exit(MISSING)
    try:
        png = _png(sys.stdin.buffer.read(), frame)
    except Exception as error:  # a decoder of other people's files
        sys.stderr.write(" ".join(str(error).split()) or type(error).__name__)
        sys.exit(NO_IMAGE)
    sys.stdout.buffer.write(png)


def _png(content: bytes, frame: int) -> bytes:
    from PIL import Image
    from pydicom import dcmread

    image = dcmread(BytesIO(content))
    frames = int(image.get("NumberOfFrames") or 1)
    if not 0 <= frame < frames:
        raise ValueError(f"there are {frames} frames, counted from 0")
    bits = max(8, int(image.get("BitsAllocated") or 8))
    size = int(image.get("Rows") or 0) * int(image.get("Columns") or 0) * int(image.get("SamplesPerPixel") or 1)
    if not size:
        raise ValueError("it holds no image")
    if size * bits // 8 > FRAME_BYTES_MAX:
        raise ValueError(f"a frame has over {FRAME_BYTES_MAX:,} bytes")
    shown = Image.fromarray(_grey_or_colour(image, frame))
    shown.thumbnail((SIDE_MAX, SIDE_MAX))
    out = BytesIO()
    shown.save(out, "PNG")
    return out.getvalue()


def _grey_or_colour(image: Any, frame: int) -> Any:
    """8 bits a sample: of grey values the window that the file names, or else all that occur."""
    import numpy
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
    from pydicom.pixels.utils import pixel_array

    pixels = pixel_array(image, index=frame)
    kind = str(image.get("PhotometricInterpretation") or "")
    if kind == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, image)
    elif pixels.ndim == 2:
        pixels = apply_voi_lut(apply_modality_lut(pixels, image), image)
    pixels = pixels.astype(numpy.float64)
    low, high = (float(pixels.min()), float(pixels.max())) if pixels.ndim == 2 or pixels.max() > 255 else (0.0, 255.0)
    scaled = (pixels - low) * (255.0 / (high - low)) if high > low else pixels * 0.0
    return (255.0 - scaled if kind == "MONOCHROME1" else scaled).clip(0, 255).astype(numpy.uint8)
