"""freqtrade's strategies, configuration and candles as they are, without freqtrade's simulator.

The only package that imports freqtrade. What it hands up is plain: settings of `parley.kernels.settings`,
pandas frames, callbacks. Importing it costs seconds and hundreds of megabytes, so commands do it when called.
"""

# The order matters: what is imported between the first and the last line finds stand-ins for the parts of
# freqtrade's simulator that it asks for, and keeps them.
# isort: off
from freqtrade_bridge.stand_ins import take_away
import freqtrade.strategy
import freqtrade.data.btanalysis
import freqtrade.data.dataprovider
import freqtrade.plugins.pairlistmanager
import freqtrade.plugins.protectionmanager
import freqtrade.wallets  # noqa: F401
# isort: on

take_away()
