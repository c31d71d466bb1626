"""Limits of the files that a node keeps: a name, a unit and a reason each."""

AREA_BYTES = 8 * 1024 * 1024  # half a journal: 2,000 lone updates, a third of a second at full speed; then callers wait
WRITE_BACK_BYTES = 2 * 1024 * 1024  # gathered in memory; little enough not to hold up the journal's own flushes
WRITE_BACK_S = 1.0  # how long rows stay in the journal alone when little is written
