"""The SQL of the API, one module per resource; every statement names tenant and run first."""
