"""Pure arithmetic of price differences between instruments and venues."""
