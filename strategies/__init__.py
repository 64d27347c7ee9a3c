"""The built-in strategies, each a pure source of signals that an agent is handed from outside."""
