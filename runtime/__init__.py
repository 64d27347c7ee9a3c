"""The imperative shell: the only place where processes, files, clocks and settings are touched."""
