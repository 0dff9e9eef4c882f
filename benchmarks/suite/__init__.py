"""The asv suite: one file for each kind of question, workloads.py for what they are asked about."""

import sys
from pathlib import Path

# asv imports this folder alone; what the suite measures with lies one above.
sys.path.append(str(Path(__file__).resolve().parents[1]))
