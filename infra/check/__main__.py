"""`python -m infra.check [main.bicep]`: print every fault; the exit code says whether there was one."""

import sys
from pathlib import Path

from infra.check.project import faults

main = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "main.bicep"
found = faults(main.resolve())
print("\n".join(found) if found else f"{main.name} and its modules: no fault found")
sys.exit(1 if found else 0)
