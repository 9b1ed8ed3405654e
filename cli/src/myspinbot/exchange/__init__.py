"""Events in files: written for auditors and other installations, and read with distrust."""
