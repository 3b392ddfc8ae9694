#!/usr/bin/env python3
"""check_readme.py README.md EXAMPLE.c: README's first C block must be the example, character for character, so that the code
that readers copy is the code that is compiled and run."""
import difflib
import pathlib
import re
import sys

readme, example = (pathlib.Path(name) for name in sys.argv[1:])
block = re.search(r"^```c\n(.*?)^```$", readme.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
if not block:
    sys.exit(f"{readme}: there is no ```c block")
found, expected = (text.splitlines(keepends=True) for text in (block.group(1), example.read_text(encoding="utf-8")))
difference = "".join(difflib.unified_diff(expected, found, str(example), str(readme)))
sys.exit(difference or 0)
