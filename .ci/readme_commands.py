"""Prints the README's shell commands, one block after another, as a script for bash.

python .ci/readme_commands.py README.md | bash -euo pipefail -x
"""

import re
import sys
from pathlib import Path

text = Path(sys.argv[1]).read_text(encoding="utf-8")
for block in re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
    print(block)
