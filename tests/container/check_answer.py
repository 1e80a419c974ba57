"""Says whether a chat completion in a file holds a picture that decodes; needs nothing but Python.

    check_answer.py ANSWER.json
"""

import base64
import json
import struct
import sys
import zlib

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png_size(data: bytes) -> tuple[int, int]:
    """Width and height of a PNG whose chunks are whole and whose pixel data unpacks to the size it claims."""
    assert data.startswith(PNG_SIGNATURE), "not a PNG"
    at, chunks = len(PNG_SIGNATURE), []
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        assert zlib.crc32(kind + body) == checksum, f"{kind} is damaged"
        chunks.append((kind, body))
        at += 12 + length
    assert chunks[0][0] == b"IHDR" and chunks[-1][0] == b"IEND", "not a whole PNG"
    width, height, depth, colour = struct.unpack_from(">IIBB", chunks[0][1])
    assert (depth, colour) == (8, 2), "not 8-bit RGB"
    pixels = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    assert len(pixels) == height * (1 + 3 * width), "pixel data of another size"
    return width, height


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        answer = json.load(file)
    choice = answer["choices"][0]
    message = choice["message"]
    print("text:", json.dumps(message["content"]))
    images = message["images"]
    assert images, "no picture in the answer"
    for image in images:
        prefix, _, encoded = image["image_url"]["url"].partition(",")
        assert prefix == "data:image/png;base64", prefix
        width, height = png_size(base64.b64decode(encoded, validate=True))
        print(f"picture {image['index']}: PNG, {width} x {height}")
    print("finish_reason:", choice["finish_reason"])
    assert choice["finish_reason"] == "stop", choice["finish_reason"]
    print("usage:", json.dumps(answer["usage"]))


if __name__ == "__main__":
    main()
