"""One module per resource: path, parameters, which query, which wire type. No SQL, no logic."""
