"""Pictures that look like photographs and drawings to a decoder, made from a seed: no file, no network, the same bytes' worth
of pixels on every machine."""

import io

import numpy
from PIL import Image, ImageDraw, ImageFilter

NAVY = (22, 32, 88)
YELLOW = (245, 215, 45)


def landscape(width: int = 640, height: int = 480, seed: int = 1) -> Image.Image:
    """Sky, ground, a sun and some trees, out of focus and with a sensor's grain."""
    random = numpy.random.default_rng(seed)
    rows = numpy.linspace(0.0, 1.0, height)[:, None]
    columns = numpy.linspace(0.0, 1.0, width)[None, :]
    horizon = 0.6 + 0.03 * numpy.sin(columns * 7.0)
    sky = numpy.stack([120 + 90 * rows + 0 * columns, 160 + 60 * rows + 0 * columns, 235 - 20 * rows + 0 * columns], -1)
    ground = numpy.stack([60 + 50 * columns + 0 * rows, 110 - 40 * rows + 0 * columns, 40 + 20 * columns + 0 * rows], -1)
    picture = Image.fromarray(numpy.where((rows < horizon)[..., None], sky, ground).astype(numpy.uint8))
    draw = ImageDraw.Draw(picture)
    draw.ellipse([width * 0.70, height * 0.10, width * 0.80, height * 0.10 + width * 0.10], fill=(255, 240, 190))
    for _ in range(12):
        x, y, size = random.uniform(0, width), random.uniform(height * 0.62, height * 0.9), random.uniform(15, 45)
        draw.rectangle([x - size * 0.08, y - size, x + size * 0.08, y], fill=(80, 55, 35))
        draw.ellipse([x - size * 0.5, y - size * 1.9, x + size * 0.5, y - size * 0.7], fill=(30, 85, 40))
    focused = numpy.asarray(picture.filter(ImageFilter.GaussianBlur(1.2)), numpy.float64)
    grain = random.normal(0.0, 5.0, focused.shape)
    return Image.fromarray(numpy.clip(focused + grain, 0, 255).astype(numpy.uint8))


def yellow_square_on_navy(side: int = 512) -> Image.Image:
    """A drawing of the kind that the embedded checkpoint was trained on."""
    picture = Image.new("RGB", (side, side), NAVY)
    quarter, half = side * 0.25, side * 0.175
    ImageDraw.Draw(picture).rectangle([quarter - half, quarter - half, quarter + half, quarter + half], fill=YELLOW)
    return picture


def encoded(picture: Image.Image, encoding: str) -> bytes:
    """The file that a camera or a program would have written."""
    file = io.BytesIO()
    picture.save(file, encoding, **({"quality": 90} if encoding == "JPEG" else {}))
    return file.getvalue()
