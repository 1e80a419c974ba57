"""Makes a libcuda.so to link against where no NVIDIA driver is installed.

    make_stub.py CUDA_HOME FOLDER

A program for the GPU needs `libcuda.so.1`, which comes with the driver and not with the toolkit. The linker only wants the
names, and the toolkit's `cuda.h` declares them all: this reads the declarations as the preprocessor leaves them, once for
each spelling of the interface (current, historical, one stream a thread), and builds a library that exports every name and
does nothing. Nothing can run with it: every function answers CUDA_ERROR_STUB_LIBRARY.
"""

import pathlib
import re
import subprocess
import sys

CUDA_ERROR_STUB_LIBRARY = 34
SPELLINGS = ([], ["-D__CUDA_API_VERSION_INTERNAL"], ["-DCUDA_API_PER_THREAD_DEFAULT_STREAM"])
DECLARATION = re.compile(r"\bCUresult\s+(cu[A-Z]\w*)\s*\(")


def declared_functions(cuda_home: pathlib.Path) -> set[str]:
    """The names of all driver functions that cuda.h declares in any spelling."""
    names: set[str] = set()
    for defines in SPELLINGS:
        command = ["gcc", "-E", "-P", *defines, "-I", cuda_home / "include", cuda_home / "include" / "cuda.h"]
        declarations = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        names.update(DECLARATION.findall(declarations))
    return names


def main() -> None:
    cuda_home, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    names = declared_functions(cuda_home)
    if "cuInit" not in names:
        sys.exit(f"{cuda_home}/include/cuda.h declares no driver functions")
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "stub.c"
    source.write_text("".join(f"int {name}(void) {{ return {CUDA_ERROR_STUB_LIBRARY}; }}\n" for name in sorted(names)))
    library = folder / "libcuda.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", library, source], check=True)
    print(f"stub of libcuda.so.1 with {len(names)} functions")


if __name__ == "__main__":
    main()
