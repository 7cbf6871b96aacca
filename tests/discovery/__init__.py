"""Discovery: patterns, the roster, the scout on real servers, the file."""
