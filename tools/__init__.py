"""Scripts behind the gates of `make check` and `make test`; nothing here is imported by the product."""
