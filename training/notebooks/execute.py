"""Makes notebooks of scripts with `# %%` cells and executes them; outputs are kept. Knows nothing of their subject."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

_TIMEOUT = 600  # seconds a cell may take


def notebook(script: str) -> nbformat.NotebookNode:
    """A notebook with the script's cells: Markdown in comments, or code."""
    cells = []
    for number, cell in enumerate(script.split("# %%")[1:]):
        head, _, body = cell.partition("\n")
        if head.strip() == "[markdown]":
            lines = [line.removeprefix("#").removeprefix(" ") for line in body.strip().splitlines()]
            made = nbformat.v4.new_markdown_cell("\n".join(lines))
        else:
            made = nbformat.v4.new_code_cell(body.strip())
        made["id"] = f"cell-{number}"  # the library's own is drawn anew every time
        cells.append(made)
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=kernel)


def main(source: Path, target: Path) -> None:
    """Executes `source` and writes it with its outputs to `target`; a cell that fails raises."""
    made = notebook(source.read_text())
    NotebookClient(made, timeout=_TIMEOUT, kernel_name="python3", record_timing=False).execute()
    for cell in made.cells:
        # Warnings name places of the machine that they were made on.
        cell["outputs"] = [output for output in cell.get("outputs", []) if output.get("name") != "stderr"]
        if cell.cell_type != "code":
            del cell["outputs"]
    made.metadata.pop("language_info", None)
    nbformat.write(made, target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
