"""The asv suite: one file for each kind of question, workloads.py for what they are asked about."""
