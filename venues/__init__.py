"""Everything that speaks to an exchange: adapters, the local sandbox and the simulator."""
