"""A board: entries that strangers publish, the rules they keep, and what proves them. Reads files, knows no torch."""
