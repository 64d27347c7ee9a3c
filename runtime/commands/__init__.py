"""What `parley COMMAND` does; each module is loaded by `runtime.cli` when its command is called."""
