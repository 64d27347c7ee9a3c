"""Decision roles, one pure class per module; they meet only through `parley.messages`."""
