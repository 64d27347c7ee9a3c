"""Wire types of the API, one module per resource; docs/openapi.json is made from them."""
