"""Print a command of the README: ``run`` (set up and run the main job) or ``test`` (set up and pass the tests)."""

import re
import sys
from pathlib import Path

readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
found = re.search(rf"<!-- {re.escape(sys.argv[1])} -->\s*```bash\n(.*?)```", readme, re.DOTALL)
if found is None:
    sys.exit(f"README.md has no block marked <!-- {sys.argv[1]} -->")
print(found[1].strip())
