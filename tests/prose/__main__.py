"""`make prose`: check the English of documents, pages and code. `--list` shows every finding, also within a limit.

The words and limits are in words.json. Exit codes: 0 within the limits, 1 above one of them.
"""

import sys
from pathlib import Path

from tests.prose.measuring import load_rules, measure

reports = measure(Path(__file__).resolve().parents[2], load_rules())
for report in reports:
    shown = [*report.long, *report.avoided] if "--list" in sys.argv else report.excess
    print("\n".join([str(report), *(f"  {each}" for each in shown)]))
sys.exit(1 if any(report.excess for report in reports) else 0)
