"""The chaos campaign: kills on the way of an order, and an independent program that judges what is left."""
