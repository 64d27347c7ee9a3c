"""The judge of the chaos campaign: reads files, imports nothing of Parley."""
