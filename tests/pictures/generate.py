"""Writes the pictures of this folder and what Pillow makes of them.

    python generate.py          (Pillow and numpy; the versions are in README.md)

For every input, `expected/NAME.rgb` holds height x width x 3 bytes as the reference's `load_image` returns
them: EXIF orientation applied, RGBA composited on white, everything else `.convert("RGB")`.
`index.json` lists name, size and the largest difference allowed.
"""
import io
import json
import pathlib
import struct
import zlib

import numpy as np
import PIL.Image
import PIL.ImageOps

HERE = pathlib.Path(__file__).parent
INPUTS, EXPECTED = HERE / "inputs", HERE / "expected"
rng = np.random.default_rng(11)
index = {}


def load_image(data):
    image = PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(data)))
    if image.mode == "RGBA":
        white = PIL.Image.new("RGBA", image.size, "white")
        image = PIL.Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def add(name, data, tolerance=0):
    (INPUTS / name).write_bytes(data)
    image = load_image(data)
    (EXPECTED / (name + ".rgb")).write_bytes(image.tobytes())
    index[name] = {"width": image.width, "height": image.height, "tolerance": tolerance}


# ---- PNG, chunk by chunk, so that every colour type, depth and oddity can be written ----
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_rows(samples, depth):
    """samples (h, w, c) -> one filtered (type 0) byte row each."""
    out = b""
    for row in samples:
        flat = row.reshape(-1)
        if depth == 16:
            out += b"\0" + flat.astype(">u2").tobytes()
        elif depth == 8:
            out += b"\0" + flat.astype(np.uint8).tobytes()
        else:
            bits = "".join(format(int(v), f"0{depth}b") for v in flat)
            bits += "0" * (-len(bits) % 8)
            out += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    return out


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(samples, color, depth, before=b"", after=b"", interlaced=False):
    h, w = samples.shape[:2]
    if interlaced:
        raw = b"".join(pack_rows(s, depth) for x, y, dx, dy in ADAM7 if (s := samples[y::dy, x::dx]).size)
    else:
        raw = pack_rows(samples, depth)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, color, 0, 0, int(interlaced)))
        + before
        + chunk(b"IDAT", zlib.compress(raw))
        + after
        + chunk(b"IEND", b"")
    )


def noise(h, w, c, depth):
    return rng.integers(0, 1 << depth, (h, w, c))


def exif(orientation):
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", 1) + entry + b"\0\0\0\0"


def write_png():
    for name, color, channels, depths in [
        ("gray", 0, 1, [1, 2, 4, 8, 16]),
        ("rgb", 2, 3, [8, 16]),
        ("la", 4, 2, [8, 16]),
        ("rgba", 6, 4, [8, 16]),
    ]:
        for depth in depths:
            for interlaced in (False, True):
                samples = noise(11, 13, channels, depth)
                add(f"{name}{depth}{'i' if interlaced else ''}.png", png(samples, color, depth, interlaced=interlaced))
    ramp = np.arange(512).reshape(16, 32, 1) * 128  # 16-bit values at all byte borders
    add("gray16-ramp.png", png(ramp, 0, 16))
    # every alpha over many colours: compositing is rounded as Pillow rounds
    alpha = np.zeros((64, 256, 4), int)
    alpha[..., 3] = np.arange(256)
    alpha[..., :3] = rng.integers(0, 256, (64, 256, 3))
    add("rgba-every-alpha.png", png(alpha, 6, 8))
    for depth in (1, 2, 4, 8):
        colors = rng.integers(0, 256, (1 << depth, 3)).astype(np.uint8).tobytes()
        for interlaced in (False, True):
            samples = noise(9, 13, 1, depth)
            add(f"palette{depth}{'i' if interlaced else ''}.png",
                png(samples, 3, depth, chunk(b"PLTE", colors), interlaced=interlaced))
    colors = chunk(b"PLTE", rng.integers(0, 256, (16, 3)).astype(np.uint8).tobytes())
    trns = chunk(b"tRNS", bytes(range(0, 256, 16)))
    add("palette4-trns.png", png(noise(9, 13, 1, 4), 3, 4, colors + trns))
    add("palette8-short.png", png(noise(9, 13, 1, 8), 3, 8, colors))
    add("gray8-trns.png", png(noise(9, 13, 1, 3), 0, 8, chunk(b"tRNS", b"\0\3")))
    add("rgb8-trns.png", png(noise(9, 13, 3, 2), 2, 8, chunk(b"tRNS", b"\0\1\0\2\0\3")))
    for orientation in range(1, 9):
        add(f"orientation{orientation}.png", png(noise(5, 7, 3, 8), 2, 8, chunk(b"eXIf", exif(orientation))))
    add("orientation6-after.png", png(noise(5, 7, 3, 8), 2, 8, after=chunk(b"eXIf", exif(6))))
    extras = chunk(b"tEXt", b"Comment\0hello") + chunk(b"iCCP", b"p\0\0" + zlib.compress(b"not a profile"))
    extras += chunk(b"zTXt", b"Big\0\0" + zlib.compress(bytes(10000))) + chunk(b"gAMA", struct.pack(">I", 45455))
    add("extras-and-trailer.png", png(noise(6, 6, 3, 8), 2, 8, extras) + b"PK\3\4 garbage" * 20)
    buffer = io.BytesIO()
    frames = [PIL.Image.fromarray(noise(8, 8, 3, 8).astype(np.uint8)) for _ in range(3)]
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    add("animated.png", buffer.getvalue())


