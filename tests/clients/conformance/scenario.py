"""Writes what clients are to do, with the pictures that they send, and prints the served model's name.

    scenario.py DAEMON FOLDER"""

import base64
import json
import pathlib
import sys
import urllib.request

import photographs

PICTURES = (photographs.yellow_square_on_navy, photographs.landscape)


def main() -> None:
    daemon, folder = sys.argv[1:]
    here = pathlib.Path(__file__).parent
    scenario = json.loads((here / "scenario.json").read_text(encoding="utf-8"))
    files = [base64.b64encode(photographs.encoded(picture(), "PNG")).decode() for picture in PICTURES]
    scenario["pictures"] = [f"data:image/png;base64,{file}" for file in files]
    (pathlib.Path(folder) / "scenario.json").write_text(json.dumps(scenario), encoding="utf-8")
    with urllib.request.urlopen(f"{daemon}/v1/models", timeout=30) as answer:
        print(json.load(answer)["data"][0]["id"])


if __name__ == "__main__":
    main()
