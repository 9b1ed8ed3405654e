"""Read models of the event log: folded into SQL, thrown away and rebuilt at will."""
