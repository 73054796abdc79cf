"""Prints the shell commands of pages, one block after another, as a script for bash.

python .ci/readme_commands.py README.md examples/README.md | bash -euo pipefail -x
"""

import re
import sys
from pathlib import Path

for page in sys.argv[1:]:
    text = Path(page).read_text(encoding="utf-8")
    for block in re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        print(block)
