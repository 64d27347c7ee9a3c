"""freqtrade's strategies, configuration and data, read as they are; the one package that imports freqtrade."""
