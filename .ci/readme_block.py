"""Print one of the README's `sh` code blocks, counted from 1: `readme_block.py README.md 2`."""

import re
import sys
from pathlib import Path


def blocks(text: str) -> list[str]:
    """The bodies of the fenced blocks that are marked `sh`."""
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


if __name__ == "__main__":
    path, number = sys.argv[1], int(sys.argv[2])
    found = blocks(Path(path).read_text(encoding="utf-8"))
    if number > len(found):
        sys.exit(f"{path}: it has {len(found)} sh blocks, number {number} is wanted")
    sys.stdout.write(found[number - 1])
