"""The files of cluster/ in; one line for each, its problems below it, and exit status 1 where there are any out."""

import sys
from pathlib import Path

from cluster.checks.files import FILES, problems_of

FOLDER = Path(__file__).resolve().parents[1]


def main() -> int:
    """Checks every file; the number of files with problems."""
    wrong = 0
    for name in FILES:
        found = problems_of(name, (FOLDER / name).read_text(encoding="utf-8"))
        print(f"{'WRONG' if found else 'ok   '} cluster/{name}")
        for problem in found:
            print(f"      {problem}")
        wrong += bool(found)
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(), 1))