# ---- the rest, by Pillow ----
def photo(h=40, w=56):
    """Smooth shades, an edge and mild grain: what a photograph has, small."""
    y, x = np.mgrid[0:h, 0:w].astype(float)
    planes = [128 + 100 * np.sin(x / 9 + k) * np.cos(y / 7 - k) for k in range(3)]
    rgb = np.stack(planes, -1)
    rgb[(x - 30) ** 2 + (y - 18) ** 2 < 90] = [200, 60, 40]
    return np.clip(rgb + rng.normal(0, 2, rgb.shape), 0, 255).astype(np.uint8)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# Chroma halved both ways is interpolated in two rounded steps by the decoder in use, in one by libjpeg:
# up to 4 levels at isolated samples (fewer than one in 200 by more than 2).
HALVED = 4


def write_jpeg():
    rgb = PIL.Image.fromarray(photo())
    for name, options in {
        "444": {"subsampling": 0}, "422": {"subsampling": 1}, "420": {"subsampling": 2},
        "progressive": {"progressive": True}, "restart": {"restart_marker_blocks": 2},
        "adobe-rgb": {"keep_rgb": True}, "quality30": {"quality": 30},
    }.items():
        add(f"{name}.jpg", saved(rgb, "JPEG", **({"quality": 90} | options)),
            2 if name in ("444", "422", "adobe-rgb") else HALVED)
    add("gray.jpg", saved(rgb.convert("L"), "JPEG", quality=90), 2)
    cmyk = saved(rgb.convert("CMYK"), "JPEG", quality=92)
    add("cmyk.jpg", cmyk, 2)
    adobe = cmyk.index(b"Adobe")
    add("ycck.jpg", cmyk[: adobe + 11] + b"\2" + cmyk[adobe + 12 :], 2)
    length = int.from_bytes(cmyk[adobe - 2 : adobe], "big")
    add("cmyk-without-adobe.jpg", cmyk[: adobe - 4] + cmyk[adobe - 2 + length :], 2)
    for orientation in range(1, 9):
        add(f"orientation{orientation}.jpg",
            saved(rgb, "JPEG", quality=90, subsampling=0, exif=b"Exif\0\0" + exif(orientation)), 2)
    add("odd-size.jpg", saved(PIL.Image.fromarray(photo(37, 51)), "JPEG", quality=90), HALVED)
    add("trailer.jpg", saved(rgb, "JPEG", quality=90, comment=b"canary") + b"\xff\xd8 trailing garbage \xff\xd9", HALVED)


def write_webp():
    rgb = photo()
    rgba = np.dstack([rgb, rng.integers(0, 256, rgb.shape[:2]).astype(np.uint8)])
    add("lossless.webp", saved(PIL.Image.fromarray(rgb), "WEBP", lossless=True))
    add("lossless-alpha.webp", saved(PIL.Image.fromarray(rgba), "WEBP", lossless=True, exact=True))
    add("lossy.webp", saved(PIL.Image.fromarray(rgb), "WEBP", quality=85), 2)
    add("lossy-alpha.webp", saved(PIL.Image.fromarray(rgba), "WEBP", quality=85), 2)
    for orientation in (3, 6):
        add(f"orientation{orientation}.webp",
            saved(PIL.Image.fromarray(rgb), "WEBP", lossless=True, exif=exif(orientation)))
    frames = [PIL.Image.fromarray(photo()) for _ in range(3)]
    add("animated.webp", saved(frames[0], "WEBP", lossless=True, save_all=True, append_images=frames[1:]))


def gif_frame(index_rows, left=0, top=0, canvas=None, transparent=None, local=b"", palette=b""):
    """A GIF of one frame; the pixels are written as uncompressed LZW (a clear code before every table growth)."""
    h, w = index_rows.shape
    cw, ch = canvas or (w, h)
    head = b"GIF89a" + struct.pack("<HHBBB", cw, ch, 0xF0 | 3 if palette else 0x70, 2, 0) + palette
    control = b"" if transparent is None else b"\x21\xf9\4\1\0\0" + bytes([transparent]) + b"\0"
    descriptor = b"," + struct.pack("<HHHHB", left, top, w, h, 0x83 if local else 0) + local
    codes, bits = [], []
    for n, value in enumerate(index_rows.reshape(-1)):
        if n % 12 == 0:
            codes.append(16)
        codes.append(int(value))
    codes.append(17)
    for code in codes:
        bits += [(code >> k) & 1 for k in range(5)]
    bits += [0] * (-len(bits) % 8)
    data = bytes(sum(b << k for k, b in enumerate(bits[i : i + 8])) for i in range(0, len(bits), 8))
    blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
    return head + control + descriptor + b"\4" + blocks + b"\0;"


def write_gif():
    palette = rng.integers(0, 256, (16, 3)).astype(np.uint8).tobytes()
    local = rng.integers(0, 256, (16, 3)).astype(np.uint8).tobytes()
    rows = noise(9, 13, 1, 4)[..., 0]
    add("plain.gif", gif_frame(rows, palette=palette))
    add("transparent.gif", gif_frame(rows, palette=palette, transparent=5))
    add("local-palette.gif", gif_frame(rows, palette=palette, local=local))
    add("inside.gif", gif_frame(rows, 3, 2, (20, 15), palette=palette))
    add("inside-transparent.gif", gif_frame(rows, 3, 2, (20, 15), palette=palette, transparent=5))
    add("inside-local.gif", gif_frame(rows, 0, 2, (13, 15), palette=palette, local=local, transparent=7))
    image = PIL.Image.fromarray(photo()).quantize(64)
    add("interlaced.gif", saved(image, "GIF", interlace=1))
    frames = [PIL.Image.fromarray(photo()).quantize(32) for _ in range(3)]
    add("animated.gif", saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    add("gray.gif", saved(PIL.Image.fromarray(photo()).convert("L"), "GIF"))


for folder in (INPUTS, EXPECTED):
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
write_png()
write_jpeg()
write_webp()
write_gif()
(HERE / "index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")
